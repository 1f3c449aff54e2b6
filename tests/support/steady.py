"""A clock that runs while all participants wait, and stops while the machine keeps them from working.

Tests of a client with fake nodes are about the order of events in time: the node is silent, then
the client asks another one, then its time is over. On a real clock the machine takes part in that.
It stops the process for seconds, and every deadline passes before it could be met.

On this clock a deadline comes when all participants have waited for it. The clock counts the time
in which the event loop, and each thread that takes part, waits for the next event. Of any other
stretch it counts at most `STEP_S`, so that a busy loop also comes to an end. Waiting is done in
slices, and no slice counts for more than its planned length: a process that is stopped during one
loses no more than that.
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
    """The time of the participants: one event loop, and threads beside it."""

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
        """A thread works in this block, except inside `waiting`."""
        self._change(1, SLICE_S)
        try:
            yield
        finally:
            self._change(-1, STEP_S)

    @contextmanager
    def waiting(self, at_most_s: float = SLICE_S) -> Iterator[None]:
        """A working participant waits in this block, for at most that long."""
        self.begin_waiting()
        try:
            yield
        finally:
            self.end_waiting(at_most_s)

    def begin_waiting(self) -> None:
        """A working participant begins to wait."""
        self._change(-1, STEP_S)

    def end_waiting(self, at_most_s: float) -> None:
        """A participant works again, after a wait that was planned for at most that long."""
        self._change(1, max(at_most_s, STEP_S))

    def _change(self, by: int, at_most_s: float) -> None:
        """Change the number of workers; the time since the last change counts, little if any worked."""
        with self._turn:
            self._now_s += self._passed_s(STEP_S if self._working else at_most_s)
            self._seen_s = time.perf_counter()
            self._working += by

    def _passed_s(self, at_most_s: float) -> float:
        return min(time.perf_counter() - self._seen_s, at_most_s)


class SteadySelector(selectors.DefaultSelector):
    """Waits in slices, and counts the time that it waited."""

    def __init__(self, steady: Steady) -> None:
        super().__init__()
        self._steady = steady

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The ready files, or none after a slice; the loop calls again if it waits for longer."""
        slice_s = min(SLICE_S, max(0.0, inf if timeout is None else timeout))
        with self._steady.waiting(slice_s):
            return super().select(slice_s)


class SteadyLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop on this clock."""

    def __init__(self, steady: Steady) -> None:
        self._steady = steady
        super().__init__(SteadySelector(steady))

    def time(self) -> float:
        """The time of all deadlines."""
        return self._steady.now()


class SteadyClock(trio.abc.Clock, trio.abc.Instrument):
    """The clock of a trio run, and an instrument of the same run."""

    def __init__(self, steady: Steady) -> None:
        self._steady = steady

    def start_clock(self) -> None:
        """Do nothing: the clock runs from the first moment."""

    def current_time(self) -> float:
        """The time of all deadlines."""
        return self._steady.now()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """At most a slice: trio asks again."""
        return min(SLICE_S, max(0.0, deadline - self._steady.now()))

    def before_io_wait(self, timeout: float) -> None:
        """Begin to wait."""
        self._steady.begin_waiting()

    def after_io_wait(self, timeout: float) -> None:
        """End the wait."""
        self._steady.end_waiting(min(SLICE_S, timeout))
