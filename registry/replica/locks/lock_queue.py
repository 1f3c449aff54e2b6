"""A lock queue: those who wait for one lock at a node, and the question that is asked for them."""

from collections import OrderedDict

from msgspec import Struct, field

from ...locks.terms import Ending, How, lease_id, term_of
from ...paxos.quorums import Quorums
from ...types import Decree, NodeId
from ...wire.peers import AskLease, LeaseAnswer
from ...wire.requests import LockRequest
from ..step.pending import PendingRequest

MAX_PAUSE_MS = 2_000
FRESH_MS = 100.0
"""So long nobody is asked about a term that has just begun: many are over sooner."""
SHORT_MS = 1_000.0
"""Requests with less time left than this are answered immediately."""

AT_ONCE = (How.RELEASED, How.FORCED)
"""Endings that need no lease to run out."""


class Ask(Struct, eq=False):
    """One question to all: is this term live with you?

    Attributes:
        token: names it.
        decree: of the term.
        serves: the requests that arrived before it was asked.
        answers: who has said what.
        told: a prepare quorum has answered, but one of them has a lease on it; a later answer may
            still complete a quorum of those who have none.
    """

    token: int
    decree: Decree
    serves: list[PendingRequest]
    answers: dict[NodeId, LeaseAnswer] = {}
    told: bool = False

    @property
    def awaited(self) -> bool:
        """Whether anybody whom it was asked for still waits."""
        return any(not pending.done for pending in self.serves)

    def mark_undecided(self) -> None:
        """A prepare quorum has told how things stand since these arrived."""
        for pending in self.serves:
            pending.undecided = True

    def question(self) -> AskLease:
        """What goes to every node."""
        term = term_of(self.decree)
        return AskLease(self.token, lease_id(self.decree), term.ttl_ms, term.secret_hash)

    def answered(self, quorums: Quorums) -> bool:
        """Whether a prepare quorum has said how things stand."""
        return quorums.prepared(self.answers.keys())

    def free(self, quorums: Quorums) -> bool:
        """Whether a prepare quorum has said that it has no lease on the term."""
        return quorums.prepared([n for n, given in self.answers.items() if not given.remaining_ms])

    def released(self, quorums: Quorums) -> bool:
        """Whether a prepare quorum has answered, and one of it knows of an end that needs no wait.

        The others may not have been told yet, and have leases; the proposal tells them.
        """
        ending = self.ending()
        return self.answered(quorums) and ending is not None and ending.how in AT_ONCE

    def next_may_be_chosen(self) -> bool:
        """Whether somebody has accepted something for the next term."""
        return any(given.accepted for given in self.answers.values())

    def wait_ms(self, quorums: Quorums) -> int:
        """When, at the earliest, a prepare quorum will have no lease on the term."""
        return sorted(given.remaining_ms for given in self.answers.values())[quorums.prepare - 1]

    def ending(self) -> Ending | None:
        """How the term ended, if anybody was told; a release counts most."""
        endings = [given.ending for given in self.answers.values() if given.ending is not None]
        return min(endings, key=lambda one: (one.how not in AT_ONCE, one.how), default=None)


class LockQueue(Struct, eq=False):
    """The work on one lock while anybody waits for it here.

    Attributes:
        lock: its name.
        waiters: the requests, in order of arrival.
        queued: how many of them wait until it is theirs.
        by_claim: those who want it, by the ids of their claims.
        ask: the question under way.
        candidate: the waiter whose claim of the next term is proposed.
        serial: of the timer that counts now.
        searching: the number of the disk's search for the latest term.
        floor_for: the waiter for whom the term at the floor is read from a quorum.
        held_until_ms: when the latest term may be over, as a quorum said.
        looks_ms: when the timer looks again.
    """

    lock: str
    waiters: OrderedDict[PendingRequest, None] = field(
        default_factory=OrderedDict[PendingRequest, None]
    )
    queued: int = 0
    by_claim: dict[bytes, dict[PendingRequest, None]] = {}
    ask: Ask | None = None
    candidate: PendingRequest | None = None
    serial: int = 0
    searching: int | None = None
    floor_for: PendingRequest | None = None
    held_until_ms: float = 0.0
    looks_ms: float = 0.0

    def join(self, pending: PendingRequest) -> None:
        """Somebody waits, behind all others."""
        self.waiters[pending] = None
        self.queued += queues(pending)
        if pending.claim_id is not None:
            self.by_claim.setdefault(pending.claim_id, {})[pending] = None

    def leave(self, pending: PendingRequest) -> None:
        """Somebody waits no more. There may be thousands, and all may leave one by one."""
        if pending in self.waiters:
            del self.waiters[pending]
            self.queued -= queues(pending)
            self._forget_claim(pending)
        if self.candidate is pending:
            self.candidate = None

    def _forget_claim(self, pending: PendingRequest) -> None:
        if pending.claim_id is not None:
            del self.by_claim[pending.claim_id][pending]
            if not self.by_claim[pending.claim_id]:
                del self.by_claim[pending.claim_id]

    def drop_finished(self) -> None:
        """Pass over those who have gone."""
        for pending in [pending for pending in self.waiters if pending.done]:
            self.leave(pending)
        if self.candidate is not None and self.candidate.done:
            self.candidate = None

    def foremost(self) -> PendingRequest:
        """Who has waited for longest."""
        return next(iter(self.waiters))

    def first(self) -> PendingRequest | None:
        """The waiter whose turn it is."""
        return next((pending for pending in self.waiters if wants_it(pending)), None)

    def read_only(self) -> list[PendingRequest]:
        """Those who only want to know who has the lock."""
        return [pending for pending in self.waiters if not wants_it(pending)]

    def expecting(self) -> list[PendingRequest]:
        """Those who want an answer even if the lock is held."""
        return [pending for pending in self.waiters if not queues(pending)]

    def can_wait(self, until_ms: float) -> bool:
        """Whether all are content to wait, and have time beyond `until_ms`."""
        return all(queues(pending) and pending.deadline_ms > until_ms for pending in self.waiters)


def wants_it(pending: PendingRequest) -> bool:
    """Whether a request is for the lock itself."""
    return isinstance(pending.request, LockRequest)


def queues(pending: PendingRequest) -> bool:
    """Whether a request is content to wait until the lock is free."""
    return isinstance(pending.request, LockRequest) and pending.request.queue
