"""Requests that wait for an answer, and their deadlines.

A request is pending from its arrival until it is answered, its time is over, or its requester is
gone. Each part that works on it holds the `PendingRequest` and checks `done`, so no part needs a
notification.

A claim whose time is over is *unreachable* only if no accept with its claim id ever left. None will
leave later, since the coordinator never proposes a claim that is done. Otherwise the outcome is
*unknown*.
"""

from collections.abc import Callable
from itertools import islice
from typing import assert_never

from msgspec import Struct

from ...audit import Asked, denial, is_told, told_kinds, told_of
from ...config import AuditTerms
from ...errors import (
    Busy,
    DecreedError,
    Denied,
    Forgotten,
    OutcomeUnknown,
    Unreachable,
)
from ...identity import ANONYMOUS, Identity
from ...policy.document import Right
from ...policy.needs import need_of
from ...types import Decree, NodeId
from ...wire.marks import MarkTold
from ...wire.members import ChangePlan, ChangeRequest, MembersReport, MembersRequest
from ...wire.packed import PackedPage
from ...wire.requests import (
    Answer,
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    ClientPong,
    Decreed,
    Ended,
    EndRequest,
    Failed,
    GetRequest,
    GivenUp,
    GiveUpRequest,
    Granted,
    HeldBy,
    HolderRequest,
    KeepAliveRequest,
    Kept,
    LatestRequest,
    ListPage,
    ListRequest,
    LockRequest,
    PolicyApplied,
    PolicyRequest,
    Request,
    Superseded,
    Undecided,
    WaitRequest,
    WatchPage,
    WatchRequest,
)
from ...wire.scrub import ScrubReport
from ...wire.status import StatusReport
from .counts import Counts
from .effects import Outgoing, Reply, Send
from .events import Connection, Expire, Origin
from .hidden_answers import hidden
from .step_builder import Pending, StepBuilder

LONG_MS = 1_000
COARSE_MS, FINE_MS = 32, 4
"""The width of a deadline bucket, for requests with at least `LONG_MS` of time and for shorter
ones.

A request may end that much late. A client gives the node less time than it has itself, by more than
that, so the node answers before the client stops waiting."""

USUAL_AUDIT = AuditTerms()

CROWDED = (
    "too many requests wait at this node, and most of them on this connection: wait for fewer at a time"
    " (one watch of a prefix stands for many waits), ask another node, or raise"
    " limits.max_all_requests_bytes"
)

Lasting = (
    ClaimRequest
    | ClaimNextRequest
    | GetRequest
    | WaitRequest
    | LatestRequest
    | ListRequest
    | WatchRequest
    | LockRequest
    | KeepAliveRequest
    | EndRequest
    | HolderRequest
    | GiveUpRequest
    | ChangeRequest
    | MembersRequest
    | PolicyRequest
)


class PendingRequest(Struct, eq=False):
    """A request and its state.

    Attributes:
        origin: the requester.
        request: the request.
        deadline_ms: when its time is over.
        bucket: the deadline bucket that it ends with.
        passed_to: the node that works on it now, if it was forwarded.
        passed_over: nodes that refused it, or were suspected while they worked on it.
        indefinite: an accept for its claim may have left, here or elsewhere.
        undecided: a quorum answered after the request arrived, and there was no decree.
        hides: its answer may not tell what somebody else has frozen or holds.
        done: answered, expired or abandoned; no part works on it any more.
        identity: whose request it is.
    """

    origin: Origin
    request: Lasting
    deadline_ms: float
    bucket: int = 0
    passed_to: NodeId | None = None
    passed_over: frozenset[NodeId] = frozenset()
    indefinite: bool = False
    undecided: bool = False
    hides: bool = False
    done: bool = False
    identity: Identity = ANONYMOUS

    @property
    def claim_id(self) -> bytes | None:
        """The claim id, if the request carries a claim."""
        match self.request:
            case ClaimRequest() | ClaimNextRequest() | LockRequest():
                return self.request.claim.claim_id
            case ChangeRequest() | PolicyRequest():
                return self.request.claim_id
            case _:
                return None

    @property
    def lock(self) -> str | None:
        """The lock that the request is about, if it is about one."""
        match self.request:
            case LockRequest() | HolderRequest():
                return self.request.lock
            case _:
                return None


