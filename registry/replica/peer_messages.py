"""Messages of peers: one route for each kind.

A route has the instances that a message needs and the function that handles it. A new message needs
its class, its schema, and one line here.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from ..keys import with_slot_before
from ..paxos.decrees import Decrees
from ..paxos.messages import (
    Accept,
    Accepted,
    AcceptedMany,
    AcceptMany,
    Commit,
    CommitMany,
    Nack,
    Prepare,
    PrepareClass,
    Promise,
    PromiseClass,
)
from ..types import Key, NodeId
from ..wire.handshake import DirectoryRefusal, Refusal
from ..wire.leases import (
    AskLease,
    EndTerm,
    ForgottenTerms,
    GiveUp,
    GiveUpTaken,
    LeaseAnswer,
    Renew,
    Renewed,
)
from ..wire.peers import (
    AskedIn,
    AskStanding,
    AskState,
    CancelScan,
    FeedPage,
    FeedUnread,
    Fetch,
    Fetched,
    MemberAddresses,
    PassedClaim,
    PeerMessage,
    Ping,
    Pull,
    Query,
    QueryAnswer,
    Question,
    Scan,
    ScanAnswer,
    SeatTold,
    Standing,
    StatePage,
    TermRefused,
)
from ..wire.policy import AskPolicy, PolicyTold
from ..wire.requests import Decreed, Failed
from .client_requests import ClientRequests
from .feed.serving import SERVE_KEYS
from .parts import Parts
from .step.step_builder import StepBuilder

M = TypeVar("M", bound=PeerMessage)
Handle = Callable[[StepBuilder, NodeId, M], None]
Needs = Callable[[M], Iterable[Key]]


class Route(Struct, frozen=True):
    """How one kind of message is handled.

    Attributes:
        needs: gives the keys whose instances the step must have.
        handle: handles the message.
        for_voters: whether a node that may not vote ignores it.
        is_vote: whether it counts only once the sender's seat is durable here (M22).
        is_answer: whether it counts only from nodes that are no guests (M19), and not refused (M22).
    """

    needs: Needs[Any]
    handle: Handle[Any]
    for_voters: bool = False
    is_vote: bool = False
    is_answer: bool = False


class Peers:
    """The messages between nodes, those of this node to itself included.

    Args:
        parts: the parts of the node.
        client_requests: takes the forwarded claims.

    Attributes:
        routes: the route of each kind of message.
    """

    def __init__(self, parts: Parts, client_requests: ClientRequests) -> None:
        self._node = parts.node
        self._parts = parts
        self.routes: dict[type[Any], Route] = {}
        self._add_paxos(parts)
        self._add_reads_and_claims(parts, client_requests)
        self._add_feeds_and_lists(parts)
        self._add_locks(parts)
        self._add_members(parts)
        self.add(AskPolicy, parts.confirming.on_asked, _nothing)
        self.add(PolicyTold, parts.confirming.on_told, _nothing, is_answer=True)

    def needs(self, message: PeerMessage) -> Iterable[Key]:
        """The keys whose instances must be loaded for a message."""
        return self.routes[type(message)].needs(message)

    def on_message(self, step: StepBuilder, sender: NodeId, message: PeerMessage) -> None:
        """Handle a message of a peer, or of this node itself."""
        route = self.routes[type(message)]
        if route.is_answer and (sender in self._node.guests or sender in self._parts.seats.refused):
            return
        if self._node.epoch.number and not self._is_of_epoch(step, sender, message, route):
            return
        if self._node.voting or not route.for_voters:
            route.handle(step, sender, message)

    def _is_of_epoch(
        self, step: StepBuilder, sender: NodeId, message: PeerMessage, route: Route
    ) -> bool:
        """Whether a message that came bare may be handled after a change of members."""
        if isinstance(message, Question):
            self._parts.seating.answer(step, sender, 0)  # M12: asked in epoch 0
            return False
        return not route.is_vote or self._parts.seats.counts(step, sender, message)

    def _on_asked_in(self, step: StepBuilder, sender: NodeId, message: AskedIn) -> None:
        """M12: answer a question of the epoch that this node knows; it checks whether it may."""
        if message.epoch != self._node.epoch.number:
            self._parts.seating.answer(step, sender, message.epoch)
        else:
            self.routes[type(message.question)].handle(step, sender, message.question)

    def _on_scanned(self, step: StepBuilder, sender: NodeId, message: ScanAnswer) -> None:
        """Lists and scrubs ask for scans, with tokens that differ."""
        if not self._parts.scrubbing.comparing.on_answer(step, sender, message):
            self._parts.lists.on_answer(step, sender, message)

    def _on_fetched(self, step: StepBuilder, sender: NodeId, message: Fetched) -> None:
        """R20, M18: learn what a peer has learned; what it cannot read is asked of others."""
        self._parts.learner.on_fetched(step, sender, message)
        if message.unreadable:
            self._parts.catchup.on_unreadable(step, sender, message.unreadable)

    def _on_seat(self, step: StepBuilder, sender: NodeId, message: SeatTold) -> None:
        """M10: what is open here is sent to a voter that has become ready, without a pause."""
        if sender in self._node.guests and not self._node.has_left(sender):
            # nothing is remembered of it, so its seat is not either; but it may know a later epoch
            if message.known > self._node.seat.known:
                self._parts.seating.answer(step, sender, message.known)
            return
        if self._parts.seats.on_told(step, sender, message):
            self._parts.home_promise.ask(step, self._node.name, sender)
            self._parts.coordinator.on_reachable(step, sender)
            self._parts.renewals.tell_broken(step, sender)

    def add(
        self,
        kind: type[M],
        handle: Handle[M],
        needs: Needs[M],
        *,
        for_voters: bool = False,
        is_vote: bool = False,
        is_answer: bool = False,
    ) -> None:
        """Add the route of one kind of message, with functions that take that kind."""
        assert kind not in self.routes, f"{kind.__name__} has a route"
        for_voters, is_answer = for_voters or is_vote, is_answer or is_vote
        self.routes[kind] = Route(needs, handle, for_voters, is_vote, is_answer)

    def _add_paxos(self, parts: Parts) -> None:
        """A node that may not vote counts no answers, but it answers with decrees that it learned."""
        voting, coordinator, home_promise = parts.voting, parts.coordinator, parts.home_promise
        entries = coordinator.batches.entries
        self.add(Prepare, voting.on_proposal, _its_key)
        self.add(Accept, voting.on_proposal, _its_key)
        self.add(AcceptMany, voting.on_batch, _keys_of_decrees)
        self.add(Promise, coordinator.on_promise, _its_key, is_vote=True)
        self.add(Accepted, coordinator.on_accepted, _its_key, is_vote=True)
        self.add(
            AcceptedMany, coordinator.on_accepted_many, lambda m: entries(m.number), is_vote=True
        )
        self.add(Nack, coordinator.on_nack, _its_key, for_voters=True, is_answer=True)
        refused = coordinator.on_term_refused
        self.add(TermRefused, refused, _nothing, for_voters=True, is_answer=True)
        self.add(Commit, parts.learner.on_commit, _its_key)
        self.add(CommitMany, parts.learner.on_commit_many, lambda m: m.keys)
        self.add(PrepareClass, home_promise.on_prepare_class, _nothing, for_voters=True)
        self.add(PromiseClass, home_promise.on_promise, _nothing, is_vote=True)

    def _add_reads_and_claims(self, parts: Parts, client_requests: ClientRequests) -> None:
        reads, claims = parts.reads, parts.claims
        self.add(Query, reads.tell, lambda m: m.keys)
        self.add(QueryAnswer, reads.groups.on_answer, reads.groups.needs, is_answer=True)
        self.add(
            PassedClaim,
            client_requests.on_passed,
            lambda message: with_slot_before(message.request.claim.key),
        )
        self.add(Decreed, claims.on_decreed, _nothing)
        self.add(Failed, claims.on_failed, _nothing)

    def _add_feeds_and_lists(self, parts: Parts) -> None:
        catchup, scans, feed_service = parts.catchup, parts.scan_service, parts.feed_service
        self.add(Ping, catchup.ends.on_ping, _nothing)
        self.add(MemberAddresses, parts.addresses.on_told, _nothing)
        self.add(Pull, feed_service.serve, _nothing)
        self.add(FeedPage, catchup.on_page, catchup.needs)
        self.add(FeedUnread, catchup.on_unread, _nothing)
        self.add(Fetch, feed_service.on_fetch, lambda m: m.keys[:SERVE_KEYS])
        self.add(Fetched, self._on_fetched, _keys_of_fetched)
        self.add(Scan, scans.serve, _nothing)
        self.add(CancelScan, scans.cancel, _nothing)
        self.add(ScanAnswer, self._on_scanned, _nothing, is_answer=True)
        self.add(Refusal, _leave_to_the_server, _nothing)
        self.add(DirectoryRefusal, _leave_to_the_server, _nothing)

    def _add_locks(self, parts: Parts) -> None:
        lock_queues, renewals, giving_up = parts.lock_queues, parts.renewals, parts.giving_up
        latest = lock_queues.latest
        self.add(AskLease, renewals.tell, _next_term)
        asking = lock_queues.asking
        self.add(LeaseAnswer, lock_queues.on_answer, asking.needs, is_answer=True)
        self.add(Renew, renewals.on_renew, _next_term)
        self.add(Renewed, renewals.on_renewed, _nothing, is_answer=True)
        self.add(EndTerm, renewals.on_end, lambda m: latest.needs(m.lease_id.lock))
        self.add(GiveUp, giving_up.on_give_up, lambda m: latest.needs(m.lock))
        self.add(GiveUpTaken, giving_up.on_taken, _nothing, is_answer=True)
        self.add(ForgottenTerms, parts.forgetting.on_told, _nothing)

    def _add_members(self, parts: Parts) -> None:
        taking_over = parts.taking_over
        self.add(AskState, taking_over.on_asked, taking_over.asked_for)
        self.add(StatePage, parts.on_state_page, taking_over.needs, is_answer=True)
        self.add(SeatTold, self._on_seat, _nothing)
        self.add(AskStanding, parts.changing.on_asked, _nothing)
        self.add(Standing, parts.changing.on_standing, _nothing)
        self.add(AskedIn, self._on_asked_in, lambda m: self.needs(m.question))


def _nothing(_: PeerMessage) -> Iterable[Key]:
    return ()


def _its_key(message: Prepare | Accept | Promise | Accepted | Nack | Commit) -> tuple[Key]:
    return (message.key,)


def _keys_of_decrees(message: AcceptMany) -> Sequence[Key]:
    return Decrees.of(message.decrees).keys


def _keys_of_fetched(message: Fetched) -> list[Key]:
    return [*(decree.key for decree in message.decrees), *message.unreadable]


def _next_term(message: AskLease | Renew) -> tuple[Key]:
    return (message.lease_id.next_key,)


def _leave_to_the_server(
    step: StepBuilder, sender: NodeId, message: Refusal | DirectoryRefusal
) -> None:
    """Do nothing: the server ends the process or the link."""
