"""The pulse of a link: asks a quiet node whether it is there, and says when it has fallen silent.

A node that is stopped, or a link that swallows everything, breaks no connection. So while somebody
waits, a quiet node is pinged; one that says nothing for a while longer is *silent*. That may be wrong,
and harms nothing then: those who wait are told and may ask elsewhere too, and what the node says later
counts as ever.

A node that answers late was slow and not gone. It is given more time from then on, until it answers
promptly again: an overloaded node must not lose its clients to others that are overloaded as well.

A state machine that never waits: whoever moves the link's bytes calls `advance` at `wake_at`.
"""

from collections.abc import Callable
from math import inf
from typing import Protocol

from ..registry.errors import Unreachable

PING_SECONDS = 0.4
"""So long a link on which somebody waits may be quiet before its node is pinged."""
PATIENCE_SECONDS = 0.4
"""So long a ping may go without anything being heard, before the node is silent."""
LONGEST_PATIENCE_SECONDS = 3.0
LAST_LOOK_SECONDS = 0.02
"""What has come while this process was held up is read in this time, before a node is judged by it."""
DEAD_SECONDS = 10.0
"""The connection to a node that is silent for so long is ended."""


class Body(Protocol):
    """What a pulse is of: one open connection and those who wait on it."""

    def ping(self) -> None:
        """Send a ping, without waiting."""

    def expects(self) -> bool:
        """Whether anybody waits for something."""
        ...

    def allowance(self) -> float:
        """Seconds that what is on its way may take, beyond the usual."""
        ...

    def fall_silent(self) -> None:
        """The node has fallen silent."""

    def wake_watcher(self) -> None:
        """`Pulse.wake_at` is earlier than it was."""


class Pulse:
    """Watches over one open connection.

    Args:
        body: the connection.
        now: the time in seconds, on the clock of all deadlines.

    Attributes:
        silent: nothing came since the node was pinged, and that is too long ago.
        heard_at: when something came last.
        wake_at: when to call `advance` next; infinite while nobody waits.
    """

    def __init__(self, body: Body, now: Callable[[], float]) -> None:
        self.silent = False
        self._body, self._now = body, now
        self.heard_at = self._since = now()
        self._patience = PATIENCE_SECONDS
        self._asked_at = inf
        self._step: Callable[[float], None] = self._look
        self.wake_at = self.heard_at + PING_SECONDS if body.expects() else inf

    def stir(self) -> None:
        """Somebody may wait for something now."""
        if self.wake_at == inf:
            self._since = self._now()
            self.wake_at = self._since + PING_SECONDS
            self._body.wake_watcher()

    def heard(self) -> None:
        """Something came."""
        self.heard_at = self._now()
        if self._asked_at < inf:
            self._learn(self.heard_at - self._asked_at)
        if self.silent:
            self.silent = False
            self._next(self._look, self.heard_at)
            self._body.wake_watcher()

    def advance(self, now: float) -> None:
        """Ping, or judge, if it is time to.

        Raises:
            Unreachable: the node was silent for too long to keep the connection.
        """
        if now >= self.wake_at:
            self._step(now)

    def _next(self, step: Callable[[float], None], at: float) -> None:
        self._step, self.wake_at = step, at

    def _look(self, now: float) -> None:
        if not self._body.expects():
            self.wake_at = inf
            return
        quiet_until = max(self._since, self.heard_at) + PING_SECONDS
        if now < quiet_until:
            self.wake_at = quiet_until
            return
        self._asked_at = now
        self._next(self._look_again, now + self._patience + self._body.allowance())
        self._body.ping()

    def _look_again(self, now: float) -> None:
        if self._asked_at < inf:
            self._next(self._judge, now + LAST_LOOK_SECONDS)
        else:
            self._next(self._look, now)
            self._look(now)

    def _judge(self, now: float) -> None:
        if self._asked_at < inf:
            self.silent = True
            self._next(self._give_up, now + DEAD_SECONDS)
            self._body.fall_silent()
        else:
            self._next(self._look, now)
            self._look(now)

    def _give_up(self, now: float) -> None:
        raise Unreachable(f"nothing came for {DEAD_SECONDS:g} seconds")

    def _learn(self, seconds: float) -> None:
        """A ping was answered after so long, or something else came then."""
        self._asked_at = inf
        if seconds > self._patience:
            self._patience = min(LONGEST_PATIENCE_SECONDS, 2 * self._patience)
        elif seconds < self._patience / 4:
            self._patience = max(PATIENCE_SECONDS, self._patience / 2)
