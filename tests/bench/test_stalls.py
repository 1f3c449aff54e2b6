"""Stalls: seconds with a slow operation, less those in which the disk itself was slow."""

from pathlib import Path

import pytest

from bench.bare_disk import BareDisk, BareSync, slow_within
from bench.stalls import figures, stalls
from bench.suites import soak
from bench.systems.cluster import await_that

QUIET, STALLED, EMPTY = [9, 1e3, 2e3, 99e3], [9, 1e3, 2e3, 300e3], [0, 0, 0, 0]
FOUND = {
    "started_ns": 1_000_000_000_000,
    "series_ms": 1000.0,
    "series": [QUIET, STALLED, QUIET, STALLED, EMPTY, STALLED],
}


def sync(at_s: float, ms: float) -> BareSync:
    return BareSync(at_s, at_s + ms / 1e3)


def test_a_second_with_an_operation_over_the_bound_is_a_stall() -> None:
    assert [stall.worst_ms for stall in stalls(FOUND, [])] == [300, 300, 300]


def test_a_stall_is_left_out_if_the_disk_was_slow_while_it_waited() -> None:
    before = sync(1000.75, 60)  # in the second before, in which the slowest already waited
    after = sync(1004.0, 400)  # when the stall of 1003 is over
    quick = sync(1005.5, 49)
    found = figures(FOUND, [before, after, quick])
    assert (found["stalls"], found["stalls_by_disk"]) == (2, 1)
    assert found["bare_sync_worst_ms"] == pytest.approx(400)
    assert found["bare_syncs_slow"] == 2
    assert [stall.by_disk for stall in stalls(FOUND, [before, after, quick])] == [
        *(True, False, False)
    ]


@pytest.mark.parametrize(
    ("begin_s", "end_s", "slow"), [(0, 1, False), (1.5, 1.9, True), (0, 1.1, True), (2.1, 3, False)]
)
def test_only_a_slow_sync_that_was_under_way_counts(
    begin_s: float, end_s: float, slow: bool
) -> None:
    assert slow_within([sync(1, 1000), sync(2.5, 10)], begin_s, end_s, 50.0) == slow


def test_the_disk_is_synced_beside_a_load_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr("os.fdatasync", lambda file: sizes.append(file))
    disk = BareDisk(tmp_path, every_s=0.001)
    await_that("some syncs were made", lambda: len(sizes) >= 3)
    found = disk.end()
    assert len(found) == len(sizes)
    assert all(one.ended >= one.began for one in found)
    assert [*tmp_path.iterdir()] == []


def test_nodes_are_killed_in_turn_and_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    killed = Killed()
    soak.kill_in_turn(killed, 4, 100.0)  # type: ignore[arg-type]
    assert killed.did == [f"{what} {node}" for node in (0, 1, 2, 0) for what in ("kill", "start")]
    assert sum(slept) == pytest.approx(80.0), "a fifth is left after the last"


class Killed:
    """A cluster of three that notes what is done to it."""

    size = 3

    def __init__(self) -> None:
        self.did: list[str] = []

    def kill(self, node: int) -> None:
        self.did.append(f"kill {node}")

    def start_node(self, node: int) -> None:
        self.did.append(f"start {node}")
