"""Holding: how long a holder may count itself the holder. Pure.

The client's hold uses `confirmed` and `valid`, and so do the simulator's contenders. Whether validity
may count from the claim itself, the client decides by the rule of `granted`, in its own acquire.

Invariants kept here:

* validity counts from the moment at which a request was *sent*, never from its answer;
* a margin of twice the bound on clock rates is subtracted from the ttl, since the holder's clock and a
  node's may drift in opposite directions;
* validity never counts from a request that was sent twice: which sending was answered is not known;
* a lapsed validity is never revived: an answer that comes too late changes nothing.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from .terms import LeaseId

MAX_CLOCK_DRIFT = 0.005
"""How far the rate of any clock may be from true time; beyond it, validities could overlap."""


def validity_ms(ttl_ms: float) -> float:
    """For how long after sending an answered request its sender is the holder."""
    return ttl_ms * (1 - 2 * MAX_CLOCK_DRIFT)


class Holding(Struct, frozen=True):
    """A term that was granted.

    Args:
        lease_id: the lease id of the hold.
        ttl_ms: how long its leases run.
        until_ms: when validity ends on the holder's own clock; None until it begins.
    """

    lease_id: LeaseId
    ttl_ms: float
    until_ms: float | None = None

    @classmethod
    def granted(
        cls, lease_id: LeaseId, ttl_ms: float, leased: bool, sent_ms: Sequence[float], now_ms: float
    ) -> "Holding":
        """The holding of a claim that was granted; validity may count from the claim itself.

        It does only if the claim was sent exactly once and that validity is not over already, as it
        is after a long wait in the queue. Otherwise validity begins with the first keep-alive.

        Args:
            lease_id: the lease id of the hold.
            ttl_ms: how long its leases run.
            leased: whether every accept quorum contains a node that accepted the claim with a lease.
            sent_ms: the times at which the claim was sent.
            now_ms: the time now.
        """
        held = cls(lease_id, ttl_ms)
        if not leased or len(sent_ms) != 1 or now_ms >= sent_ms[0] + validity_ms(ttl_ms):
            return held
        return held.confirmed(sent_ms[0], now_ms)

    def confirmed(self, sent_ms: float, now_ms: float) -> "Holding":
        """The holding once a prepare quorum has answered the request that was sent at `sent_ms`."""
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
