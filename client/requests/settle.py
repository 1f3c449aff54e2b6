"""Driving attempts: one task settles any number of operations at once, until a deadline."""

from collections import deque
from collections.abc import Iterable, Sequence
from math import inf

from ...registry.errors import DecreedError
from ..transport.wakeup import Wakeup
from .attempt import NodeReply, RequestAttempt
from .operations import Operation
from .pool import Pool

WINDOW = 1_024


async def settle(
    pool: Pool, operations: Sequence[Operation], deadline: float
) -> list[NodeReply | DecreedError]:
    """Settle all operations independently, and return their results in order.

    What is not settled at `deadline`, on the runtime's clock, ends with an error. At most `WINDOW` are
    in flight at a time. If the caller is cancelled, the nodes are sent cancels.
    """
    driver = _Driver(pool, operations, deadline)
    try:
        with pool.ringing(driver.wakeup):
            while driver.turn(pool.now()):
                await pool.runtime.listen(driver.wakeup, driver.wake_at)
    finally:
        driver.withdraw()
    return driver.results()


class _Driver:
    """Advances the attempts that have events, and all of them when a timeout is due."""

    def __init__(self, pool: Pool, operations: Sequence[Operation], deadline: float) -> None:
        self.wakeup = Wakeup()
        # before this time only attempts with events need to be advanced
        self.wake_at = inf
        self._pool = pool
        self._attempts = [
            RequestAttempt(operation, pool, self._wake, deadline) for operation in operations
        ]
        self._waiting = deque(self._attempts)
        self._live: dict[RequestAttempt, None] = {}
        self._woken: dict[RequestAttempt, None] = {}

    def turn(self, now: float) -> bool:
        """Advance everything that is due at `now`; returns whether anything is left to wait for."""
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
        """Withdraw all attempts: nobody waits for their results any more."""
        for attempt in self._live:
            attempt.withdraw()

    def results(self) -> list[NodeReply | DecreedError]:
        """The results of the operations, in order."""
        return [_result(attempt) for attempt in self._attempts]

    def _wake(self, attempt: RequestAttempt) -> None:
        self._woken[attempt] = None
        self.wakeup.wake()

    def _advance(self, attempts: Iterable[RequestAttempt], now: float) -> None:
        for attempt in attempts:
            attempt.advance(now)
            if attempt.result is None:
                self.wake_at = min(self.wake_at, attempt.wake_at)
            else:
                self._live.pop(attempt, None)


def _result(attempt: RequestAttempt) -> NodeReply | DecreedError:
    assert attempt.result is not None
    return attempt.result
