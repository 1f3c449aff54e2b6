"""The pulse of a link: asks a quiet node whether it is there, and says when it has fallen silent.

A node that is stopped, or a link that swallows everything, breaks no connection. So while somebody
waits, a quiet node is pinged; one that says nothing for a while longer is *silent*. That may be wrong,
and harms nothing then: those who wait are told and may ask elsewhere too, and what the node says later
counts as ever.

A node that answers late was slow and not gone. It is given more time from then on, until it answers
promptly again: an overloaded node must not lose its clients to others that are overloaded as well.
"""

from collections.abc import Callable
from math import inf

import anyio

from ..registry.errors import Unreachable
from .bell import Bell

PING_SECONDS = 0.4
"""So long a link on which somebody waits may be quiet before its node is pinged."""
PATIENCE_SECONDS = 0.4
"""So long a ping may go without anything being heard, before the node is silent."""
LONGEST_PATIENCE_SECONDS = 3.0
LAST_LOOK_SECONDS = 0.02
"""What has come while this process was held up is read in this time, before a node is judged by it."""
DEAD_SECONDS = 10.0
"""The connection to a node that is silent for so long is ended."""


class Pulse:
    """Watches over one open connection.

    Args:
        ping: sends a ping, without waiting.
        expects: whether anybody waits for something.
        allowance: seconds that what is on its way may take, beyond the usual.
        on_silent: called when the node has fallen silent.

    Attributes:
        silent: nothing came since the node was pinged, and that is too long ago.
        heard_at: when something came last, on anyio's clock.
    """

    def __init__(
        self,
        ping: Callable[[], None],
        expects: Callable[[], bool],
        allowance: Callable[[], float],
        on_silent: Callable[[], None],
    ) -> None:
        self.silent = False
        self.heard_at = anyio.current_time()
        self._ping, self._expects = ping, expects
        self._allowance, self._on_silent = allowance, on_silent
        self._patience = PATIENCE_SECONDS
        self._asked_at = inf
        self._resting = False
        self._bell = Bell()

    def stir(self) -> None:
        """Somebody may wait for something now."""
        if self._resting:
            self._resting = False
            self._bell.ring()

    def heard(self) -> None:
        """Something came."""
        self.heard_at = anyio.current_time()
        if self._asked_at < inf:
            self._learn(self.heard_at - self._asked_at)
        if self.silent:
            self.silent = False
            self._bell.ring()

    async def watch(self) -> None:
        """Ping as long as somebody waits and nothing is heard.

        Raises:
            Unreachable: the node was silent for too long to keep the connection.
        """
        while True:
            since = await self._rest()
            while self._expects():
                await anyio.sleep_until(max(since, self.heard_at) + PING_SECONDS)
                if self._expects() and anyio.current_time() >= self.heard_at + PING_SECONDS:
                    await self._ask()

    async def _rest(self) -> float:
        """Return when somebody waits; returns since when."""
        while not self._expects():
            self._resting = True
            await self._bell.wait()
        return anyio.current_time()

    async def _ask(self) -> None:
        self._asked_at = anyio.current_time()
        self._ping()
        await anyio.sleep(self._patience + self._allowance())
        if self._asked_at < inf:
            await anyio.sleep(LAST_LOOK_SECONDS)
        if self._asked_at < inf:
            self.silent = True
            self._on_silent()
            await self._until_heard()

    async def _until_heard(self) -> None:
        with anyio.move_on_after(DEAD_SECONDS):
            while self.silent:
                await self._bell.wait()
            return
        raise Unreachable(f"nothing came for {DEAD_SECONDS:g} seconds")

    def _learn(self, seconds: float) -> None:
        """A ping was answered after so long, or something else came then."""
        self._asked_at = inf
        if seconds > self._patience:
            self._patience = min(LONGEST_PATIENCE_SECONDS, 2 * self._patience)
        elif seconds < self._patience / 4:
            self._patience = max(PATIENCE_SECONDS, self._patience / 2)
