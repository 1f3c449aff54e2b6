"""Leases: how long a node counts a term as held, by its own clock, in memory only.

Why two holders never overlap (design 11). A holder counts itself holder until *s* + ttl, less a
margin for clocks of different rates, where *s* is when it sent a request that a prepare quorum
answered. Each node of that quorum started its lease after *s*. The next term is chosen by an accept
quorum, which shares a node with the prepare quorum. That node had a lease on the term, so it did not
accept the next one until its lease was over. A node that lost its leases at a restart refuses for as
long as the longest of them could have run. Nodes that have accepted the next term renew nothing. So
the next holder's first request is answered only after the last validity of the previous holder ended.

Invariants kept here:

* a lease runs for the whole ttl from the moment at which it is started or renewed;
* `refusal_ms` lets a term pass only if the previous one was released by its own holder (or forced), or
  if no lease on it runs here, nor can one from before this node's start still run;
* a released term is not renewed;
* no lease runs for a claim that was given up: its claimer has promised never to count itself the
  holder, which is equivalent to a release;
* no lease replaces another: when a node accepts a claim that lost, late or again, no lease of the
  holder ends.

Time is an argument: milliseconds on a clock of the node that also runs while the machine sleeps.
"""

from msgspec import Struct

from ..types import Decree, Key
from .giveups import GiveUps
from .terms import Ending, How, LeaseId, Previous, lease_id, lock_and_term, term_of

MAX_ENDED = 10_000
"""For how many expired leases the node remembers how their term ended."""

_BREAKS = frozenset({How.BROKEN, How.FORCED})
_PASSES = frozenset({How.RELEASED, How.FORCED})
_RELEASED = Ending(How.RELEASED)


class Lease(Struct, frozen=True):
    """A node's lease on one hold of a term.

    Args:
        lease_id: the lease id.
        until_ms: when it runs out, unless it is renewed.
        ending: how the term ended, if this node was told.
        secret_hash: of the holder's secret, if this node was told.
    """

    lease_id: LeaseId
    until_ms: float
    ending: Ending | None = None
    secret_hash: bytes | None = None


