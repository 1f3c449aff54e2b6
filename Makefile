# Longer checks than the default `pytest`; see docs/correctness.md.
PYTHON ?= .venv/bin/python
SEED ?= 1-100

.PHONY: sim trace model catalogue

sim: ## storms with the seeds SEED
	$(PYTHON) -m tests.simulation --seed $(SEED) --shrink

trace: ## every event of one storm
	$(PYTHON) -m tests.simulation --seed $(SEED) --trace

model: ## the larger clusters of the model checker too
	$(PYTHON) -m tests.model --full

catalogue: ## every seeded mistake, and who catches it
	$(PYTHON) -m tests.catalogue
