"""Messages of peers: one route for each kind.

A route has the instances that a message needs and the function that handles it. A new message needs
its class, its schema, and one line here.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from msgspec import Struct

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
from ..wire.handshake import Refusal
from ..wire.peers import (
    AskLease,
    CancelScan,
    EndTerm,
    FeedPage,
    Fetch,
    Fetched,
    ForgottenTerms,
    GiveUp,
    GiveUpTaken,
    LeaseAnswer,
    PeerMessage,
    Ping,
    Pull,
    Query,
    QueryAnswer,
    Renew,
    Renewed,
    Scan,
    ScanAnswer,
    TermRefused,
)
from ..wire.requests import ClaimNextRequest, ClaimRequest, Decreed, Failed
from .client_requests import ClientRequests, keys_of_claim
from .feed.catchup import SERVE_KEYS
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
    """

    needs: Needs[Any]
    handle: Handle[Any]
    for_voters: bool = False


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
        self.routes: dict[type[Any], Route] = {}
        self._add_paxos(parts)
        self._add_reads_and_claims(parts, client_requests)
        self._add_feeds_and_lists(parts)
        self._add_locks(parts)

    def needs(self, message: PeerMessage) -> Iterable[Key]:
        """The keys whose instances must be loaded for a message."""
        return self.routes[type(message)].needs(message)

    def on_message(self, step: StepBuilder, sender: NodeId, message: PeerMessage) -> None:
        """Handle a message of a peer, or of this node itself."""
        route = self.routes[type(message)]
        if self._node.voting or not route.for_voters:
            route.handle(step, sender, message)

    def add(
        self, kind: type[M], handle: Handle[M], needs: Needs[M], *, for_voters: bool = False
    ) -> None:
        """Add the route of one kind of message, with functions that take that kind."""
        assert kind not in self.routes, f"{kind.__name__} has a route"
        self.routes[kind] = Route(needs, handle, for_voters)

    def _add_paxos(self, parts: Parts) -> None:
        """A node that may not vote counts no answers, but it answers with decrees that it learned."""
        voting, coordinator, home_promise = parts.voting, parts.coordinator, parts.home_promise
        entries = coordinator.batches.entries
        self.add(Prepare, voting.on_proposal, _its_key)
        self.add(Accept, voting.on_proposal, _its_key)
        self.add(AcceptMany, voting.on_batch, _keys_of_decrees)
        self.add(Promise, coordinator.on_promise, _its_key, for_voters=True)
        self.add(Accepted, coordinator.on_accepted, _its_key, for_voters=True)
        self.add(
            AcceptedMany, coordinator.on_accepted_many, lambda m: entries(m.number), for_voters=True
        )
        self.add(Nack, coordinator.on_nack, _its_key, for_voters=True)
        self.add(TermRefused, coordinator.on_term_refused, _nothing, for_voters=True)
        self.add(Commit, parts.learner.on_commit, _its_key)
        self.add(CommitMany, parts.learner.on_commit_many, lambda m: m.keys)
        self.add(PrepareClass, home_promise.on_prepare_class, _nothing, for_voters=True)
        self.add(PromiseClass, home_promise.on_promise, _nothing, for_voters=True)

    def _add_reads_and_claims(self, parts: Parts, client_requests: ClientRequests) -> None:
        reads, claims = parts.reads, parts.claims
        self.add(Query, reads.tell, _its_key)
        self.add(QueryAnswer, reads.on_answer, reads.needs)
        self.add(ClaimRequest, client_requests.on_passed, keys_of_claim)
        self.add(ClaimNextRequest, client_requests.on_passed, keys_of_claim)
        self.add(Decreed, claims.on_decreed, _nothing)
        self.add(Failed, claims.on_failed, _nothing)

    def _add_feeds_and_lists(self, parts: Parts) -> None:
        catchup, scans = parts.catchup, parts.scan_service
        self.add(Ping, catchup.on_ping, _nothing)
        self.add(Pull, catchup.serve, _nothing)
        self.add(FeedPage, catchup.on_page, catchup.needs)
        self.add(Fetch, catchup.on_fetch, lambda m: m.keys[:SERVE_KEYS])
        self.add(Fetched, parts.learner.on_fetched, _keys_of_decrees)
        self.add(Scan, scans.serve, _nothing)
        self.add(CancelScan, scans.cancel, _nothing)
        self.add(ScanAnswer, parts.lists.on_answer, _nothing)
        self.add(Refusal, _leave_to_the_server, _nothing)

    def _add_locks(self, parts: Parts) -> None:
        lock_queues, renewals, giving_up = parts.lock_queues, parts.renewals, parts.giving_up
        latest = lock_queues.latest
        self.add(AskLease, renewals.tell, _next_term)
        self.add(LeaseAnswer, lock_queues.on_answer, lock_queues.asking.needs)
        self.add(Renew, renewals.on_renew, _next_term)
        self.add(Renewed, renewals.on_renewed, _nothing)
        self.add(EndTerm, renewals.on_end, lambda m: latest.needs(m.lease_id.lock))
        self.add(GiveUp, giving_up.on_give_up, lambda m: latest.needs(m.lock))
        self.add(GiveUpTaken, giving_up.on_taken, _nothing)
        self.add(ForgottenTerms, parts.forgetting.on_told, parts.forgetting.needs)


def _nothing(_: PeerMessage) -> Iterable[Key]:
    return ()


def _its_key(message: Prepare | Accept | Promise | Accepted | Nack | Commit | Query) -> tuple[Key]:
    return (message.key,)


def _keys_of_decrees(message: AcceptMany | Fetched) -> list[Key]:
    return [decree.key for decree in message.decrees]


def _next_term(message: AskLease | Renew) -> tuple[Key]:
    return (message.lease_id.next_key,)


def _leave_to_the_server(step: StepBuilder, sender: NodeId, message: Refusal) -> None:
    """Do nothing: the server ends the process or the link."""
