"""Runs tests that write interleavings and crashes out, with the bug that is seeded in this process."""

import contextlib
import io
from collections.abc import Sequence

import pytest

from .bug import ROOT

_REPLICA = ROOT / "tests/replica"
_PLACES = (
    *("storage/test_pending_journal.py", "storage/test_inline.py"),
    *("storage/test_whole_batches.py", "locks"),
    *("replica/consensus", "replica/requests", "replica/locks", "replica/feed"),
    *(f"replica/{path.name}" for path in sorted(_REPLICA.glob("test_*.py"))),
    "replica/members",
)
"""Places in which most mistakes are seen come first."""


class _Counter:
    """Counts the tests that ran, and notes the first failure."""

    def __init__(self) -> None:
        self.ran = 0
        self.failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the result of one phase of a test."""
        self.ran += report.when == "call"
        if report.failed and not self.failed:
            self.failed = report.nodeid


def first_failure(budget: int, names: Sequence[str] = _PLACES) -> tuple[int, str]:
    """How many tests ran until one failed, and its name; an empty name if none failed in the budget.

    Args:
        budget: how many may run.
        names: the files and folders below ``tests`` that they are in.
    """
    counter = _Counter()
    places = [str(ROOT / "tests" / name) for name in names]
    options = ["-q", "-x", "-p", "no:cacheprovider", "--numprocesses=0", *places]
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(options, plugins=[counter])
    return min(counter.ran, budget), counter.failed if counter.ran <= budget else ""