class Leases:
    """All leases of a node, one for each `LeaseId`: a term for which two claims compete may have two.

    No lease ever replaces another. The accept of a claim that lost may reach a node late, or again, and
    must not end the lease of the holder.

    Args:
        started_ms: when this incarnation of the node began; the leases of earlier ones are lost.

    Attributes:
        given_up: the claims for which no lease runs.
    """

    def __init__(self, started_ms: float = 0.0) -> None:
        self.started_ms = started_ms
        self.given_up = GiveUps()
        self._leases: dict[str, dict[LeaseId, Lease]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._leases.values()))

    @property
    def running(self) -> int:
        """How many leases are on terms that were neither released nor broken."""
        return sum(lease.ending is None for lease in self._all())

    def start(
        self, now_ms: float, lease_id: LeaseId, ttl_ms: float, secret_hash: bytes | None
    ) -> None:
        """Start a lease: the node accepts a term for this holder."""
        self._put(Lease(lease_id, now_ms + ttl_ms, self.ending(lease_id), secret_hash))
        self.end_if_given_up(now_ms, lease_id, ttl_ms, secret_hash)

    def renew(
        self, now_ms: float, lease_id: LeaseId, ttl_ms: float, secret_hash: bytes | None
    ) -> bool:
        """Start the lease again at a keep-alive, unless the term is over; returns whether it did.

        The caller has checked that the node has neither accepted nor learned the next term.
        """
        self.end_if_given_up(now_ms, lease_id, ttl_ms, secret_hash)
        later = any(held.term > lease_id.term for held in self._leases.get(lease_id.lock, ()))
        if later or self.ending(lease_id) is not None:
            return False
        self._put(Lease(lease_id, now_ms + ttl_ms, None, secret_hash))
        return True

    def end(self, now_ms: float, lease_id: LeaseId, ttl_ms: float, ending: Ending) -> None:
        """Note that the holder released the term or an operator broke it, so that it is not renewed.

        Remembered until the next term is decided, whose decree records it. A release takes precedence
        over a break, in either order.
        """
        known = self.ending(lease_id)
        if known is None or known.how not in _PASSES:
            held = self._of(lease_id)
            until_ms = held.until_ms if held is not None else now_ms + ttl_ms
            secret_hash = held.secret_hash if held is not None else None
            self._put(Lease(lease_id, until_ms, ending, secret_hash))

    def end_if_released(self, now_ms: float, key: Key, previous: Previous | None) -> None:
        """Note what a proposal for the term at `key` says, if it is that the previous one was released.

        The node that first proposed it had that from the holder, or from a node that had. So a node may
        be told of a release in this way alone.
        """
        if previous is not None and previous.ending.how is How.RELEASED:
            lock, term = lock_and_term(key)
            before = LeaseId(lock, term - 1, previous.claim_id)
            self.end(now_ms, before, previous.ttl_ms, previous.ending)

    def give_up(
        self, now_ms: float, lock: str, claim_id: bytes, ttl_ms: float, secret_hash: bytes
    ) -> bool:
        """Note that a claim is given up: end its leases that run, and start no other.

        Returns:
            Whether the give-up is remembered; False if there are too many.
        """
        for lease in list(self._leases.get(lock, {}).values()):
            if (lease.lease_id.claim_id, lease.secret_hash) == (claim_id, secret_hash):
                self.end(now_ms, lease.lease_id, ttl_ms, _RELEASED)
        return self.given_up.add(claim_id, secret_hash, now_ms + ttl_ms)

    def end_if_given_up(
        self, now_ms: float, lease_id: LeaseId, ttl_ms: float, secret_hash: bytes | None
    ) -> bool:
        """End a term whose claim was given up; returns whether it was."""
        given_up = self.given_up.has(lease_id.claim_id, secret_hash)
        if given_up:
            self.end(now_ms, lease_id, ttl_ms, _RELEASED)
        return given_up

    def end_if_decreed_to_given_up(self, now_ms: float, decree: Decree) -> bool:
        """End a decreed term if its claim was given up; returns whether it was."""
        if not self.given_up.may_have(decree.claim_id):
            return False
        term = term_of(decree)
        return self.end_if_given_up(now_ms, lease_id(decree), term.ttl_ms, term.secret_hash)

    def superseded(self, lock: str, term: int) -> None:
        """Drop the leases on earlier terms: term `term` of `lock` is decided."""
        for held in [held for held in self._leases.get(lock, ()) if held.term < term]:
            self._drop(held)

    def ending(self, lease_id: LeaseId) -> Ending | None:
        """How the term ended, if this node was told."""
        held = self._of(lease_id)
        return held.ending if held is not None else None

    def broken(self) -> list[Lease]:
        """The leases on terms that an operator has broken, as far as this node was told."""
        ended = [lease for lease in self._all() if lease.ending is not None]
        return [lease for lease in ended if lease.ending and lease.ending.how in _BREAKS]

    def remaining_ms(self, now_ms: float, lease_id: LeaseId, ttl_ms: float) -> float:
        """How long this node would still refuse the term after `lease_id`; 0 if it accepts it now."""
        ending = self.ending(lease_id)
        if ending is not None and ending.how in _PASSES:
            return 0.0
        held = self._of(lease_id)
        until_ms = held.until_ms if held is not None else now_ms
        return max(0.0, until_ms - now_ms, self.started_ms + ttl_ms - now_ms)

    def refusal_ms(self, now_ms: float, key: Key, previous: Previous | None) -> float:
        """The lease check: how long the term at `key`, which follows `previous`, must be refused.

        A release in the proposal came from the holder itself, and so did one that this node was told
        of: either ends the lease immediately.

        Returns:
            Milliseconds; 0 if it may be accepted now. Refusing is always safe.
        """
        if previous is None or previous.ending.how in _PASSES:
            return 0.0
        lock, term = lock_and_term(key)
        before = LeaseId(lock, term - 1, previous.claim_id)
        return self.remaining_ms(now_ms, before, previous.ttl_ms)

    def prune(self, now_ms: float) -> None:
        """Drop expired leases and old give-ups.

        The endings of the latest `MAX_ENDED` expired leases are kept.
        """
        self.given_up.prune(now_ms)
        over = [lease for lease in self._all() if lease.until_ms <= now_ms]
        ended = [lease.lease_id for lease in over if lease.ending is not None]
        kept = set(ended[-MAX_ENDED:])
        for lease in over:
            if lease.lease_id not in kept:
                self._drop(lease.lease_id)

    def _all(self) -> list[Lease]:
        return [lease for leases in self._leases.values() for lease in leases.values()]

    def _of(self, lease_id: LeaseId) -> Lease | None:
        return self._leases.get(lease_id.lock, {}).get(lease_id)

    def _put(self, lease: Lease) -> None:
        self._leases.setdefault(lease.lease_id.lock, {})[lease.lease_id] = lease

    def _drop(self, lease_id: LeaseId) -> None:
        leases = self._leases[lease_id.lock]
        del leases[lease_id]
        if not leases:
            del self._leases[lease_id.lock]
