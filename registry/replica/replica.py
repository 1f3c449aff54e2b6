"""One node's whole state machine: `needs`, then `step`.

`Replica` only leads each event to the part that it belongs to, and keeps what they share: a learned
decree becomes known to all of them in one place. See `effects` for the contract with the world, and
`docs/architecture.md` for a claim's way through the parts.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import assert_never

from ..config import ClusterConfig
from ..disk import Recovered, Unserved
from ..errors import OutcomeUnknown
from ..locks.leases import Leases
from ..paxos.instance import Instance
from ..types import Key, NodeId
from ..version import VERSION
from ..wire.requests import (
    Cancel,
    ClaimRequest,
    ClientPing,
    ClientPong,
    Failed,
    GetRequest,
    Request,
    StatusRequest,
)
from .acceptors import Acceptors
from .catchup import CatchUp
from .claims import Claims
from .contests import Contests
from .coordinator import Coordinator
from .effects import Effects, Reply
from .events import (
    ClientGone,
    Connection,
    Contend,
    Coordinate,
    Depart,
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
    ResendFlight,
    ResendRead,
    Retry,
    ScanDone,
    SlotDone,
    Sweep,
    Timer,
    Welcomed,
    WriteFailed,
)
from .finishing import Finishing
from .forgetting import Forgetting
from .giving_up import GivingUp
from .intake import Intake
from .knowledge import Knowledge
from .lists import Lists
from .locks import Locks
from .membership import Membership
from .needs import Needs
from .node import Node, refusal
from .peers import Peers
from .reads import Reads
from .recent import Recent
from .renewals import Renewals
from .requests import Requests, address
from .scan_service import ScanService
from .scans import Scans
from .standing import Standing
from .status import status_report
from .turn import Turn
from .voting import Voting
from .watches import Watches


class Replica:
    """A node, as a pure state machine.

    Args:
        config: the cluster.
        recovered: what was found on the node's disk.
        version: which decreed this is, for who asks for the node's status.
    """

    def __init__(self, config: ClusterConfig, recovered: Recovered, version: str = VERSION) -> None:
        self.version = version
        lineage, feed_end = recovered.lineage, recovered.feed_end
        node = self.node = Node(config, recovered.identity, lineage, feed_end)
        self._settling = self._unsynced = False
        cursors = {cursor.node: cursor for cursor in recovered.cursors}
        self.membership = Membership(node, recovered.peers, cursors)
        recent = Recent(feed_end)
        requests = self._requests = Requests()
        self._leases = Leases()
        self._forgetting = Forgetting(node)
        unlearned, classes = recovered.unlearned, recovered.classes
        self._acceptors = Acceptors(node.config.nodes, classes, unlearned, self._leases)
        standing = self._standing = Standing(node, self._acceptors, self._cursor_of)
        knowledge = self._knowledge = Knowledge(node, recent)
        coordinator = Coordinator(node, self._acceptors, standing, knowledge.learn)
        self._coordinator = coordinator
        reads = self._reads = Reads(node, requests, coordinator, knowledge.learn)
        claims = self._claims = Claims(node, requests, coordinator, reads)
        scans = self._scans = Scans(node)
        lists = self._lists = Lists(node, requests, coordinator, scans)
        self._scan_service = ScanService(node, scans)
        watches = self._watches = Watches(node, requests)
        locks = self._locks = self._locks_of(knowledge)
        self._voting = Voting(node, self._acceptors, coordinator, standing)
        self._finishing = Finishing(node, self._acceptors, coordinator, lists)
        self.catchup = CatchUp(node, cursors, self._disk_of, recent)
        self._needs = Needs(coordinator, reads, watches, self.catchup, locks)
        self._intake = Intake(node, requests, claims, reads, lists, watches, locks)
        parts = (self._voting, knowledge, reads, claims, self._intake, lists, self.catchup, locks)
        self._peers = Peers(*parts, self._scan_service)
        self._forgetting.tell(self._acceptors, coordinator, reads, self.catchup, locks)
        knowledge.tell(
            *(self._acceptors, coordinator, reads, claims, self.catchup),
            of_terms=locks,
            new_term=self._forgetting.on_new,
            disputed=self.catchup.on_disputed,
        )

    def _locks_of(self, knowledge: Knowledge) -> Locks:
        node, requests, leases = self.node, self._requests, self._leases
        contests = Contests(node, requests, self._coordinator, self._reads, leases, knowledge.learn)
        renewals = Renewals(node, requests, self._reads, leases, contests.on_ended)
        giving_up = GivingUp(node, requests, leases, contests)
        return Locks(contests, renewals, giving_up, self._forgetting)

    @property
    def unlearned(self) -> int:
        """How many acceptances of this node have an unknown outcome."""
        return self._acceptors.unlearned

    @property
    def reads_under_way(self) -> int:
        """How many questions about single keys wait for answers of peers."""
        return self._reads.under_way

    @property
    def in_flight(self) -> int:
        """How many requests wait for an answer that is on its way; waits and watches are not."""
        return self._requests.working

    def start(self, moment: Moment) -> Effects:
        """The first step of a life: set the timers, and form at once if there are no others."""
        turn = Turn(moment, {})
        self._leases.started_ms = turn.now_ms  # what leases an earlier life gave is forgotten
        self.membership.form_if_confirmed(turn)
        self._on_sweep(turn)
        self.catchup.on_timer(turn)
        return self._finish(turn)

    def needs(self, events: Collection[Event]) -> set[Key]:
        """The keys whose instances `step` must be given for these events."""
        return self._needs.of_events(events)

    def counts(self, timer: Timer) -> bool:
        """Whether a timer may still have something to do; one that has not need never fire."""
        match timer:
            case Resend() | Retry():
                return bool(self._coordinator.needs(timer))
            case ResendFlight(number):
                return bool(self._coordinator.flights.aboard(number))
            case Depart():
                return self._coordinator.boarding.counts(timer)
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
        turn = Turn(moment, instances)
        failed = bool(events) and isinstance(events[0], WriteFailed)
        if self._settling and not failed:
            self.node.settled_feed_end = self.node.feed_end
        for event in events:
            self._handle(turn, event)
        self._coordinator.propose_due(turn)
        self._standing.count(turn)
        self._watches.end_turn(turn)
        return self._finish(turn)

    def _finish(self, turn: Turn) -> Effects:
        effects = turn.finish()
        unsynced = bool(effects.records) or self._unsynced
        self._settling = effects.sync = effects.sync and unsynced
        self._unsynced = unsynced and not effects.sync
        return effects

    # -- events

    def _handle(self, turn: Turn, event: Event) -> None:
        match event:
            # the most frequent first, and by type alone: a pattern with positions fetches every field
            case FromClient():
                for request in event.requests:
                    self._on_request(turn, event.connection, request)
            case FromPeer():
                self._peers.on_message(turn, event.sender, event.message)
            case ClientGone(connection):
                for live in self._requests.abandon(connection):
                    self._lists.leave(turn, live)
                self._locks.contests.tidy(turn)
            case Fired(timer):
                self._on_timer(turn, timer)
            case Greeted():
                self.membership.on_greeted(turn, event)
            case Welcomed():
                self._on_welcomed(turn, event)
            case Reachable():
                self._on_reachable(turn, event)
            case WriteFailed():
                self._on_write_failed(turn, event)
            case _:
                self._on_read_or_rest(turn, event)

    def _on_read_or_rest(self, turn: Turn, event: ReadOrRest) -> None:
        match event:
            case ScanDone() | FeedDone() | SlotDone():
                self.node.tokens.on_read(turn, event)
            case ReadFailed(token, message):
                turn.alarm(message)
                self.node.tokens.on_read_failed(turn, token, message)
            case Finish():
                self._finishing.finish(turn, event)
            case Coordinate():
                self._claims.go_on(turn, event)
            case ReadOn():
                self._reads.read_on(turn, event)
            case FetchOn(sender, keys):
                self.catchup.serve_fetch(turn, sender, keys)
            case Contend():
                self._locks.contests.contend(turn, event)
            case _:
                assert_never(event)

    def _on_timer(self, turn: Turn, timer: Timer) -> None:
        match timer:
            case Expire():
                for live in self._requests.expired(timer):
                    self._intake.expire(turn, live)
                    self._lists.leave(turn, live)
                self._requests.close_bucket(timer)
            case Resend():
                self._coordinator.on_resend(turn, timer)
            case Depart():
                self._coordinator.boarding.on_timer(timer)
            case ResendFlight():
                self._coordinator.on_resend_flight(turn, timer)
            case Retry():
                self._coordinator.on_retry(turn, timer)
            case ResendRead():
                self.node.tokens.on_resend(turn, timer)
            case Sweep():
                self._on_sweep(turn)
            case PullFeeds():
                self.catchup.on_timer(turn)
            case Reconsider():
                self._locks.contests.on_timer(turn, timer)
            case _:
                assert_never(timer)

    def _on_sweep(self, turn: Turn) -> None:
        """R22: finish what has been half-done for too long; and forget what nobody waits for."""
        self._finishing.sweep(turn)
        self._standing.sweep(turn)
        for part in (self._reads, self._watches, self._claims, self._locks):
            part.prune()
        self._lists.prune(turn)
        self._scan_service.prune(turn.now_ms)
        self.node.eager = self._watches.parked or self._reads.awaited
        self._leases.prune(turn.now_ms)
        every_ms = self.node.config.timing.finish_ms / 2
        turn.timer(Sweep(), every_ms, every_ms)

    def _on_welcomed(self, turn: Turn, event: Welcomed) -> None:
        formed = self.node.formed
        self.membership.on_welcomed(turn, event)
        if self.node.formed and not formed:
            self._standing.sweep(turn)

    def _on_reachable(self, turn: Turn, event: Reachable) -> None:
        if event.reachable:
            self.node.reachable.add(event.node)
            self._standing.ask(turn, self.node.name, event.node)
            self._coordinator.on_reachable(turn, event.node)
        else:
            self.node.reachable.discard(event.node)
            self._claims.on_unreachable(turn, event.node)
        self._lists.on_reachable(turn)

    def _on_write_failed(self, turn: Turn, event: WriteFailed) -> None:
        """Stop voting and proposing until restarted (design 4); serve what was learned."""
        reason = event.reason
        if not self.node.failed:
            turn.alarm(f"writing failed, so this node no longer votes or takes claims: {reason}")
        self.node.failed = self.node.failed or reason
        # what the failed step appended is not there, and must be neither counted nor waited for
        self.node.feed_end = self.node.settled_feed_end
        self._unsynced = False
        error, message = refusal(self.node)
        for origin, request_id in event.lost:
            turn.at_once(address(origin, Failed(request_id, OutcomeUnknown.code, message)))
        self._coordinator.abandon()
        self._locks.abandon()
        for live in self._requests.all():
            unknown = live.indefinite or live.passed_to is not None
            self._requests.fail(turn, live, OutcomeUnknown if unknown else error, message)
        self._lists.prune(turn)

    def _on_request(self, turn: Turn, connection: Connection, request: Request) -> None:
        match request:
            case GetRequest() | ClaimRequest():  # the most frequent first
                self._intake.open(turn, connection, request)
            case StatusRequest():
                report = status_report(self, request.id, turn.now_ms)
                turn.at_once(Reply(connection, report))
            case ClientPing():
                turn.at_once(Reply(connection, ClientPong(request.id)))
            case Cancel():
                cancelled = self._requests.cancel(turn, connection, request)
                if cancelled is not None:
                    self._lists.leave(turn, cancelled)
                self._locks.contests.tidy(turn)
            case _:
                self._intake.open(turn, connection, request)

    def _cursor_of(self, peer: NodeId) -> int:
        return self.catchup.cursor(peer)

    def _disk_of(self, node: NodeId) -> bytes | None:
        record = self.membership.known(node)
        return record.disk_id if record is not None else None
