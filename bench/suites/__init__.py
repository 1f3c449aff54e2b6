"""The suites: what is measured. Each has `run(bench)`; none knows how a system is started or driven."""
