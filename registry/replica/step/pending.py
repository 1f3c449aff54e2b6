"""Requests that wait for an answer, and their deadlines.

A request is live from its arrival until it is answered, has run out of time, or its requester has gone.
Each part that works for it holds the `PendingRequest` value and looks at `done`; none has to be told.

A claim that runs out of time is *unreachable* only if no accept for its claim id ever left and none
will (it is done, so the coordinator never proposes it); otherwise its outcome is *unknown*.
"""

from itertools import islice
from typing import assert_never

from msgspec import Struct

from ...errors import Busy, DecreedError, Forgotten, OutcomeUnknown, Unreachable
from ...types import NodeId
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
    Superseded,
    Undecided,
    WaitRequest,
    WatchPage,
    WatchRequest,
)
from ...wire.status import StatusReport
from .effects import Outgoing, Reply, Send
from .events import Connection, Expire, Origin
from .step_builder import Pending, StepBuilder

LONG_MS = 1_000
COARSE_MS, FINE_MS = 32, 4
"""Requests end together, so late by at most this; by the first, if they have `LONG_MS` of time or more.

A client gives a node less time than it has itself, by more than that, so the node speaks first."""

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
)


class PendingRequest(Struct, eq=False):
    """A request and how it stands.

    Attributes:
        origin: who asked.
        request: what was asked.
        deadline_ms: when it runs out of time.
        bucket: when it ends, with others.
        passed_to: the node that works at it now, if it was passed on.
        passed_over: nodes that refused it, or were suspected while they had it.
        indefinite: an accept for its claim may have left, here or elsewhere.
        undecided: a quorum said so after the request arrived.
        done: answered, expired or abandoned; nothing more may be done for it.
    """

    origin: Origin
    request: Lasting
    deadline_ms: float
    bucket: int = 0
    passed_to: NodeId | None = None
    passed_over: frozenset[NodeId] = frozenset()
    indefinite: bool = False
    undecided: bool = False
    done: bool = False

    @property
    def claim_id(self) -> bytes | None:
        """The id of the claim in it, if it is one."""
        match self.request:
            case ClaimRequest() | ClaimNextRequest() | LockRequest():
                return self.request.claim.claim_id
            case _:
                return None

    @property
    def lock(self) -> str | None:
        """The lock that it waits for, or asks about, if it does."""
        match self.request:
            case LockRequest() | HolderRequest():
                return self.request.lock
            case _:
                return None


