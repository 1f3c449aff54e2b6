# The checks of `.ci/run` one by one, and longer ones; tests/README.md leads through them.
PYTHON ?= .venv/bin/python
SEED ?= 1-100
JOBS ?= 1
CHAOS_SECONDS ?= 3600
CHAOS_SEED ?= 1
SUITES ?=
SITE ?= site
FULL ?=
PINS ?= release/requirements.txt
BOM ?= dist/bom.cdx.json

.PHONY: help ci test lint types docs servers sim governed locks load fingerprints trace calls model catalogue chaos attacks bench pins bom

help: ## what there is to make
	@sed -n 's/^\([a-z]*\): ## /\1\t/p' Makefile | expand -t 12

ci: ## everything that must pass before a change goes in
	.ci/run

test: ## the default tests
	$(PYTHON) -m pytest

lint: ## style and format
	$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check .

types: ## strict types, by two checkers
	$(PYTHON) -m mypy && $(PYTHON) -m pyright --pythonpath $(PYTHON)

docs: ## the documentation site, into the folder SITE; needs the extra docs
	$(PYTHON) -m sphinx --fail-on-warning --keep-going --fresh-env --quiet -b html -d $(SITE)/.doctrees docs $(SITE)

servers: ## with real servers of other projects
	$(PYTHON) -m pytest -m servers

sim: ## storms with the seeds SEED, in JOBS processes
	$(PYTHON) -m tests.simulation --seed $(SEED) --jobs $(JOBS) --shrink

governed: ## storms with policies that change, with the seeds SEED, in JOBS processes
	$(PYTHON) -m tests.simulation --governed --seed $(SEED) --jobs $(JOBS) --shrink

locks: ## storms about locks with the seeds SEED
	DECREED_SEEDS=$(SEED) $(PYTHON) -m pytest -n 2 tests/simulation/test_lockstorm.py tests/simulation/test_giveups.py

load: ## thousands of claims by many clients, and how fast they went
	$(PYTHON) -m tests.simulation --load --seed 1-3

fingerprints: ## a hash of each storm, to compare two builds that must behave alike
	$(PYTHON) -m tests.simulation --seed $(SEED) --fingerprints

trace: ## every event of one storm
	$(PYTHON) -m tests.simulation --seed $(SEED) --trace

calls: ## the files, functions and rooms that one claim goes through at its home
	$(PYTHON) -m tests.support.calls

model: ## all interleavings of small clusters; with FULL=--full of larger ones too
	$(PYTHON) -m tests.model $(FULL)

catalogue: ## every seeded mistake, and who catches it
	$(PYTHON) -m tests.catalogue

chaos: ## faults on real processes for CHAOS_SECONDS, the schedule drawn from CHAOS_SEED
	$(PYTHON) -m tests.chaos --seconds $(CHAOS_SECONDS) --seed $(CHAOS_SEED)

attacks: ## clients without manners, a node's memory, and a bystander
	$(PYTHON) -m tests.attacks

bench: ## decreed next to its peers; see docs/performance.md
	$(PYTHON) -m bench $(SUITES)

pins: ## what a node needs, with the hash of each file, into PINS; needs the extra release
	$(PYTHON) -m uv pip compile pyproject.toml --extra server --constraints constraints.txt --universal --generate-hashes --no-emit-package colorama --no-annotate --quiet --custom-compile-command 'make pins' --output-file $(PINS)

bom: ## a bill of materials (CycloneDX) of these, into BOM; needs the extra release
	mkdir -p $(dir $(BOM)) && $(PYTHON) -W ignore::UserWarning -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible --short-PURLs --output-file $(BOM) $(PINS)
