"""Measures what the core must not: the free space of the disk, how long syncs take, the clock's rate.

The core is told when something is news. A disk that fills is looked at more often, since a node must
stop before the disk does. The call may block (a disk may hang), so it runs in a thread.
"""

import time
from collections import deque
from collections.abc import Callable

import trio

from ..config import DiskMarks
from ..counting import Histogram
from ..replica.step.disk_reads import DiskMeasured
from ..space import DiskSpace, room
from . import log

LOOK_S, OFTEN_S = 10.0, 1.0
"""How often it looks, and how often with less than `NEAR` times the soft mark free."""
NEAR = 4
NEWS_BYTES = 16 * 1024 * 1024
"""A change of free or used bytes by so much is told to the core, and any change of room."""
DAY_S, HOUR_S = 86_400.0, 3_600.0
MIN_GROWTH_S = 60.0
"""Growth is said of so much time at least."""


class Growth:
    """By how much the files grow in a day: from one sample an hour, over a day at most."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, now_s: float, used_bytes: int) -> int:
        """Take a sample; returns the growth in a day, 0 while too little time was seen."""
        samples = self._samples
        while len(samples) > 1 and now_s - samples[1][0] >= DAY_S:
            samples.popleft()
        if not samples or now_s - samples[-1][0] >= HOUR_S:
            samples.append((now_s, used_bytes))
        since_s, before = samples[0]
        if now_s - since_s < MIN_GROWTH_S:
            return 0
        return int((used_bytes - before) * DAY_S / (now_s - since_s))


class DiskWatch:
    """Watches the disk of one node.

    Args:
        space: measures it; blocks.
        syncs_ms: how long synced writes took, as the loop counts them.
        marks: from where on a node does less.
        tell: is told what is news.
        clocks_s: the monotonic clock as the system corrects it, and as the hardware runs.
    """

    def __init__(
        self,
        space: Callable[[], DiskSpace | None],
        syncs_ms: Histogram,
        marks: DiskMarks,
        tell: Callable[[DiskMeasured], None],
        clocks_s: Callable[[], tuple[float, float]] = lambda: _clocks_s(),
    ) -> None:
        self._space, self._syncs_ms, self._marks, self._tell = space, syncs_ms, marks, tell
        self._clocks_s, self._began_s = clocks_s, clocks_s()
        self._told = DiskMeasured(None)
        self._growth, self._synced = Growth(), (0, 0.0)

    async def run(self) -> None:
        """Look at intervals until cancelled."""
        while True:
            try:
                space = await trio.to_thread.run_sync(self._space, abandon_on_cancel=True)
            except OSError as error:
                log.strangers("the free space cannot be measured", "", reason=str(error))
                space = self._told.space
            self.look(trio.current_time(), space)
            await trio.sleep(self._pause_s(space))

    def look(self, now_s: float, space: DiskSpace | None) -> None:
        """Tell what is news.

        Args:
            now_s: the time.
            space: what was measured now.
        """
        grows = self._growth.note(now_s, space.used_bytes) if space is not None else 0
        found = DiskMeasured(space, grows, self._sync_ms(), self._clock_ppm())
        if self._is_news(found):
            self._told = found
            self._tell(found)

    def _pause_s(self, space: DiskSpace | None) -> float:
        if space is None:
            return LOOK_S
        low_bytes, _ = self._marks.of(space.size_bytes)
        return OFTEN_S if space.free_bytes < NEAR * low_bytes else LOOK_S

    def _sync_ms(self) -> float:
        """The average of the synced writes since the last look."""
        count, total = self._syncs_ms.count, self._syncs_ms.total
        before, self._synced = self._synced, (count, total)
        return round((total - before[1]) / (count - before[0])) if count > before[0] else 0.0

    def _clock_ppm(self) -> float:
        """By how much the system has corrected the clock since the last look that took long enough."""
        (began, raw_began), (now, raw) = self._began_s, self._clocks_s()
        if raw - raw_began < LOOK_S / 2:
            return self._told.clock_ppm
        self._began_s = now, raw
        return round(((now - began) / (raw - raw_began) - 1) * 1e6, -2)

    def _is_news(self, found: DiskMeasured) -> bool:
        told, space = self._told, found.space
        is_slower = (found.sync_ms, found.clock_ppm) != (told.sync_ms, told.clock_ppm)
        if space is None or told.space is None:
            return is_slower or space is not told.space
        marks = self._marks.of(space.size_bytes)
        moved = abs(space.free_bytes - told.space.free_bytes) >= NEWS_BYTES
        grown = abs(space.used_bytes - told.space.used_bytes) >= NEWS_BYTES
        return (
            is_slower
            or moved
            or grown
            or room(space.free_bytes, *marks) != room(told.space.free_bytes, *marks)
        )


def _clocks_s() -> tuple[float, float]:
    raw = getattr(time, "CLOCK_MONOTONIC_RAW", time.CLOCK_MONOTONIC)
    return time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(raw)
