"""One node's whole state machine: `needs`, then `step`.

`Replica` only leads each event to the part that it is for (`parts`); the front door is a table of what
clients may ask (`client_requests`) and one of what peers may say (`peer_messages`). See `effects` for
the contract with the world, and `docs/architecture.md` for a claim's way through the parts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import assert_never

from ..config import ClusterConfig
from ..disk import Recovered, Unserved
from ..errors import OutcomeUnknown
from ..locks.terms import term_key
from ..paxos.instance import Instance
from ..paxos.messages import Accepted, AcceptedMany, PromiseClass
from ..types import Key, NodeId, Value
from ..version import VERSION
from ..wire.requests import Failed
from .client_requests import ClientRequests, with_slot_before
from .consensus.attempt import Progress
from .feed.catchup import SERVE_KEYS
from .parts import Parts
from .peer_messages import Peers
from .step.effects import Effects
from .step.events import (
    ClientGone,
    Coordinate,
    Crowded,
    Event,
    Expire,
    FeedDone,
    FetchOn,
    Finish,
    Fired,
    FromClient,
    FromPeer,
    Greeted,
    Moment,
    PullFeeds,
    Reachable,
    ReadFailed,
    ReadOn,
    ReadOrRest,
    Reconsider,
    Resend,
    ResendBatch,
    ResendRead,
    Retry,
    ScanDone,
    SendBatch,
    SlotDone,
    Sweep,
    Timer,
    TryNextTerm,
    Welcomed,
    WriteFailed,
)
from .step.node import refusal
from .step.pending import address
from .step.step_builder import Pending, StepBuilder

_VOTES = (Accepted, AcceptedMany)


class Volatile(Value, frozen=True):
    """What a crash takes of the work on one key.

    Args:
        attempt: how far the attempt at it has come; None if there is none.
        told: the class promises that this incarnation was told, and by whom.
        batches: how many batches this incarnation has made.
    """

    attempt: Progress | None
    told: tuple[tuple[NodeId, PromiseClass], ...] = ()
    batches: int = 0


class Replica:
    """A node, as a pure state machine.

    Args:
        config: the cluster.
        recovered: what was found on the node's disk.
        version: which decreed this is, for those who ask for the node's status.
    """

    def __init__(self, config: ClusterConfig, recovered: Recovered, version: str = VERSION) -> None:
        parts = self.parts = Parts(config, recovered)
        self.node, self.membership, self.catchup = parts.node, parts.membership, parts.catchup
        self._coordinator = parts.coordinator
        self._client_requests = ClientRequests(parts, version)
        self._peers = Peers(parts, self._client_requests)
        self._settling = self._unsynced = False

    @property
    def unlearned(self) -> int:
        """How many acceptances of this node have an unknown outcome."""
        return self.parts.acceptors.unlearned

    @property
    def reads_under_way(self) -> int:
        """How many questions about single keys wait for answers of peers."""
        return self.parts.reads.under_way

    @property
    def in_flight(self) -> int:
        """How many requests wait for an answer that is on its way; waits and watches are not."""
        return self.parts.requests.working

    def start(self, moment: Moment) -> Effects:
        """The first step of a life: set the timers, and form at once if there are no others."""
        step = StepBuilder(moment, moment.now_ms, {})
        # leases that an earlier incarnation gave are forgotten
        self.parts.leases.started_ms = step.now_ms
        self.membership.form_if_confirmed(step)
        self._on_sweep(step)
        self.catchup.on_timer(step)
        return self._finish(step)

    # -- what is in memory

    def pending_work(self) -> Pending:
        """What is held in memory for work that is not over, by kind, where there is any."""
        parts = self.parts
        working = (
            *(parts.requests, parts.node.tokens, parts.acceptors, parts.coordinator, parts.catchup),
            *(parts.watches, parts.reads, parts.claims, parts.lists, parts.scans),
            *(parts.scan_service, parts.lock_queues, parts.renewals, parts.giving_up),
        )
        held = [item for part in working for item in part.pending().items()]
        return {kind: what for kind, what in held if what}

    def volatile(self, key: Key) -> Volatile:
        """What a crash would take of the work on `key`, as a value."""
        coordinator = self._coordinator
        told = tuple(sorted(self.parts.home_promise.told.items()))
        return Volatile(coordinator.progress(key), told, coordinator.batches.made)

    def restore(self, key: Key, volatile: Volatile) -> None:
        """Put a node, which has just been started and asked the same, where another had come to."""
        coordinator, home_promise = self._coordinator, self.parts.home_promise
        coordinator.batches.made = volatile.batches
        if volatile.attempt is not None:
            coordinator.restore(key, volatile.attempt)
        step = StepBuilder(Moment(0.0, 0), 0.0, {})
        for sender, promise in volatile.told:
            home_promise.on_promise(step, sender, promise)
        home_promise.count(step)

    # -- what a step needs

    def needs(self, events: Collection[Event]) -> set[Key]:
        """The keys whose instances `step` must be given for these events."""
        keys: set[Key] = set()
        for event in events:
            keys.update(self._needs_of(event))
        batch_queue = self._coordinator.batch_queue.waiting
        if batch_queue and any(map(_is_vote, events)):
            # those who leave if a batch lands; once, however many votes there are
            keys.update(batch_queue)
        return keys

    def _needs_of(self, event: Event) -> Iterable[Key]:
        match event:
            case FromClient():
                return [
                    key for asked in event.requests for key in self._client_requests.needs(asked)
                ]
            case FromPeer():
                return self._peers.needs(event.message)
            case Fired(timer):
                return self._needs_of_timer(timer)
            case FeedDone():
                return self.parts.watches.needs(event)
            case Coordinate(_, _, key):
                return with_slot_before(key)
            case Finish(key) | ReadOn(_, _, key):
                return (key,)
            case FetchOn(_, keys):
                return keys[:SERVE_KEYS]
            case TryNextTerm(lock, term):
                known = (term_key(lock, term),) if term else ()
                return (*known, term_key(lock, term + 1))
            case _:
                return ()

    def _needs_of_timer(self, timer: Timer) -> Iterable[Key]:
        match timer:
            case Resend() | Retry():
                return self._coordinator.needs(timer)
            case ResendBatch(number):
                return self._coordinator.batches.entries(number)
            case SendBatch():
                return self._coordinator.batch_queue.waiting
            case _:
                return ()

    def counts(self, timer: Timer) -> bool:
        """Whether a timer may still have something to do; one that has not need never fire."""
        match timer:
            case Resend() | Retry() | ResendBatch():
                return bool(self._needs_of_timer(timer))
            case SendBatch():
                return self._coordinator.batch_queue.counts(timer)
            case _:
                return True

    def step(
        self,
        moment: Moment,
        events: Sequence[Event],
        instances: Mapping[Key, Instance | Unserved],
    ) -> Effects:
        """Handle everything that has arrived.

        Args:
            moment: the clock, read after the last event arrived.
            events: what happened, in order of arrival.
            instances: the durable instances of at least the keys that `needs` named.

        Returns:
            What must happen, sorted by what it waits for; see `Effects`.
        """
        step = StepBuilder(moment, moment.now_ms, dict(instances))
        failed = bool(events) and isinstance(events[0], WriteFailed)
        if self._settling and not failed:
            self.node.settled_feed_end = self.node.feed_end
        for event in events:
            self._handle(step, event)
        if self.parts.lock_queues.joined:
            self.parts.lock_queues.end_turn(step)
        self._coordinator.propose_due(step)
        if self.parts.home_promise.uncounted:
            self.parts.home_promise.count(step)
        if step.learned and self.parts.watches.parked:
            self.parts.watches.end_turn(step)
        return self._finish(step)

    def _finish(self, step: StepBuilder) -> Effects:
        effects = step.finish()
        unsynced = bool(effects.records) or self._unsynced
        self._settling = effects.sync = effects.sync and unsynced
        self._unsynced = unsynced and not effects.sync
        return effects

    # -- events

    def _handle(self, step: StepBuilder, event: Event) -> None:
        match event:
            # the most frequent first, and by type alone: a pattern with positions fetches every field
            case FromClient():
                for request in event.requests:
                    self._client_requests.on_request(step, event.connection, request)
            case FromPeer():
                self._peers.on_message(step, event.sender, event.message)
            case ClientGone(connection):
                self._client_requests.on_client_gone(step, connection)
            case Crowded(connection, count):
                self._client_requests.on_crowded(step, connection, count)
            case Fired(timer):
                self._on_timer(step, timer)
            case Greeted():
                self.membership.on_greeted(step, event)
            case Welcomed():
                self._on_welcomed(step, event)
            case Reachable():
                self._on_reachable(step, event)
            case WriteFailed():
                self._on_write_failed(step, event)
            case _:
                self._on_read_or_rest(step, event)

    def _on_read_or_rest(self, step: StepBuilder, event: ReadOrRest) -> None:
        parts = self.parts
        match event:
            case ScanDone() | FeedDone() | SlotDone():
                self.node.tokens.on_read(step, event)
            case ReadFailed(token, message):
                step.alarm(message)
                self.node.tokens.on_read_failed(step, token, message)
            case Finish():
                parts.finishing.finish(step, event)
            case Coordinate():
                parts.claims.go_on(step, event)
            case ReadOn():
                parts.reads.read_on(step, event)
            case FetchOn(sender, keys):
                self.catchup.serve_fetch(step, sender, keys)
            case TryNextTerm():
                parts.lock_queues.try_next_term(step, event)
            case _:
                assert_never(event)

    def _on_timer(self, step: StepBuilder, timer: Timer) -> None:
        match timer:
            case Expire():
                self._client_requests.on_expire(step, timer)
            case Resend():
                self._coordinator.on_resend(step, timer)
            case SendBatch():
                self._coordinator.batch_queue.on_timer(timer)
            case ResendBatch():
                self._coordinator.on_resend_flight(step, timer)
            case Retry():
                self._coordinator.on_retry(step, timer)
            case ResendRead():
                self.node.tokens.on_resend(step, timer)
            case Sweep():
                self._on_sweep(step)
            case PullFeeds():
                self.catchup.on_timer(step)
            case Reconsider():
                self.parts.lock_queues.on_timer(step, timer)
            case _:
                assert_never(timer)

    def _on_sweep(self, step: StepBuilder) -> None:
        """R22: finish what has been in doubt for too long; and drop what nobody waits for."""
        parts = self.parts
        parts.finishing.sweep(step)
        parts.home_promise.sweep(step)
        for part in (parts.reads, parts.watches, parts.claims, parts.locks):
            part.prune()
        parts.lists.prune(step)
        parts.scan_service.prune(step.now_ms)
        self.node.wants_commits = bool(parts.watches.parked) or parts.reads.awaits_decrees
        parts.leases.prune(step.now_ms)
        every_ms = self.node.config.timing.finish_ms / 2
        step.timer(Sweep(), every_ms, every_ms)

    def _on_welcomed(self, step: StepBuilder, event: Welcomed) -> None:
        formed = self.node.formed
        self.membership.on_welcomed(step, event)
        if self.node.formed and not formed:
            self.parts.home_promise.sweep(step)

    def _on_reachable(self, step: StepBuilder, event: Reachable) -> None:
        if event.reachable:
            self.node.reachable.add(event.node)
            self.parts.home_promise.ask(step, self.node.name, event.node)
            self._coordinator.on_reachable(step, event.node)
        else:
            self.node.reachable.discard(event.node)
            self.parts.claims.on_unreachable(step, event.node)
        self.parts.lists.on_reachable(step)

    def _on_write_failed(self, step: StepBuilder, event: WriteFailed) -> None:
        """Stop voting and proposing until restarted (design 4); serve what was learned."""
        reason = event.reason
        if not self.node.failed:
            step.alarm(f"writing failed, so this node no longer votes or takes claims: {reason}")
        self.node.fail(reason)
        # what the failed step appended is not there, and must be neither counted nor waited for
        self.node.feed_end = self.node.settled_feed_end
        self._unsynced = False
        error, message = refusal(self.node)
        for origin, request_id in event.lost:
            step.at_once(address(origin, Failed(request_id, OutcomeUnknown.code, message)))
        self._coordinator.abandon()
        self.parts.locks.abandon()
        for pending in self.parts.requests.all():
            unknown = pending.indefinite or pending.passed_to is not None
            self.parts.requests.fail(step, pending, OutcomeUnknown if unknown else error, message)
        self.parts.lists.prune(step)


def _is_vote(event: Event) -> bool:
    return isinstance(event, FromPeer) and type(event.message) in _VOTES
