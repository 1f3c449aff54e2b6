"""A lock queue: the requests that wait for one lock at a node, and the open question for them."""

from collections import OrderedDict

from msgspec import Struct, field

from ...locks.terms import Ending, How, lease_id, term_of
from ...paxos.quorums import Quorums
from ...types import Decree, NodeId
from ...wire.leases import AskLease, LeaseAnswer
from ...wire.requests import LockRequest
from ..step.pending import PendingRequest

MAX_PAUSE_MS = 2_000
FRESH_MS = 100.0
"""How long a queue waits before it asks about a term that has just begun: many end sooner."""
SHORT_MS = 1_000.0
"""Requests with less time left than this are answered immediately."""

AT_ONCE = (How.RELEASED, How.FORCED)
"""Endings that need no lease to run out."""


class Ask(Struct, eq=False):
    """One question to all nodes: is this term live there?

    Attributes:
        token: its token.
        decree: the decree of the term.
        serves: the requests that arrived before it was asked.
        epoch: the epoch in which it is asked: all who answer vote in that one (M12).
        answers: the answers, by node.
        told: a prepare quorum has answered, but a node of it has a lease on the term. A later answer
            may still complete a quorum without a lease.
    """

    token: int
    decree: Decree
    serves: list[PendingRequest]
    epoch: int = 0
    answers: dict[NodeId, LeaseAnswer] = {}
    told: bool = False

    @property
    def awaited(self) -> bool:
        """Whether a request that it was asked for is still pending."""
        return any(not pending.done for pending in self.serves)

    def mark_undecided(self) -> None:
        """Note for its requests that a prepare quorum has answered since they arrived."""
        for pending in self.serves:
            pending.undecided = True

    def question(self) -> AskLease:
        """The message to every node."""
        term = term_of(self.decree)
        return AskLease(self.token, lease_id(self.decree), term.ttl_ms, term.secret_hash)

    def answered(self, quorums: Quorums) -> bool:
        """Whether a prepare quorum has answered."""
        return quorums.prepared(self.answers.keys())

    def free(self, quorums: Quorums) -> bool:
        """Whether a prepare quorum has answered that it has no lease on the term."""
        return quorums.prepared([n for n, given in self.answers.items() if not given.remaining_ms])

    def released(self, quorums: Quorums) -> bool:
        """Whether a prepare quorum has answered, and a node of it knows of an end without a wait.

        Other nodes may still have leases, if they missed the release. The proposal tells them.
        """
        ending = self.ending()
        return self.answered(quorums) and ending is not None and ending.how in AT_ONCE

    def next_may_be_chosen(self) -> bool:
        """Whether a node has accepted a proposal for the next term."""
        return any(given.accepted for given in self.answers.values())

    def wait_ms(self, quorums: Quorums) -> int:
        """How long at least until a prepare quorum has no lease on the term."""
        return sorted(given.remaining_ms for given in self.answers.values())[quorums.prepare - 1]

    def ending(self) -> Ending | None:
        """How the term ended, if a node knows; a release or a forced break counts first."""
        endings = [given.ending for given in self.answers.values() if given.ending is not None]
        return min(endings, key=lambda one: (one.how not in AT_ONCE, one.how), default=None)


class LockQueue(Struct, eq=False):
    """The work on one lock while requests wait for it here.

    Attributes:
        lock: its name.
        waiters: the requests, in order of arrival.
        queued: how many of them wait until the lock is free.
        by_claim: the requests for the lock itself, by claim id.
        ask: the open question about the latest term.
        candidate: the waiter whose claim is proposed for the next term.
        serial: of the newest timer.
        searching: the token of the search for the latest term on disk.
        floor_for: the waiter for which the term at the floor is read from a quorum.
        held_until_ms: when the latest term may be over, by the last answer of a quorum.
        looks_ms: when the newest timer fires.
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
        """Add a request at the end."""
        self.waiters[pending] = None
        self.queued += queues(pending)
        if pending.claim_id is not None:
            self.by_claim.setdefault(pending.claim_id, {})[pending] = None

    def leave(self, pending: PendingRequest) -> None:
        """Remove a request, in constant time: thousands may leave one by one."""
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
        """Remove the requests that are done."""
        for pending in [pending for pending in self.waiters if pending.done]:
            self.leave(pending)
        if self.candidate is not None and self.candidate.done:
            self.candidate = None

    def foremost(self) -> PendingRequest:
        """The request that arrived first, of whatever kind."""
        return next(iter(self.waiters))

    def first(self) -> PendingRequest | None:
        """The first request for the lock itself; None if there is none."""
        return next((pending for pending in self.waiters if wants_it(pending)), None)

    def read_only(self) -> list[PendingRequest]:
        """The requests that only ask who holds the lock."""
        return [pending for pending in self.waiters if not wants_it(pending)]

    def expecting(self) -> set[PendingRequest]:
        """The requests that expect an answer even if the lock is held."""
        return {pending for pending in self.waiters if not queues(pending)}

    def can_wait(self, until_ms: float) -> bool:
        """Whether all requests wait until the lock is free, with a deadline after `until_ms`."""
        return all(queues(pending) and pending.deadline_ms > until_ms for pending in self.waiters)


def wants_it(pending: PendingRequest) -> bool:
    """Whether a request is for the lock itself, rather than a question about it."""
    return isinstance(pending.request, LockRequest)


def queues(pending: PendingRequest) -> bool:
    """Whether a request waits until the lock is free."""
    return isinstance(pending.request, LockRequest) and pending.request.queue
