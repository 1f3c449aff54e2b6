"""What must hold of locks, judged on the world's own time, which no node or contender can read.

A holder's validity is a span of true time. It begins when the holder gets the answer. It ends when
the holder's clock reaches the end that it computed, or when it gives the lock up. The spans of one
lock must not overlap, and they come in the order of the terms.
"""

from collections import Counter
from dataclasses import dataclass

from decreed.registry.config import ClusterConfig
from decreed.registry.locks.terms import (
    How,
    LeaseId,
    TermClaim,
    is_term,
    lease_id,
    lock_and_term,
    term_key,
    term_of,
)
from decreed.registry.types import Decree, Key

from .invariants import CheckedWorld
from .plan import Plan


@dataclass(slots=True)
class Span:
    """When a contender counted itself as holder, in true time."""

    lease_id: LeaseId
    start_ms: float
    end_ms: float


class Spans:
    """All validities of a run."""

    def __init__(self) -> None:
        self._spans: dict[str, dict[int, Span]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._spans.values()))

    def holds(self, held: LeaseId, now_ms: float, end_ms: float) -> None:
        """A holder has computed that it is the holder until `end_ms`."""
        spans = self._spans.setdefault(held.lock, {})
        span = spans.setdefault(held.term, Span(held, now_ms, end_ms))
        assert span.lease_id == held, f"{held} and {span.lease_id} hold one term"
        span.end_ms = max(span.end_ms, end_ms)
        for term, other in spans.items():
            if term < held.term:
                assert other.end_ms <= span.start_ms, f"{other} overlaps {span}"
            elif term > held.term:
                assert span.end_ms <= other.start_ms, f"{span} overlaps {other}"

    def gives_up(self, held: LeaseId, now_ms: float) -> None:
        """A holder has stopped being the holder."""
        span = self._spans.get(held.lock, {}).get(held.term)
        if span is not None and span.lease_id == held:
            span.end_ms = min(span.end_ms, now_ms)


class LockWorld(CheckedWorld):
    """A rough cluster in which terms are checked against the rules of locks as well.

    Attributes:
        wanted: the lock and the claim of each contender, by claim id.
        given_up: the ids of the claims that were given up.
        ended: how terms were ended by those that may, from the time at which they asked for it.
        seen: the counts of what happened.
    """

    def __init__(self, cluster: ClusterConfig, plan: Plan) -> None:
        self.wanted: dict[bytes, tuple[str, TermClaim]] = {}
        self.given_up: set[bytes] = set()
        self.ended: set[tuple[LeaseId, How]] = set()
        self.seen = Counter[str]()
        super().__init__(cluster, plan)

    def _proposed(self, key: Key, decree: Decree) -> None:
        if not is_term(key):
            super()._proposed(key, decree)
            return
        lock, number = lock_and_term(key)
        wanted_lock, wish = self.wanted[decree.claim_id]
        term = term_of(decree)
        assert lock == wanted_lock
        said = (decree.claimant, decree.note, term.ttl_ms, term.info)
        assert said == (wish.holder, wish.note, wish.ttl_ms, wish.info)
        if number == 1:
            assert term.previous is None
            return
        before = self.chosen.get(term_key(lock, number - 1))
        assert before is not None, f"{key} proposed before the term before was chosen"
        self._check_previous(key, decree, before)

    def _check_previous(self, key: Key, decree: Decree, before: Decree) -> None:
        previous = term_of(decree).previous
        assert previous is not None
        assert previous.claim_id == before.claim_id, "it follows another claim than was chosen"
        assert previous.ttl_ms == term_of(before).ttl_ms
        how = previous.ending.how
        self.seen[f"a term ended: {how.name}"] += 1
        given_up = how is How.RELEASED and before.claim_id in self.given_up
        if how is not How.EXPIRED and not given_up:
            assert (lease_id(before), how) in self.ended, f"{key} says {how.name}, nobody else did"
