"""Holding: until when a holder may take itself for the holder. Pure.

The client's hold goes by `confirmed` and `valid`, and so do the simulator's contenders; whether a
claim counts itself, the client decides as `granted` does, while it still asks.

Invariants kept here:

* validity counts from the moment at which a request was *sent*, never from its answer;
* a margin of twice the bound on clock rates is taken off the ttl, since the holder's clock and a
  node's may drift apart in opposite directions;
* what was sent more than once is not counted from: which sending was answered is not known;
* a validity that has lapsed is never revived: an answer that comes too late changes nothing.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from .terms import Tenure

MAX_CLOCK_DRIFT = 0.005
"""How far the rate of any clock may be from true time; beyond it, validities could overlap."""


def validity_ms(ttl_ms: float) -> float:
    """How long after the sending of an answered request its sender is the holder."""
    return ttl_ms * (1 - 2 * MAX_CLOCK_DRIFT)


class Holding(Struct, frozen=True):
    """A term that was granted.

    Args:
        tenure: whose hold of which term.
        ttl_ms: how long its leases run.
        until_ms: when validity ends on the holder's own clock; None before it has begun.
    """

    tenure: Tenure
    ttl_ms: float
    until_ms: float | None = None

    @classmethod
    def granted(
        cls, tenure: Tenure, ttl_ms: float, leased: bool, sent_ms: Sequence[float], now_ms: float
    ) -> "Holding":
        """A claim was granted, which may itself be the first request that validity counts from.

        It is so only if it was sent exactly once and its validity is not over by now, as it is
        after a wait in the queue; otherwise validity begins with the first keep-alive.

        Args:
            tenure: whose hold of which term.
            ttl_ms: how long its leases run.
            leased: so many nodes had accepted that no accept quorum is without one of them.
            sent_ms: when the claim was sent, each time that it was.
            now_ms: the time now.
        """
        held = cls(tenure, ttl_ms)
        if not leased or len(sent_ms) != 1 or now_ms >= sent_ms[0] + validity_ms(ttl_ms):
            return held
        return held.confirmed(sent_ms[0], now_ms)

    def confirmed(self, sent_ms: float, now_ms: float) -> "Holding":
        """A prepare quorum has answered what was sent at `sent_ms`; it is `now_ms` now."""
        if self.until_ms is not None and not self.valid(now_ms):
            return self
        until_ms = sent_ms + validity_ms(self.ttl_ms)
        return replace(self, until_ms=max(until_ms, self.until_ms or until_ms))

    def valid(self, now_ms: float) -> bool:
        """Whether the holder may act as such at `now_ms`."""
        return self.until_ms is not None and now_ms < self.until_ms

    def remaining_ms(self, now_ms: float) -> float:
        """How much of the validity is left."""
        return max(0.0, self.until_ms - now_ms) if self.until_ms is not None else 0.0
