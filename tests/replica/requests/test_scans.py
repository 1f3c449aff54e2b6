"""The queue of scans of one disk: a scan that is no longer wanted at its turn is not read."""

from itertools import count
from types import SimpleNamespace
from typing import Any, cast

from decreed.registry.disk import ScanPage
from decreed.registry.replica.requests.scans import DiskScan, Scans
from decreed.registry.replica.step.disk_reads import ScanDone
from decreed.registry.replica.step.effects import ReadScan
from decreed.registry.replica.step.events import Moment
from decreed.registry.replica.step.step_builder import StepBuilder

EMPTY = ScanPage((), complete=True)


def scan(prefix: str, wanted: set[str]) -> DiskScan:
    """A scan that is wanted as long as its prefix is in `wanted`."""
    return DiskScan(prefix, "", "", lambda _: prefix in wanted, lambda *_: False, _never, _never)


def _never(turn: StepBuilder, reason: str) -> None:
    raise AssertionError(reason)


def read_in(turn: StepBuilder) -> list[str]:
    reads = turn.finish().reads
    return [read.prefix for read in reads if isinstance(read, ReadScan)]


def test_a_scan_that_is_cancelled_in_the_queue_is_never_read() -> None:
    numbers = count(1)
    node = SimpleNamespace(tokens=SimpleNamespace(read=lambda _: next(numbers)))
    scans = Scans(cast(Any, node))
    wanted = {"a", "b", "c"}
    turn = StepBuilder(Moment(0, 0), 0, {})
    for prefix in ("a", "b", "c"):
        scans.add(turn, scan(prefix, wanted))
    assert read_in(turn) == ["a"], "one at a time"
    wanted.discard("b")
    turn = StepBuilder(Moment(1, 0), 1, {})
    scans.on_read(turn, ScanDone(1, EMPTY))
    assert read_in(turn) == ["c"]
    turn = StepBuilder(Moment(2, 0), 2, {})
    scans.on_read(turn, ScanDone(2, EMPTY))
    assert read_in(turn) == [] and scans.idle
