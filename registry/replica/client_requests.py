"""Requests of clients: routed to the part that works on them, and ended when their time is over.

A claim that another node forwards comes in here too. One table has, for each kind of request, the
instances that it needs and the function that begins it.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from msgspec import Struct

from ..errors import BadRequest
from ..keys import slot_before
from ..paxos.instance import Instance
from ..types import Decree, Key, NodeId
from ..wire.requests import (
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    ClientPing,
    ClientPong,
    Decreed,
    EndRequest,
    Failed,
    GetRequest,
    GiveUpRequest,
    HolderRequest,
    KeepAliveRequest,
    LatestRequest,
    ListRequest,
    LockRequest,
    Request,
    StatusRequest,
    Undecided,
    WaitRequest,
    WatchRequest,
)
from .parts import Parts
from .requests.validation import check_names
from .status import status_report
from .step.effects import Reply, Send
from .step.events import Connection, Expire, Misnamed, Origin
from .step.node import refusal
from .step.pending import Lasting, PendingRequest, address, out_of_time
from .step.step_builder import StepBuilder

R = TypeVar("R", bound=Lasting)


class Opening(Struct, frozen=True):
    """How one kind of request begins.

    Attributes:
        needs: gives the keys whose instances the step must have.
        begin: begins the work on it.
    """

    needs: Callable[[Any], Iterable[Key]]
    begin: Callable[[StepBuilder, PendingRequest, Any], None]


class ClientRequests:
    """Where requests begin and end.

    Args:
        parts: the parts of the node.
        version: the version of decreed, for status reports.

    Attributes:
        openings: how each kind of request begins, except those that are answered immediately.
    """

    def __init__(self, parts: Parts, version: str) -> None:
        self._parts = parts
        self._version = version
        self._node = parts.node
        self._requests = parts.requests
        self._max_value_bytes = parts.node.config.limits.max_value_bytes
        self.openings: dict[type[Any], Opening] = {}
        self._add_openings(parts)

    def needs(self, request: Request | Misnamed) -> Iterable[Key]:
        """The keys whose instances must be loaded for a request."""
        opening = self.openings.get(type(request))
        return opening.needs(request) if opening is not None else ()

    def on_request(
        self, step: StepBuilder, connection: Connection, request: Request | Misnamed
    ) -> None:
        """Handle a request of a client."""
        match request:
            case Misnamed():
                refused = Failed(request.id, BadRequest.code, request.message)
                step.at_once(Reply(connection, refused))
            case StatusRequest():
                report = status_report(self._parts, self._version, request.id, step.now_ms)
                step.at_once(Reply(connection, report))
            case ClientPing():
                step.at_once(Reply(connection, ClientPong(request.id)))
            case Cancel():
                self._on_cancel(step, connection, request)
            case _:
                self.open(step, connection, request)

    def on_passed(
        self, step: StepBuilder, sender: NodeId, request: ClaimRequest | ClaimNextRequest
    ) -> None:
        """Handle a claim that another node has forwarded."""
        try:
            check_names(request)
        except BadRequest as error:
            step.at_once(Send(sender, Failed(request.id, BadRequest.code, str(error))))
        else:
            self.open(step, sender, request)

    def open(self, step: StepBuilder, origin: Origin, request: Lasting) -> None:
        """Answer a request from a decree that is learned here, or begin the work on it."""
        decree = self._decided(step, request) if self._node.formed else None
        if decree is not None:
            step.at_once(address(origin, Decreed(request.id, decree)))
            return
        pending = self._requests.open(step, origin, request)
        if self._node.formed:
            self.openings[type(request)].begin(step, pending, request)
        else:
            self._requests.fail(step, pending, *refusal(self._node))

    def _decided(self, step: StepBuilder, request: Lasting) -> Decree | None:
        """The learned decree that answers a request for one key, which is final (R08); else None."""
        match request:
            case GetRequest():
                instance = step.instances.get(request.key)
            case ClaimRequest() if len(request.claim.value) <= self._max_value_bytes:
                instance = step.instances.get(request.claim.key)
            case _:
                return None
        if not isinstance(instance, Instance) or instance.disputed is not None:
            return None
        return instance.learned

    # -- ends

    def on_client_gone(self, step: StepBuilder, connection: Connection) -> None:
        """Drop the requests of a connection that has ended."""
        for pending in self._requests.abandon(connection):
            self._leave(step, pending)

    def on_crowded(self, step: StepBuilder, connection: Connection, count: int) -> None:
        """Refuse the newest requests of a connection that has too many pending."""
        for pending in self._requests.newest(connection, count):
            self._requests.refuse(step, pending)
            self._leave(step, pending)

    def on_expire(self, step: StepBuilder, timer: Expire) -> None:
        """Answer the requests whose time is over."""
        for pending in self._requests.expired(timer):
            self._expire(step, pending)
            self._leave(step, pending)
        self._requests.close_bucket(timer)

    def _on_cancel(self, step: StepBuilder, connection: Connection, cancel: Cancel) -> None:
        cancelled = self._requests.cancel(step, connection, cancel)
        if cancelled is not None:
            self._leave(step, cancelled)

    def _leave(self, step: StepBuilder, pending: PendingRequest) -> None:
        """Drop what is read, asked or queued for a request that is over."""
        self._parts.reads.leave(step, pending)
        self._parts.watches.leave(step, pending)
        self._parts.lists.leave(step, pending)
        self._parts.lock_queues.leave(step, pending)

    def _expire(self, step: StepBuilder, pending: PendingRequest) -> None:
        match pending.request:
            case WaitRequest() if pending.undecided:
                self._requests.answer(step, pending, Undecided(pending.request.id))
            case WatchRequest():
                self._parts.watches.expire(step, pending, pending.request)
            case LockRequest() | HolderRequest():
                self._parts.lock_queues.expire(step, pending)
            case _:
                self._requests.fail(step, pending, *out_of_time(pending))

    # -- how each kind begins

    def add(
        self,
        kind: type[R],
        begin: Callable[[StepBuilder, PendingRequest, R], None],
        needs: Callable[[R], Iterable[Key]],
    ) -> None:
        """Add a kind of request to the table, with functions that take that kind."""
        assert kind not in self.openings, f"{kind.__name__} has an opening"
        self.openings[kind] = Opening(needs, begin)

    def _add_openings(self, parts: Parts) -> None:
        claims, reads, latest = parts.claims, parts.reads, parts.lock_queues.latest
        self.add(GetRequest, reads.get, _its_key)
        self.add(ClaimRequest, claims.begin, keys_of_claim)
        self.add(ClaimNextRequest, claims.begin, keys_of_claim)
        self.add(WaitRequest, reads.wait, _its_key)
        self.add(LatestRequest, reads.latest, _nothing)
        self.add(ListRequest, parts.lists.begin, _nothing)
        self.add(WatchRequest, parts.watches.begin, _nothing)
        self.add(LockRequest, parts.locks.begin, lambda r: latest.needs(r.lock))
        self.add(HolderRequest, parts.lock_queues.begin, lambda r: latest.needs(r.lock))
        self.add(KeepAliveRequest, parts.renewals.keep, _key_of_term)
        self.add(
            EndRequest,
            parts.renewals.end,
            lambda r: (*_key_of_term(r), *latest.needs(r.lease_id.lock)),
        )
        self.add(GiveUpRequest, parts.giving_up.begin, _nothing)


def _nothing(_: Request) -> Iterable[Key]:
    return ()


def _its_key(request: GetRequest | WaitRequest) -> Iterable[Key]:
    return with_slot_before(request.key)


def keys_of_claim(request: ClaimRequest | ClaimNextRequest) -> tuple[Key, ...]:
    """The keys whose instances a claim needs."""
    return with_slot_before(request.claim.key)


def _key_of_term(request: KeepAliveRequest | EndRequest) -> Iterable[Key]:
    return with_slot_before(request.lease_id.key)


def with_slot_before(key: Key) -> tuple[Key, ...]:
    """`key`, preceded by the previous slot if it is a slot of a series."""
    if "@" not in key:
        return (key,)
    before = slot_before(key)
    return (key,) if before is None else (before, key)