class PendingRequests:
    """All pending requests of a node, by requester and by deadline.

    If a client repeats an id by mistake, the id names the later request, and both stay pending
    until each is over or their connection ends.

    Args:
        audit: what the audit log is told.
        counts: where it is counted how they end.

    Attributes:
        told: the kinds of requests of which the audit log is told.
        obeyed: gives the number of the policy that is obeyed.
        unfold: makes pending requests of all gets that are rows of a group (`read_groups`).
    """

    def __init__(self, audit: AuditTerms = USUAL_AUDIT, counts: Counts | None = None) -> None:
        self._counts = counts or Counts()
        self.told = told_kinds(audit.claims)
        self.obeyed: Callable[[], int] = lambda: 0
        self.unfold: Callable[[StepBuilder], None] = lambda _: None
        self._by_origin: dict[Origin, dict[PendingRequest, None]] = {}
        self._by_id: dict[tuple[Origin, int], PendingRequest] = {}
        self._buckets: dict[int, dict[PendingRequest, None]] = {}

    @property
    def working(self) -> int:
        """How many have an answer on its way. Waits, watches and locks do not count: they may last."""
        may_last = (WaitRequest, WatchRequest, LockRequest)
        return sum(not isinstance(pending.request, may_last) for pending in self.all())

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"requests": self.all(), "deadlines": self._buckets}

    def open(
        self,
        step: StepBuilder,
        origin: Origin,
        request: Lasting,
        identity: Identity = ANONYMOUS,
        arrived_ms: float | None = None,
    ) -> PendingRequest:
        """A request has arrived, in this step or when it is said; its time runs from then on."""
        deadline_ms = (step.now_ms if arrived_ms is None else arrived_ms) + request.timeout_ms
        step_ms = COARSE_MS if request.timeout_ms >= LONG_MS else FINE_MS
        end_ms = (int(deadline_ms) // step_ms + 1) * step_ms
        pending = PendingRequest(origin, request, deadline_ms, end_ms, identity=identity)
        self._by_origin.setdefault(origin, {})[pending] = None
        self._by_id[origin, request.id] = pending
        bucket = self._buckets.get(end_ms)
        if bucket is None:
            bucket = self._buckets[end_ms] = {}
            step.timer(Expire(end_ms), max(0.0, end_ms - step.now_ms))
        bucket[pending] = None
        return pending

    def find(self, origin: Origin, request_id: int) -> PendingRequest | None:
        """The request with this id, if it is still pending."""
        return self._by_id.get((origin, request_id))

    def every(self, step: StepBuilder) -> list[PendingRequest]:
        """Every pending request, with the gets that were rows of a group until now."""
        self.unfold(step)
        return self.all()

    def all(self) -> list[PendingRequest]:
        """Every pending request."""
        return [pending for requests in self._by_origin.values() for pending in requests]

    def newest(self, step: StepBuilder, origin: Origin, count: int) -> list[PendingRequest]:
        """The last pending requests of a requester, the newest first."""
        self.unfold(step)
        return list(islice(reversed(self._by_origin.get(origin, {})), count))

    def answer(
        self, step: StepBuilder, pending: PendingRequest, answer: Answer, *, durable: bool = False
    ) -> None:
        """Answer, unless the request is done.

        A decree is chosen once a quorum has it on disk, whatever this node forgets later, so its
        answer does not wait for this node's disk. A page of a list does not wait either: besides
        decrees it reports only what a quorum had on disk when it read. A page of a watch waits only
        if its position must be durable.
        """
        if pending.done:
            return
        self._close(pending)
        if type(pending.request) in self.told:
            self.tell(step, pending.origin, pending.request, answer, pending.identity)
        shown = hidden(pending.request, answer, pending.identity) if pending.hides else answer
        if type(shown) is Failed and shown.code == Denied.code:
            asked = (pending.origin, pending.request, pending.identity)
            self.tell_denial(step, *asked, reads=shown is not answer)
        if type(pending.origin) is int:  # a claim that was passed on is counted where it came from
            began_ms = pending.deadline_ms - pending.request.timeout_ms
            self._counts.ended(pending.request, shown, step.now_ms - began_ms)
        outgoing = address(pending.origin, shown)
        match shown:
            case Decreed() | Granted() | HeldBy() | Failed() | Undecided() | StatusReport():
                step.at_once(outgoing)
            case Kept() | Superseded() | Ended() | GivenUp() | ClientPong() | MarkTold():
                step.at_once(outgoing)
            case ListPage() | PackedPage() | ChangePlan() | MembersReport():
                step.at_once(outgoing)
            case ScrubReport() | PolicyApplied():
                step.at_once(outgoing)
            case WatchPage():
                (step.after if durable else step.at_once)(outgoing)
            case _:
                assert_never(shown)

    def answer_at_once(
        self,
        step: StepBuilder,
        origin: Origin,
        request: Lasting,
        decree: Decree,
        identity: Identity,
        *,
        hides: bool,
    ) -> None:
        """Answer a request that was not opened, from a decree that is learned here.

        Args:
            step: the step in which it is answered.
            origin: whose request it is.
            request: what it asks for.
            decree: of its key.
            identity: whose request it is.
            hides: whether that one may not read the key.
        """
        answer = Decreed(request.id, decree)
        if type(request) in self.told:
            self.tell(step, origin, request, answer, identity)
        shown = hidden(request, answer, identity) if hides else answer
        if type(shown) is Failed and shown.code == Denied.code:
            self.tell_denial(step, origin, request, identity, reads=True)
        if type(origin) is int:
            self._counts.ended(request, shown, 0.0)
        step.at_once(address(origin, shown))

    def fail(
        self, step: StepBuilder, pending: PendingRequest, error: type[DecreedError], message: str
    ) -> None:
        """Answer with an error. After an indefinite try of a claim, the error is indefinite too.

        A forgotten key makes a claim indefinite: an earlier try of it may have won there.
        """
        indefinite = pending.indefinite or issubclass(error, Forgotten)
        if pending.claim_id is not None and indefinite and error.definite:
            error, message = OutcomeUnknown, f"an earlier try may yet succeed; then: {message}"
        self.answer(step, pending, Failed(pending.request.id, error.code, message))

    def tell(
        self,
        step: StepBuilder,
        origin: Origin,
        request: Lasting,
        answer: Answer | None,
        identity: Identity,
    ) -> None:
        """Tell the audit log how a request of a client ended, if it is one of which that is told.

        A claim that was passed on is told by the node whose client made it.
        """
        if isinstance(origin, int) and isinstance(request, Asked) and is_told(request):
            step.audit(told_of(request, answer, origin, identity.acting_for))

    def tell_denial(
        self,
        step: StepBuilder,
        origin: Origin,
        request: Request,
        identity: Identity,
        *,
        reads: bool = False,
    ) -> None:
        """Tell the audit log that a client lacks a right (S22).

        Args:
            step: the step in which it is answered.
            origin: whose request it is; one that was passed on is told by the node that has its client.
            request: what it asked for.
            identity: for whom.
            reads: whether it is only what the answer would tell that it may not read.
        """
        need = need_of(request)
        if need is not None and isinstance(origin, int):
            right, path = (Right.READ, need.shows) if reads else (need.right, need.name)
            asked = (origin, right.value, path, self.obeyed(), identity.acting_for)
            step.audit(denial(*asked))

    def abandon(self, step: StepBuilder, origin: Connection) -> list[PendingRequest]:
        """Close the requests of a requester that is gone, and return them."""
        self.unfold(step)
        requests = list(self._by_origin.get(origin, {}))
        for pending in requests:
            self._close(pending)
            if type(pending.request) in self.told:
                self.tell(step, origin, pending.request, None, pending.identity)
        return requests

    def cancel(self, step: StepBuilder, origin: Origin, cancel: Cancel) -> PendingRequest | None:
        """Answer a request that its requester cancels: each request gets exactly one answer.

        Returns:
            The request, if it was still pending.
        """
        self.unfold(step)
        pending = self.find(origin, cancel.id)
        if pending is not None:
            self.fail(step, pending, *out_of_time(pending))
        return pending

    def refuse(self, step: StepBuilder, pending: PendingRequest) -> None:
        """Refuse a request for lack of room. A claim whose accept may have left ends as unknown."""
        if pending.indefinite or pending.passed_to is not None:
            self.fail(step, pending, OutcomeUnknown, f"the claim may yet be chosen; {CROWDED}")
        else:
            self.fail(step, pending, Busy, CROWDED)

    def expired(self, timer: Expire) -> list[PendingRequest]:
        """The pending requests of the bucket whose time is over."""
        return list(self._buckets.get(timer.bucket, ()))

    def close_bucket(self, timer: Expire) -> None:
        """Drop a bucket whose requests have all been answered."""
        self._buckets.pop(timer.bucket, None)

    def _close(self, pending: PendingRequest) -> None:
        pending.done = True
        requests = self._by_origin[pending.origin]
        del requests[pending]
        if not requests:
            del self._by_origin[pending.origin]
        if self._by_id.get(place := (pending.origin, pending.request.id)) is pending:
            del self._by_id[place]
        bucket = self._buckets.get(pending.bucket)
        if bucket is not None:
            bucket.pop(pending, None)


def address(origin: Origin, answer: Answer) -> Outgoing:
    """The answer, addressed to the client or node that asked."""
    if isinstance(origin, int):
        return Reply(origin, answer)
    assert isinstance(answer, Decreed | Failed), "only claims are passed on between nodes"
    return Send(origin, answer)


def out_of_time(pending: PendingRequest) -> tuple[type[DecreedError], str]:
    """The error for a claim or read that found no quorum in time."""
    if pending.indefinite or pending.passed_to is not None:
        return OutcomeUnknown, "no answer from a quorum in time; the claim may yet be chosen"
    if pending.claim_id is None:
        return Unreachable, "no quorum answered in time"
    return Unreachable, "no quorum answered in time; nothing was chosen by this request"
