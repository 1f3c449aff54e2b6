"""The state machine of one node: `needs`, then `step`.

`Replica` routes each event to the part that handles it (`parts`). Client requests and peer messages
have a table each (`client_requests`, `peer_messages`). `step.effects` has the contract with the
world, and `docs/architecture.md` a claim's way through the parts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import assert_never

from ..config import ClusterConfig
from ..disk import Recovered
from ..errors import OutcomeUnknown
from ..keys import with_slot_before
from ..locks.terms import term_key
from ..paxos.instance import Instance
from ..paxos.messages import Accepted, AcceptedMany
from ..types import Key
from ..unserved import Unserved
from ..version import VERSION
from ..wire.requests import Failed
from .client_requests import ClientRequests
from .feed.serving import SERVE_KEYS
from .parts import Parts
from .peer_messages import Peers
from .step.disk_reads import CheckDone, DiskMeasured, FeedDone, ReadFailed, ScanDone, SlotDone
from .step.effects import Effects
from .step.events import (
    ChangeMembers,
    ClientGone,
    Confirmed,
    ConfirmPolicy,
    Coordinate,
    Crowded,
    Dialled,
    EpochChanged,
    Event,
    Expire,
    FetchOn,
    Finish,
    Fired,
    FollowFloor,
    FromClient,
    FromPeer,
    Greeted,
    Left,
    LinksSecured,
    Moment,
    Named,
    PullFeeds,
    Reachable,
    ReadOn,
    ReadOrRest,
    Reconsider,
    Resend,
    ResendBatch,
    ResendRead,
    Retry,
    ScrubDue,
    ScrubOn,
    SeatRecorded,
    Seeded,
    SendBatch,
    Shown,
    Sweep,
    TakenOver,
    Timer,
    TryNextTerm,
    UnmatchedDecrees,
    Welcomed,
    WriteFailed,
)
from .step.node import refusal
from .step.pending import address
from .step.step_builder import Pending, StepBuilder
from .volatile import Volatile


class Replica:
    """A node, as a pure state machine.

    Args:
        config: the cluster.
        recovered: what was found on the node's disk.
        version: the version of decreed, for status reports.
        advertise: the address that others are told; None for that of the config.
        observes: whether the node waits for no vote.
        enforces: whether policies are obeyed; without it, everything is open.
        secured: whether clients come by TLS.
    """

    def __init__(
        self,
        config: ClusterConfig,
        recovered: Recovered,
        version: str = VERSION,
        advertise: str | None = None,
        *,
        observes: bool = False,
        enforces: bool = False,
        secured: bool = False,
    ) -> None:
        kinds = {"observes": observes, "enforces": enforces, "secured": secured}
        parts = self.parts = Parts(config, recovered, advertise, **kinds)
        self.node, self.membership, self.catchup = parts.node, parts.membership, parts.catchup
        self._coordinator, self._groups = parts.coordinator, parts.reads.groups
        self._client_requests = ClientRequests(parts, version)
        self._peers = Peers(parts, self._client_requests)
        self._settling = self._unsynced = False

    @property
    def reads_under_way(self) -> int:
        """How many reads of single keys wait for a quorum."""
        return self._groups.under_way

    @property
    def in_flight(self) -> int:
        """How much must be done before the node may stop; see `Parts.in_flight`."""
        return self.parts.in_flight

    def start(self, moment: Moment) -> Effects:
        """The first step of an incarnation: set the timers, and form at once if there are no others."""
        step = StepBuilder(moment, moment.now_ms, {}, self.node.feed_end)
        # the leases of an earlier incarnation are lost
        self.parts.leases.started_ms = step.now_ms
        self.parts.seating.begin(step)
        self.membership.form_if_confirmed(step)
        self.parts.taking_over.begin(step)
        self.parts.seats.leave_earlier(step)
        self._on_sweep(step)
        self.catchup.on_timer(step)
        self.parts.confirming.start(step)
        if self.parts.confirming.asks:
            self.parts.obey(step)
        return self._finish(step)

    def pending_work(self) -> Pending:
        """What is held in memory for unfinished work, by kind; kinds without any are left out."""
        return self.parts.pending()

    def volatile(self, key: Key) -> Volatile:
        """The volatile state of the work on `key`."""
        told = tuple(sorted(self.parts.home_promise.told.items()))
        return Volatile(self._coordinator.progress(key), told, self._coordinator.batches.made)

    def restore(self, key: Key, volatile: Volatile) -> None:
        """Put a node that was just started, with the same requests, into another's volatile state."""
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
            # the queue may leave when a batch completes; once, however many votes there are
            keys.update(batch_queue)
        return keys

    def _needs_of(self, event: Event) -> Iterable[Key]:
        match event:
            case FromClient():
                return self._client_requests.needs(event)
            case FromPeer():
                return self._peers.needs(event.message)
            case Fired(timer):
                return self._needs_of_timer(timer)
            case FeedDone():
                return self.parts.watches.needs(event)
            case Coordinate(_, _, key):
                return with_slot_before(key)
            case Confirmed(_, request):
                return self._client_requests.needs_of(request)
            case Finish(key) | ReadOn(_, _, key):
                return (key,)
            case FetchOn(_, keys) | Named(keys):
                return keys[:SERVE_KEYS]
            case FollowFloor():
                return self.parts.forgetting.needs(event)
            case TryNextTerm(lock, term):
                known = (term_key(lock, term),) if term else ()
                return (*known, term_key(lock, term + 1))
            case EpochChanged():
                return self._groups.asked
            case TakenOver(keys) | Shown(keys):
                return keys
            case Seeded() | UnmatchedDecrees():
                return [decree.key for decree in event.decrees]
            case ChangeMembers():
                return (event.claim.key,)
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
        """Whether a timer may still have an effect; one that has none need not fire."""
        match timer:
            case Resend() | Retry() | ResendBatch():
                return bool(self._needs_of_timer(timer))
            case SendBatch():
                return self._coordinator.batch_queue.counts(timer)
            case _:
                return type(timer) is not ResendRead or self.node.tokens.counts(timer)

    def step(
        self,
        moment: Moment,
        events: Sequence[Event],
        instances: Mapping[Key, Instance | Unserved],
    ) -> Effects:
        """Handle all events that have arrived.

        Args:
            moment: the clock, read after the last event arrived.
            events: the events, in order of arrival.
            instances: the durable instances of at least the keys that `needs` named.

        Returns:
            The effects, sorted by what they wait for; see `Effects`.
        """
        step = StepBuilder(moment, moment.now_ms, dict(instances), self.node.feed_end)
        if self._settling and not (events and isinstance(events[0], WriteFailed)):
            self.node.settled_feed_end = self.node.feed_end
        if self.parts.policies.policy is not None:
            self.parts.policies.passes(moment.wall_ms)
        if step.now_ms >= self.parts.confirming.lapses_ms:
            self._client_requests.on_lapsed(step)
        elif self.parts.policies.changed:
            self._client_requests.end_denied(step)
        for event in events:
            self._handle(step, event)
            if self.parts.policies.changed:
                self._client_requests.end_denied(step)
        if self.parts.lock_queues.joined:
            self.parts.lock_queues.end_turn(step)
        self._coordinator.propose_due(step)
        if self.parts.home_promise.uncounted:
            self.parts.home_promise.count(step)
        if step.learned and self.parts.watches.parked:
            self.parts.watches.end_turn(step)
        if self._groups.gathering is not None:
            self._groups.end_turn(step)
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
            # most frequent first, and by type alone: a pattern with positions reads every field
            case FromClient():
                self._client_requests.on_requests(step, event)
            case FromPeer():
                self._peers.on_message(step, event.sender, event.message)
            case ClientGone(connection):
                self._client_requests.on_client_gone(step, connection)
            case Crowded(connection, count):
                self._client_requests.on_crowded(step, connection, count)
            case Fired(timer):
                self._on_timer(step, timer)
            case Greeted():
                if self.membership.on_greeted(step, event):
                    self.parts.seats.greet(step, event.identity.node)
            case Welcomed():
                self._on_welcomed(step, event)
            case Left():
                self.membership.on_left(event)
            case Dialled() | LinksSecured():
                self.membership.on_links(event)
            case Reachable():
                self._on_reachable(step, event)
            case WriteFailed():
                self._on_write_failed(step, event)
            case _:
                self._on_read_or_rest(step, event)

    def _on_read_or_rest(self, step: StepBuilder, event: ReadOrRest) -> None:
        parts = self.parts
        match event:
            case ScanDone() | FeedDone() | SlotDone() | CheckDone():
                self.node.tokens.on_read(step, event)
            case ReadFailed(token, message):
                self.node.met_damage.note(step, message)
                self.node.tokens.on_read_failed(step, token, message)
            case Finish():
                parts.finishing.finish(step, event)
            case Coordinate():
                parts.claims.go_on(step, event)
            case Confirmed():
                self._client_requests.go_on(step, event)
            case ReadOn():
                parts.reads.read_on(step, event)
            case FetchOn(sender, keys):
                parts.feed_service.serve_fetch(step, sender, keys)
            case FollowFloor():
                parts.forgetting.follow(step, event)
            case TryNextTerm():
                parts.lock_queues.try_next_term(step, event)
            case EpochChanged():
                self._on_epoch_changed(step)
            case TakenOver():
                parts.taking_over.on_taken_over(step, event)
            case Shown():
                parts.releasing.on_shown(step, event)
            case SeatRecorded():
                parts.seats.on_recorded(step, event)
            case ChangeMembers():
                parts.claims.change_members(step, event)
            case Seeded():
                parts.seeding.on_page(step, event)
            case ScrubDue():
                parts.scrubbing.on_due(step, event)
            case UnmatchedDecrees():
                parts.scrubbing.on_compared(step, event)
            case Named():
                parts.scrubbing.mending.on_named(step, event)
            case DiskMeasured():
                self.node.on_measured(event)
            case _:
                assert_never(event)

    def _on_epoch_changed(self, step: StepBuilder) -> None:
        """M10, M12: ask again what is open, in the epoch that is known now."""
        parts = self.parts
        if self.node.formed and not self.node.takes_part:
            self._client_requests.on_left(step)
        parts.home_promise.sweep(step)
        parts.confirming.on_epoch(step)
        parts.reads.on_epoch(step)
        parts.lists.on_epoch(step)
        parts.locks.on_epoch(step)

    def _on_timer(self, step: StepBuilder, timer: Timer) -> None:
        match timer:
            case Expire():
                self._client_requests.on_expire(step, timer)
            case Resend():
                self._coordinator.on_resend(step, timer)
            case SendBatch():
                self._coordinator.batch_queue.on_timer(timer)
            case ResendBatch():
                self._coordinator.on_resend_batch(step, timer)
            case Retry():
                self._coordinator.on_retry(step, timer)
            case ResendRead():
                self.node.tokens.on_resend(step, timer)
            case Sweep():
                self._on_sweep(step)
            case PullFeeds():
                self.catchup.on_timer(step)
            case ConfirmPolicy():
                self.parts.confirming.on_timer(step)
            case Reconsider():
                self.parts.lock_queues.on_timer(step, timer)
            case ScrubOn():
                self.parts.scrubbing.on_timer(step, timer)
            case _:
                assert_never(timer)

    def _on_sweep(self, step: StepBuilder) -> None:
        """R22: finish keys that have been in doubt for too long, and drop work that is not awaited."""
        self.parts.sweep(step)
        self.node.wants_commits = self.parts.awaits_commits
        half_ms = self.node.config.timing.finish_ms / 2
        step.timer(Sweep(), half_ms, half_ms)

    def _on_welcomed(self, step: StepBuilder, event: Welcomed) -> None:
        formed = self.node.formed
        if self.membership.on_welcomed(step, event):
            self.parts.seats.greet(step, event.identity.node)
        if self.node.formed and not formed:
            self.parts.home_promise.sweep(step)
            self.parts.taking_over.begin(step)
            self.parts.confirming.ask(step)
            self.parts.confirming.answer(step)

    def _on_reachable(self, step: StepBuilder, event: Reachable) -> None:
        if event.reachable:
            self.node.reachable.add(event.node)
            self.parts.seats.greet(step, event.node)  # at the greeting there was no link yet
            self.parts.home_promise.ask(step, self.node.name, event.node)
            self._coordinator.on_reachable(step, event.node)
            self.parts.taking_over.on_reachable(step, event.node)
            self.parts.confirming.ask(step)
        else:
            self.node.reachable.discard(event.node)
            self.parts.claims.on_unreachable(step, event.node)
        self.parts.lists.on_reachable(step)

    def _on_write_failed(self, step: StepBuilder, event: WriteFailed) -> None:
        """Stop voting and proposing until a restart (design 4); continue to serve what is learned."""
        reason = event.reason
        if not self.node.failed:
            step.alarm(f"writing failed, so this node no longer votes or takes claims: {reason}")
        self.node.fail(reason)
        # the entries of the failed step do not exist, so they must be neither counted nor waited for
        self.node.feed_end = self.node.settled_feed_end
        self._unsynced = False
        error, message = refusal(self.node)
        for origin, request_id in event.lost:
            step.at_once(address(origin, Failed(request_id, OutcomeUnknown.code, message)))
        self._coordinator.abandon()
        self.parts.locks.abandon()
        for pending in self.parts.requests.every(step):
            unknown = pending.indefinite or pending.passed_to is not None
            self.parts.requests.fail(step, pending, OutcomeUnknown if unknown else error, message)
        self.parts.lists.prune(step)


def _is_vote(event: Event) -> bool:
    return isinstance(event, FromPeer) and isinstance(event.message, Accepted | AcceptedMany)
