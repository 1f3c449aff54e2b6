"""Requests of clients: routed to the part that works on them, and ended when their time is over.

A claim that another node forwards comes in here too. One table has, for each kind of request, the
instances that it needs and the function that begins it.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from msgspec import Struct

from ..errors import BadRequest, Denied, Unreachable
from ..identity import ANONYMOUS, Identity, identity_of
from ..keys import with_slot_before
from ..paxos.instance import Instance
from ..types import Decree, Key, NodeId
from ..wire.marks import MarkRequest
from ..wire.members import ChangeRequest, MembersRequest
from ..wire.peers import PassedClaim
from ..wire.requests import (
    Answer,
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
    PolicyRequest,
    Request,
    StatusRequest,
    Undecided,
    WaitRequest,
    WatchRequest,
)
from ..wire.scrub import ScrubRequest
from .admission import NOBODY_MAY, Admission, NotAdmitted
from .parts import Parts
from .requests.validation import check_names
from .status import administers, bare_report, mark_told, status_report, uses_for
from .step.effects import Reply, Send
from .step.events import ClientGone, Confirmed, Connection, Expire, FromClient, Misnamed, Origin
from .step.node import refusal
from .step.pending import Lasting, PendingRequest, out_of_time
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
        self.admission = Admission(parts) if parts.confirming.asks else None
        self._unconfirmed: dict[PendingRequest, None] = {}
        parts.confirming.tell_confirmed(self._on_confirmed)
        self._rejudged: StepBuilder | None = None
        self._obeyed = parts.policies.obeyed

    def needs(self, event: FromClient) -> Iterable[Key]:
        """The keys whose instances must be loaded for requests; none for one that is denied (S60)."""
        requests: Iterable[Request | Misnamed] = event.requests
        if self.admission is not None and self.admission.judges:
            requests = self.admission.not_denied(event)
        keys: list[Key] = []
        for request in requests:
            opening = self.openings.get(type(request))
            if opening is not None:
                keys += opening.needs(request)
        return keys

    def needs_of(self, request: Request | Misnamed) -> Iterable[Key]:
        """The same for one that is not denied."""
        opening = self.openings.get(type(request))
        return opening.needs(request) if opening is not None else ()

    def on_requests(self, step: StepBuilder, event: FromClient) -> None:
        """Handle the requests of a client."""
        connection, requests = event.connection, event.requests
        judges = self.admission is not None and not self.admission.is_open(step)
        if not judges and event.identity.through is not None:
            self._deny_acting(step, event)
            return
        if not judges and self._node.formed and requests and type(requests[0]) is GetRequest:
            requests = self._parts.reads.take(step, event)  # all that begin with one
        for request in requests:
            if self._rejudged is step and self._waits_for_the_next(step, request):
                step.again(FromClient(connection, (request,), event.identity))
                continue
            if judges and self._is_turned_away(step, event, request):
                continue
            match request:
                case Misnamed():
                    misnamed = Failed(request.id, BadRequest.code, request.message)
                    step.at_once(Reply(connection, misnamed))
                case StatusRequest():
                    who = (self._parts, event.identity, step.moment.wall_ms)
                    uses, clients = uses_for(*who), self.admission is None or administers(*who)
                    about = (self._parts, self._version, request.id, step.now_ms, uses)
                    step.at_once(Reply(connection, status_report(*about, clients=clients)))
                case ScrubRequest():
                    step.at_once(Reply(connection, self._parts.scrubbing.on_request(step, request)))
                case MarkRequest():
                    step.at_once(Reply(connection, mark_told(self._parts, request.id)))
                case ClientPing():
                    step.at_once(Reply(connection, ClientPong(request.id)))
                case Cancel():
                    self._on_cancel(step, connection, request)
                case _:
                    self.open(step, connection, request, event.identity)

    def _waits_for_the_next(self, step: StepBuilder, request: Request | Misnamed) -> bool:
        """Whether it is for a step in which refused clients are gone (S36), or more is loaded."""
        certificates = self._parts.policies.refuses_certificates
        return certificates or not all(key in step.instances for key in self.needs_of(request))

    def on_passed(self, step: StepBuilder, sender: NodeId, message: PassedClaim) -> None:
        """Handle a claim that another node has forwarded, with the identity that it vouches for."""
        request = message.request
        try:
            check_names(request)
            identity = self._vouched_for(message)
        except (BadRequest, ValueError) as error:
            step.at_once(Send(sender, Failed(request.id, BadRequest.code, str(error))))
            return
        refused = (
            self.admission.refusal_of_passed(step, sender, message, identity)
            if self.admission is not None
            else None
        )
        if refused is not None:
            failed = Failed(request.id, refused.error.code, refused.message)
            step.at_once(Send(sender, failed))
        else:
            self.open(step, sender, request, identity)

    def _vouched_for(self, message: PassedClaim) -> Identity:
        """S08: whose claim a node has passed on, and who has named that identity, if somebody has.

        Raises:
            ValueError: if a text is no identity, or nobody may name one.
        """
        if not message.gateway:
            return Identity.of_recorded(message.identity)
        if self.admission is None:
            raise ValueError(NOBODY_MAY)
        return identity_of(message.gateway).acts_for(message.identity)

    def _deny_acting(self, step: StepBuilder, event: FromClient) -> None:
        """S08: where no policy is asked, nobody grants that one speaks for another."""
        for asked in event.requests:
            denied = Failed(asked.id, Denied.code, NOBODY_MAY)
            step.at_once(Reply(event.connection, denied))

    def _is_turned_away(
        self, step: StepBuilder, event: FromClient, request: Request | Misnamed
    ) -> bool:
        """Answer a request that may not begin, or put it off. A status tells who takes part then."""
        if self.admission is None or isinstance(request, Misnamed):
            return False
        refused = self.admission.refusal(step, event.identity, request)
        if refused is None:
            return False
        if refused.waits and isinstance(request, Lasting):
            self._put_off(step, event, request)
            return True
        if isinstance(request, StatusRequest):
            uses = uses_for(self._parts, event.identity, step.moment.wall_ms)
            answer: Answer = bare_report(self._parts, self._version, request.id, uses)
        else:
            answer = Failed(request.id, refused.error.code, refused.message)
            if refused.error is Denied:
                self._requests.tell_denial(step, event.connection, request, event.identity)
        step.at_once(Reply(event.connection, answer))
        return True

    # -- what waits until the policy is confirmed

    def _put_off(self, step: StepBuilder, event: FromClient, request: Lasting) -> None:
        """S15: open nothing yet. A claim of what is frozen opens nothing, so it is told what is."""
        assert self.admission is not None, "only it refuses requests"
        node, origin, identity = self._node, event.connection, event.identity
        if not node.formed or self._tells(step, origin, identity, request):
            self.open(step, origin, request, identity)
            return
        pending = self._requests.open(step, origin, request, identity)
        if node.failed:
            self._requests.fail(step, pending, *refusal(node))
        else:
            self._unconfirmed[pending] = None

    def _tells(
        self, step: StepBuilder, origin: Origin, identity: Identity, request: Lasting
    ) -> bool:
        admission = self.admission
        return (
            admission is not None
            and self._decided(step, request) is not None
            and admission.may_be_told(step, identity, request)
        )

    def _on_confirmed(self, step: StepBuilder) -> None:
        """The policy is confirmed: what was put off begins in the next step, with its instances."""
        for pending in [pending for pending in self._unconfirmed if pending.done]:
            del self._unconfirmed[pending]
        for pending in self._unconfirmed:
            step.again(Confirmed(pending.origin, pending.request))

    def go_on(self, step: StepBuilder, event: Confirmed) -> None:
        """Open a request that was put off, unless something speaks against it by now."""
        pending = self._requests.find(event.origin, event.request.id)
        if pending is None or pending not in self._unconfirmed or self.admission is None:
            return
        refused = self.admission.refusal(step, pending.identity, pending.request)
        if refused is None:
            del self._unconfirmed[pending]
            self._begin(step, pending)
        elif refused.error is not Unreachable:
            self._requests.fail(step, pending, refused.error, refused.message)
            self._leave(step, pending)

    def end_denied(self, step: StepBuilder) -> None:
        """S18: end what lost its right, or its confirmation; what is decided needs neither.

        What goes on is answered by what its caller may read from now on.
        """
        changed, self._parts.policies.changed = self._parts.policies.changed, False
        if self.admission is None:
            return
        if changed:
            self._parts.obey(step)
        self._rejudged = step
        renewed = self._obeyed != self._parts.policies.obeyed
        self._obeyed = self._parts.policies.obeyed
        for pending in self._requests.every(step):
            refused = self.admission.ended(step, pending, renewed=renewed)
            if refused is None:
                whose = (pending.origin, pending.identity)
                pending.hides = self.admission.hides(step, *whose, pending.request)
            elif not self._goes_on(pending, refused):
                self._requests.fail(step, pending, refused.error, refused.message)
                self._leave(step, pending)
        self._parts.lists.on_policy(step)
        self._parts.watches.on_policy(step)

    def _goes_on(self, pending: PendingRequest, refused: NotAdmitted) -> bool:
        """Whether a request needs no right any more, or waits for the confirmation that is missing."""
        waits = refused.error is Unreachable and pending in self._unconfirmed
        return waits or self._parts.applying.is_waiting(pending)

    def on_lapsed(self, step: StepBuilder) -> None:
        """S17: a confirmation is over: what was opened under it is not proposed any more."""
        self._parts.confirming.lapse(step)
        self.end_denied(step)

    def open(
        self, step: StepBuilder, origin: Origin, request: Lasting, identity: Identity = ANONYMOUS
    ) -> None:
        """Answer a request from a decree that is learned here, or begin the work on it."""
        admission = self.admission
        hides = admission is not None and admission.hides(step, origin, identity, request)
        decree = self._decided(step, request) if self._node.formed else None
        if decree is not None:
            self._requests.answer_at_once(step, origin, request, decree, identity, hides=hides)
            return
        pending = self._requests.open(step, origin, request, identity)
        pending.hides = hides
        if self._node.formed:
            self.openings[type(request)].begin(step, pending, request)
        else:
            self._requests.fail(step, pending, *refusal(self._node))

    def _begin(self, step: StepBuilder, pending: PendingRequest) -> None:
        """Answer a request that has waited, from a decree that is learned here, or begin the work."""
        request, origin, identity = pending.request, pending.origin, pending.identity
        admission = self.admission
        pending.hides = admission is not None and admission.hides(step, origin, identity, request)
        decree = self._decided(step, request)
        if decree is not None:
            self._requests.answer(step, pending, Decreed(request.id, decree))
        else:
            self.openings[type(request)].begin(step, pending, request)

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
        if self._rejudged is step:  # what it has asked for may wait for the next step
            step.again(ClientGone(connection))
        for pending in self._requests.abandon(step, connection):
            self._leave(step, pending)

    def on_crowded(self, step: StepBuilder, connection: Connection, count: int) -> None:
        """Refuse the newest requests of a connection that has too many pending."""
        for pending in self._requests.newest(step, connection, count):
            self._requests.refuse(step, pending)
            self._leave(step, pending)

    def on_left(self, step: StepBuilder) -> None:
        """M13: this node has no vote any more, so what waits for one ends here, and waits elsewhere.

        Lists ask the voters, watches read the feed of this node, and other nodes work on the claims
        that were passed on to them: these go on.
        """
        for pending in self._requests.every(step):
            goes_on = isinstance(pending.request, ListRequest | WatchRequest | MembersRequest)
            goes_on = goes_on or self._parts.applying.is_waiting(pending)
            if not goes_on and pending.passed_to is None:
                self._requests.fail(step, pending, *refusal(self._node))
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
        self._unconfirmed.pop(pending, None)
        self._parts.reads.leave(step, pending)
        self._parts.watches.leave(step, pending)
        self._parts.lists.leave(step, pending)
        self._parts.lock_queues.leave(step, pending)

    def _expire(self, step: StepBuilder, pending: PendingRequest) -> None:
        if pending in self._unconfirmed:
            self._requests.fail(step, pending, Unreachable, self._parts.confirming.unconfirmed)
            return
        match pending.request:
            case WaitRequest() if pending.undecided:
                self._requests.answer(step, pending, Undecided(pending.request.id))
            case WatchRequest():
                self._parts.watches.expire(step, pending, pending.request)
            case LockRequest() | HolderRequest():
                self._parts.lock_queues.expire(step, pending)
            case PolicyRequest() if self._parts.applying.expire(step, pending):
                pass
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
        self.add(ClaimRequest, claims.begin, _of_claim)
        self.add(ClaimNextRequest, claims.begin, _of_claim)
        self.add(WaitRequest, reads.wait, _its_key)
        self.add(LatestRequest, reads.latest, _nothing)
        self.add(ListRequest, parts.lists.begin, _nothing)
        self.add(WatchRequest, parts.watches.begin, _nothing)
        self.add(LockRequest, parts.locks.begin, lambda r: latest.needs(r.lock))
        self.add(HolderRequest, parts.lock_queues.begin, lambda r: latest.needs(r.lock))
        self.add(KeepAliveRequest, parts.renewals.keep, lambda r: with_slot_before(r.lease_id.key))
        self.add(
            EndRequest,
            parts.renewals.end,
            lambda r: (*with_slot_before(r.lease_id.key), *latest.needs(r.lease_id.lock)),
        )
        self.add(GiveUpRequest, parts.giving_up.begin, _nothing)
        self.add(ChangeRequest, parts.changing.change, parts.changing.needs)
        self.add(PolicyRequest, parts.applying.begin, parts.applying.needs)
        self.add(MembersRequest, parts.changing.report, parts.changing.needs)


def _nothing(_: Request) -> Iterable[Key]:
    return ()


def _its_key(request: GetRequest | WaitRequest) -> Iterable[Key]:
    return with_slot_before(request.key)


def _of_claim(request: ClaimRequest | ClaimNextRequest) -> Iterable[Key]:
    return with_slot_before(request.claim.key)
