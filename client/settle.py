"""Driving attempts: one task settles any number of errands at once, until a deadline."""

from collections import deque
from collections.abc import Iterable, Sequence
from math import inf

from ..registry.errors import DecreedError
from .attempt import Attempt, Reply
from .bell import Bell
from .errands import Errand
from .pool import Pool

WINDOW = 1_024


async def settle(
    pool: Pool, errands: Sequence[Errand], deadline: float
) -> list[Reply | DecreedError]:
    """Settle all errands, each by itself, and return their results in order.

    What is not settled at `deadline`, on the runtime's clock, ends with an error. At most `WINDOW` are
    on their way at a time. If the caller is cancelled, the nodes are told that nobody waits any more.
    """
    driver = _Driver(pool, errands, deadline)
    try:
        with pool.ringing(driver.bell):
            while driver.turn(pool.now()):
                await pool.runtime.listen(driver.bell, driver.wake_at)
    finally:
        driver.withdraw()
    return driver.results()


class _Driver:
    """Turns those attempts that have news, and all of them when a time has come."""

    def __init__(self, pool: Pool, errands: Sequence[Errand], deadline: float) -> None:
        self.bell = Bell()
        # no attempt must be turned before this time, unless it has news
        self.wake_at = inf
        self._pool = pool
        self._attempts = [Attempt(errand, pool, self._wake, deadline) for errand in errands]
        self._waiting = deque(self._attempts)
        self._live: dict[Attempt, None] = {}
        self._woken: dict[Attempt, None] = {}

    def turn(self, now: float) -> bool:
        """Do all that is to be done at `now`; whether anything is left to wait for."""
        due, self._woken = self._woken, {}
        if now >= self.wake_at or self._pool.closed:
            due, self.wake_at = dict(self._live), inf
        self._advance(due, now)
        while self._waiting and len(self._live) < WINDOW:
            started = self._waiting.popleft()
            self._live[started] = None
            self._advance((started,), now)
        self._pool.push()
        return bool(self._live)

    def withdraw(self) -> None:
        """Nobody waits for the results any more."""
        for attempt in self._live:
            attempt.withdraw()

    def results(self) -> list[Reply | DecreedError]:
        """What became of the errands, in order."""
        return [_result(attempt) for attempt in self._attempts]

    def _wake(self, attempt: Attempt) -> None:
        self._woken[attempt] = None
        self.bell.ring()

    def _advance(self, attempts: Iterable[Attempt], now: float) -> None:
        for attempt in attempts:
            attempt.advance(now)
            if attempt.result is None:
                self.wake_at = min(self.wake_at, attempt.wake_at)
            else:
                self._live.pop(attempt, None)


def _result(attempt: Attempt) -> Reply | DecreedError:
    assert attempt.result is not None
    return attempt.result
