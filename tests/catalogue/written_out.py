"""Runs `tests/locks` and `tests/replica` in this process, with whatever is seeded in it."""

import contextlib
import io

import pytest

from .bug import ROOT


class _Counter:
    """Counts the tests that ran, and notes the first that failed."""

    def __init__(self) -> None:
        self.ran = 0
        self.failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Each phase of each test ends here."""
        self.ran += report.when == "call"
        if report.failed and not self.failed:
            self.failed = report.nodeid


def first_failure(budget: int) -> tuple[int, str]:
    """How many tests ran until one failed, and which; an empty name if none did in the budget."""
    counter = _Counter()
    folders = [str(ROOT / "tests" / name) for name in ("locks", "replica")]
    options = ["-q", "-x", "-p", "no:cacheprovider", "--numprocesses=0", *folders]
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(options, plugins=[counter])
    return min(counter.ran, budget), counter.failed if counter.ran <= budget else ""
