"""Time that passes while everybody waits, and stands still while the machine keeps them from working.

Tests of a client beside fake nodes are about the order of things in time: the node is silent, then the
client asks another one, then its time is over. By a real clock the machine takes part in that. It stops
the process for seconds, and every deadline is over before anybody could keep it.

By this clock a deadline comes when all have waited for it. It counts the time in which the event loop,
and each thread that takes part, waits for the next event. Of any other stretch it counts `STEP_S` at
most, so that whoever turns in circles comes to an end too. Waiting is done in slices, and no slice
counts for more than it was meant to last: a process that is stopped in one loses no more than that.
"""

import asyncio
import selectors
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

import trio

SLICE_S = 0.02
STEP_S = 0.000_1


class Steady:
    """The time of those who take part: one event loop, and threads beside it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._now_s = 1_000.0
        self._seen_s = time.perf_counter()
        self._working = 1

    def now(self) -> float:
        """The time in seconds. It never goes back."""
        with self._turn:
            return self._now_s + self._passed_s(STEP_S if self._working else SLICE_S)

    @contextmanager
    def working(self) -> Iterator[None]:
        """In here a thread works, except where it says that it waits."""
        self._change(1, SLICE_S)
        try:
            yield
        finally:
            self._change(-1, STEP_S)

    @contextmanager
    def waiting(self, at_most_s: float = SLICE_S) -> Iterator[None]:
        """In here somebody who works waits, for so long at most."""
        self.begin_waiting()
        try:
            yield
        finally:
            self.end_waiting(at_most_s)

    def begin_waiting(self) -> None:
        """Somebody who works begins to wait."""
        self._change(-1, STEP_S)

    def end_waiting(self, at_most_s: float) -> None:
        """Somebody has waited, which was to last so long at most, and works again."""
        self._change(1, max(at_most_s, STEP_S))

    def _change(self, by: int, at_most_s: float) -> None:
        """One more works, or one less; what has passed counts, and little of it if anybody worked."""
        with self._turn:
            self._now_s += self._passed_s(STEP_S if self._working else at_most_s)
            self._seen_s = time.perf_counter()
            self._working += by

    def _passed_s(self, at_most_s: float) -> float:
        return min(time.perf_counter() - self._seen_s, at_most_s)


class SteadySelector(selectors.DefaultSelector):
    """Waits in slices, and has what it waited counted."""

    def __init__(self, steady: Steady) -> None:
        super().__init__()
        self._steady = steady

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready, or nothing after a slice: whoever waits for longer asks again."""
        slice_s = min(SLICE_S, max(0.0, inf if timeout is None else timeout))
        with self._steady.waiting(slice_s):
            return super().select(slice_s)


class SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop of asyncio that goes by this time."""

    def __init__(self, steady: Steady) -> None:
        self._steady = steady
        super().__init__(SteadySelector(steady))

    def time(self) -> float:
        """The time of all deadlines."""
        return self._steady.now()


class SteadyClock(trio.abc.Clock, trio.abc.Instrument):
    """The clock of a run of trio that goes by this time; an instrument of the same run."""

    def __init__(self, steady: Steady) -> None:
        self._steady = steady

    def start_clock(self) -> None:
        """Nothing: it runs from the first moment."""

    def current_time(self) -> float:
        """The time of all deadlines."""
        return self._steady.now()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """A slice at most: trio asks again."""
        return min(SLICE_S, max(0.0, deadline - self._steady.now()))

    def before_io_wait(self, timeout: float) -> None:
        """It waits from now on."""
        self._steady.begin_waiting()

    def after_io_wait(self, timeout: float) -> None:
        """It has waited."""
        self._steady.end_waiting(min(SLICE_S, timeout))
