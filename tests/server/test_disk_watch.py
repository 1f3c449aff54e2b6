"""The watch of the disk: what is news for the core, how often it looks, and what it works out."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import trio
import trio.testing

from decreed.registry.config import DiskMarks
from decreed.registry.counting import Histogram
from decreed.registry.replica.step.disk_reads import DiskMeasured
from decreed.registry.server.disk_watch import (
    DAY_S,
    HOUR_S,
    LOOK_S,
    MIN_GROWTH_S,
    NEWS_BYTES,
    OFTEN_S,
    DiskWatch,
    Growth,
)
from decreed.registry.space import DiskSpace

MARKS = DiskMarks(low_percent=100, full_percent=100)
SIZE = 100 << 30


class Watched:
    """A watch of a disk that is what the test says."""

    def __init__(self) -> None:
        self.told: list[DiskMeasured] = []
        self.syncs_ms = Histogram()
        self.clocks_s = (0.0, 0.0)
        self.space: Callable[[], DiskSpace | None] = lambda: None
        self.watch = DiskWatch(
            lambda: self.space(), self.syncs_ms, MARKS, self.told.append, lambda: self.clocks_s
        )

    def look(self, free_bytes: int, now_s: float = 0.0, used: int = 0) -> int:
        """Look once; returns how often the core was told until now."""
        self.watch.look(now_s, DiskSpace(free_bytes, SIZE, (("log", used),)))
        return len(self.told)


def test_the_core_is_told_of_a_change_that_matters_and_of_no_other() -> None:
    watched = Watched()
    assert watched.look(50 << 30) == 1
    assert watched.look((50 << 30) - NEWS_BYTES + 1) == 1
    assert watched.look((50 << 30) - NEWS_BYTES) == 2
    assert watched.look((50 << 30) - NEWS_BYTES, used=NEWS_BYTES) == 3


def test_a_mark_that_is_crossed_by_a_byte_is_told() -> None:
    watched = Watched()
    assert watched.look(MARKS.low_bytes) == 1
    assert watched.look(MARKS.low_bytes - 1) == 2
    assert watched.look(MARKS.low_bytes) == 3
    watched.look(MARKS.full_bytes)
    assert watched.look(MARKS.full_bytes - 1) == 5


def test_how_long_syncs_take_is_the_average_since_the_last_look() -> None:
    watched = Watched()
    for took_ms in (100.0, 300.0):
        watched.syncs_ms.note(took_ms)
    watched.look(SIZE)
    assert watched.told[-1].sync_ms == 200
    watched.syncs_ms.note(10.0)
    watched.look(SIZE)
    assert watched.told[-1].sync_ms == 10
    watched.look(SIZE)
    assert watched.told[-1].sync_ms == 0, "there was none"


def test_a_clock_that_the_system_corrects_is_told_in_parts_per_million() -> None:
    watched = Watched()
    watched.clocks_s = (10.02, 10.0)
    watched.look(SIZE)
    assert watched.told[-1].clock_ppm == 2_000
    watched.clocks_s = (10.03, 10.001)  # too soon after that to say
    watched.look(SIZE)
    assert watched.told[-1].clock_ppm == 2_000
    watched.clocks_s = (20.02, 20.0)
    watched.look(SIZE)
    assert watched.told[-1].clock_ppm == 0


def test_growth_is_said_of_a_day_and_not_before_there_is_anything_to_say() -> None:
    growth = Growth()
    assert growth.note(0, 1_000) == 0
    assert growth.note(MIN_GROWTH_S - 1, 9_000) == 0
    assert growth.note(HOUR_S, 2_000) == 24_000
    for hour in range(2, 60):  # two days, in which it grows by 1000 bytes an hour and then by none
        used = 1_000 + 1_000 * min(hour, 30)
        found = growth.note(hour * HOUR_S, used)
    assert found == 0, "what was before the last day counts no more"
    assert growth.note(60 * HOUR_S + DAY_S, used) == 0


@pytest.fixture
def without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that jumps does not wait for a thread."""

    async def at_once(call: Callable[[], object], **_: object) -> object:
        await trio.lowlevel.checkpoint()
        return call()

    monkeypatch.setattr(trio.to_thread, "run_sync", at_once)


@pytest.mark.trio
@pytest.mark.usefixtures("without_threads")
async def test_it_looks_often_near_a_mark_and_rarely_else(
    autojump_clock: trio.testing.MockClock,
) -> None:
    watched, looked = Watched(), list[float]()
    spaces = [SIZE, SIZE, MARKS.low_bytes * 2, MARKS.low_bytes * 2]

    def measure() -> DiskSpace:
        looked.append(autojump_clock.current_time())
        return DiskSpace(spaces[min(len(looked), len(spaces)) - 1], SIZE)

    watched.space = measure
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.watch.run)
        await trio.sleep(2 * LOOK_S + 1.5 * OFTEN_S)
        nursery.cancel_scope.cancel()
    gaps = [round(b - a) for a, b in pairwise(looked)]
    assert gaps == [LOOK_S, LOOK_S, OFTEN_S]


@pytest.mark.trio
@pytest.mark.usefixtures("without_threads")
async def test_a_disk_that_cannot_be_measured_is_what_it_was(
    autojump_clock: trio.testing.MockClock,
) -> None:
    watched = Watched()
    answers: list[DiskSpace | None] = [DiskSpace(SIZE, SIZE), None, DiskSpace(1, SIZE)]

    def measure() -> DiskSpace:
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if found is None:
            raise OSError("it hangs")
        return found

    watched.space = measure
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.watch.run)
        await trio.sleep(2.5 * LOOK_S)
        nursery.cancel_scope.cancel()
    assert [each.space.free_bytes for each in watched.told if each.space] == [SIZE, 1]
