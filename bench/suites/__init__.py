"""The suites: what is measured. Each has `run(bench)`, and is independent of how systems are driven."""
