"""The pulse of a link: pings a quiet node, and tells when it has fallen silent.

A stopped node, or a network that drops everything, breaks no connection. So while a request waits, a
quiet node is pinged; if it says nothing for a while longer it is *silent*. A wrong suspicion does no
harm: the waiting requests may also go to another node, and later answers of this node still count.

A node that answers late was slow, not gone. From then on it gets more time, until it answers promptly
again: an overloaded node must not lose its clients to others that are overloaded too.

A state machine that never waits: the code that moves the link's bytes calls `advance` at `wake_at`.
"""

from collections.abc import Callable
from math import inf
from typing import Protocol

from ...registry.errors import Unreachable

PING_SECONDS = 0.4
"""How long a link on which a request waits may be quiet before its node is pinged."""
PATIENCE_SECONDS = 0.4
"""How long after a ping nothing may come before the node is silent."""
LONGEST_PATIENCE_SECONDS = 3.0
LAST_LOOK_SECONDS = 0.02
"""Time to read what came while this process was held up, before the node is found silent."""
DEAD_SECONDS = 10.0
"""After this long a silence the connection is closed."""


class Body(Protocol):
    """What a pulse watches: one open connection and the requests that wait on it."""

    def ping(self) -> None:
        """Send a ping, without waiting."""

    def expects(self) -> bool:
        """Whether a request waits."""
        ...

    def allowance(self) -> float:
        """Extra seconds that the values in flight may need."""
        ...

    def fall_silent(self) -> None:
        """Called when the node has fallen silent."""

    def wake_watcher(self) -> None:
        """Called when `Pulse.wake_at` has become earlier."""


class Pulse:
    """Watches over one open connection.

    Args:
        body: the connection.
        now: the time in seconds, on the clock of all deadlines.

    Attributes:
        silent: nothing came for too long after a ping.
        heard_at: when something last came.
        wake_at: when to call `advance` next; infinite while no request waits.
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
        """Start watching: a request may wait now."""
        if self.wake_at == inf:
            self._since = self._now()
            self.wake_at = self._since + PING_SECONDS
            self._body.wake_watcher()

    def heard(self) -> None:
        """Note that something came."""
        self.heard_at = self._now()
        if self._asked_at < inf:
            self._learn(self.heard_at - self._asked_at)
        if self.silent:
            self.silent = False
            self._next(self._look, self.heard_at)
            self._body.wake_watcher()

    def advance(self, now: float) -> None:
        """Ping, or judge the node silent, if it is time to.

        Raises:
            Unreachable: the node was silent for `DEAD_SECONDS`.
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
        """Adapt the patience: something came `seconds` after a ping."""
        self._asked_at = inf
        if seconds > self._patience:
            self._patience = min(LONGEST_PATIENCE_SECONDS, 2 * self._patience)
        elif seconds < self._patience / 4:
            self._patience = max(PATIENCE_SECONDS, self._patience / 2)