class PendingRequests:
    """All live requests of a node, by who asked and by deadline.

    A careless client may repeat an id. Then the id is the later request's, and both are live until they
    are over, or their requester is gone.
    """

    def __init__(self) -> None:
        self._by_origin: dict[Origin, dict[PendingRequest, None]] = {}
        self._by_id: dict[tuple[Origin, int], PendingRequest] = {}
        self._buckets: dict[int, dict[PendingRequest, None]] = {}

    @property
    def working(self) -> int:
        """How many are being worked at; a wait, a watch or a lock may last forever."""
        patient = (WaitRequest, WatchRequest, LockRequest)
        return sum(not isinstance(pending.request, patient) for pending in self.all())

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"requests": self.all(), "deadlines": self._buckets}

    def open(self, step: StepBuilder, origin: Origin, request: Lasting) -> PendingRequest:
        """A request has arrived; its time starts to run."""
        deadline_ms = step.now_ms + request.timeout_ms
        step_ms = COARSE_MS if request.timeout_ms >= LONG_MS else FINE_MS
        end_ms = (int(deadline_ms) // step_ms + 1) * step_ms
        pending = PendingRequest(origin, request, deadline_ms, end_ms)
        self._by_origin.setdefault(origin, {})[pending] = None
        self._by_id[origin, request.id] = pending
        bucket = self._buckets.get(end_ms)
        if bucket is None:
            bucket = self._buckets[end_ms] = {}
            step.timer(Expire(end_ms), end_ms - step.now_ms)
        bucket[pending] = None
        return pending

    def find(self, origin: Origin, request_id: int) -> PendingRequest | None:
        """The live request under this id, if it still is."""
        return self._by_id.get((origin, request_id))

    def all(self) -> list[PendingRequest]:
        """Every live request."""
        return [pending for requests in self._by_origin.values() for pending in requests]

    def newest(self, origin: Origin, count: int) -> list[PendingRequest]:
        """The last requests that somebody made and that are live; the latest first."""
        return list(islice(reversed(self._by_origin.get(origin, {})), count))

    def answer(
        self, step: StepBuilder, pending: PendingRequest, answer: Answer, *, durable: bool = False
    ) -> None:
        """Answer, unless the request is done.

        A decree is chosen once a quorum has it on disk, and stays so whatever this node forgets: its
        answer waits for nothing. Nor does a page of a list, which says of all other keys only what each
        node of a quorum had on disk when it read. Nor does a page of a watch, unless its position must
        be durable.
        """
        if pending.done:
            return
        self._close(pending)
        outgoing = address(pending.origin, answer)
        match answer:
            case Decreed() | Granted() | HeldBy() | Failed() | Undecided() | StatusReport():
                step.at_once(outgoing)
            case Kept() | Superseded() | Ended() | GivenUp() | ClientPong():
                step.at_once(outgoing)
            case ListPage():
                step.at_once(outgoing)
            case WatchPage():
                (step.after if durable else step.at_once)(outgoing)
            case _:
                assert_never(answer)

    def fail(
        self, step: StepBuilder, pending: PendingRequest, error: type[DecreedError], message: str
    ) -> None:
        """Answer with an error; behind an indefinite try of a claim, none may sound definite.

        What is forgotten may be what an earlier try of the claim won.
        """
        indefinite = pending.indefinite or issubclass(error, Forgotten)
        if pending.claim_id is not None and indefinite and error.definite:
            error, message = OutcomeUnknown, f"an earlier try may yet succeed; then: {message}"
        self.answer(step, pending, Failed(pending.request.id, error.code, message))

    def abandon(self, origin: Connection) -> list[PendingRequest]:
        """The requester has gone; returns what it waited for."""
        requests = list(self._by_origin.get(origin, {}))
        for pending in requests:
            self._close(pending)
        return requests

    def cancel(self, step: StepBuilder, origin: Origin, cancel: Cancel) -> PendingRequest | None:
        """The requester no longer wants one answer. It gets one all the same: each request has one.

        Returns:
            The request, if it was not over.
        """
        pending = self.find(origin, cancel.id)
        if pending is not None:
            self.fail(step, pending, *out_of_time(pending))
        return pending

    def refuse(self, step: StepBuilder, pending: PendingRequest) -> None:
        """There is no room for it. A claim of which an accept may have left ends as unknown."""
        if pending.indefinite or pending.passed_to is not None:
            self.fail(step, pending, OutcomeUnknown, f"the claim may yet be chosen; {CROWDED}")
        else:
            self.fail(step, pending, Busy, CROWDED)

    def expired(self, timer: Expire) -> list[PendingRequest]:
        """The live requests whose time has run out."""
        return list(self._buckets.get(timer.bucket, ()))

    def close_bucket(self, timer: Expire) -> None:
        """Forget a bucket, all of whose requests have been answered."""
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
    """The answer, addressed to the client or the node that asked."""
    if isinstance(origin, int):
        return Reply(origin, answer)
    assert isinstance(answer, Decreed | Failed), "only claims are passed on between nodes"
    return Send(origin, answer)


def out_of_time(pending: PendingRequest) -> tuple[type[DecreedError], str]:
    """What to say of a claim or read that found no quorum in time."""
    if pending.indefinite or pending.passed_to is not None:
        return OutcomeUnknown, "no answer from a quorum in time; the claim may yet be chosen"
    if pending.claim_id is None:
        return Unreachable, "no quorum answered in time"
    return Unreachable, "no quorum answered in time; nothing was chosen by this request"
