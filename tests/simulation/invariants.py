"""A cluster in which each message and each write is checked against the rules immediately."""

from bisect import bisect_left
from collections.abc import Iterable
from functools import partial

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import FeedRecord, InstanceRecord, Record
from decreed.registry.errors import DecreedError
from decreed.registry.keys import home, series_and_slot, slot_before, slot_key
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.messages import (
    Accept,
    Accepted,
    AcceptedMany,
    AcceptMany,
    BatchMessage,
    Commit,
    CommitMany,
    Nack,
    Prepare,
    Promise,
    PromiseClass,
)
from decreed.registry.replica.feed.watch_positions import AHEAD_BITS, DURABLE_BITS
from decreed.registry.replica.step.effects import Effects, Outgoing, Reply, UseLink
from decreed.registry.replica.step.events import Event, Finish, FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Proposal
from decreed.registry.wire.leases import LeaseAnswer, Renewed
from decreed.registry.wire.peers import (
    CancelScan,
    FeedPage,
    Fetch,
    Fetched,
    PassedClaim,
    PeerMessage,
    QueryAnswer,
    ScanAnswer,
    StatePage,
)
from decreed.registry.wire.requests import Decreed, WatchPage
from decreed.storage import layout

from ..support.unfolded import unfolded
from .batch_check import BatchCheck
from .epoch_check import EpochCheck
from .ledger import Ledger
from .plan import CORRUPT_RECORDS, Plan
from .promise_check import PromiseCheck
from .seen_disks import SeenWorld
from .wanted import Wish


class CheckedWorld(SeenWorld):
    """A rough cluster that checks the rules of Paxos.

    Args:
        cluster: its configuration.
        plan: decides everything that is left to chance.

    Attributes:
        wishes: what clients want, by claim id.
        rolled_back_disks: nodes whose directory is not their own latest one; they must never take part.
        scrubs: whether nodes may repair such records.
        repairs: how many they have repaired.
        order: the keys in the order in which they were chosen.
        place: the place of each key in that order.
        proposed: the ids of all claims that were ever proposed.
        may_answer: further errors that a node may answer in this run.
    """

    def __init__(self, cluster: ClusterConfig, plan: Plan) -> None:
        self.wishes: dict[bytes, Wish] = {}
        self.rolled_back_disks: set[NodeId] = set()
        self.scrubs = False
        self.repairs = 0
        self.order: list[Key] = []
        self.place: dict[Key, int] = {}
        self.proposed: set[bytes] = set()
        self.may_answer: set[type[DecreedError]] = set()
        self._slots: dict[str, list[int]] = {}
        self._values: dict[tuple[Key, Ballot], Decree] = {}
        self._votes: dict[tuple[Key, Ballot], set[NodeId]] = {}
        self._ledgers: dict[NodeId, Ledger] = {}
        self._doubtful: dict[NodeId, set[Key]] = {}
        self._promise_check: PromiseCheck | None = None
        if plan.corrupt_records == max(CORRUPT_RECORDS):
            self.max_inline = 0  # so that a record can be struck that is in a batch
        self._batch_check: BatchCheck | None = None
        self.epoch_check = EpochCheck(cluster)
        self._earlier_disk: dict[NodeId, set[tuple[Key, Ballot]]] = {}
        super().__init__(cluster, plan)

    @property
    def flown(self) -> BatchCheck:
        """The batches that were sent."""
        if self._batch_check is None:
            self._batch_check = BatchCheck(self.event_counts)
        return self._batch_check

    @property
    def promise_check(self) -> PromiseCheck:
        """The promises to homes."""
        if self._promise_check is None:
            self._promise_check = PromiseCheck(self.epoch_check.quorums, self.event_counts)
        return self._promise_check

    def agree(self, decree: Decree) -> None:
        """R08, R21: a decree that a node takes for chosen was chosen by a quorum."""
        assert self.chosen.get(decree.key) == decree, f"{decree} was never chosen"

    def boot(self, node: NodeId, cluster: ClusterConfig | None = None) -> None:
        """Start a node on its disk, even if some records cannot be read."""
        super().boot(node, cluster)
        replica = self.machines[node].replica
        if replica is not None:  # a storm has few keys; these shall be many spans and chunks
            replica.parts.scans.chunk_rows, replica.parts.lists.span_rows = 3, 2
        at = (layout.instance_key(key) for key in self.corrupted.get(node, ()))
        if not all(map(self.machines[node].disk.legible, at)):
            self.event_counts.saw("a node started with a record that it could not read")

    # -- writes

    def _write(self, node: NodeId, effects: Effects) -> bool:
        if node in self.rolled_back_disks:
            return super()._write(node, effects)
        ledger = self._ledger(node)
        for record in (records := list(unfolded(effects.records))):
            if isinstance(record, InstanceRecord):
                legible = self.machines[node].disk.legible(layout.instance_key(record.key))
                assert legible or self._is_repair(record), (
                    f"{node} writes over a record that it cannot read: {record.key}"
                )
                if not effects.sync:
                    self._held(node, record.key)  # as it is before the write, which may be lost
        written = super()._write(node, effects)
        if written:
            self._see_learned_again(node, records)
            ledger.write(records, effects.sync, partial(self._note_durable, node))
            assert ledger.unsynced or not self.machines[node].unsynced, "a sync was left out"
        return written

    def _is_repair(self, record: InstanceRecord) -> bool:
        """A scrub alone may replace what cannot be read, by the decree alone, once that is chosen."""
        decree = self.chosen.get(record.key)
        right = self.scrubs and decree is not None and record.instance == Instance(learned=decree)
        self.repairs += right
        return right

    def _note_durable(self, node: NodeId, record: Record) -> None:
        if not isinstance(record, InstanceRecord) or record.instance.accepted is None:
            return
        accepted = record.instance.accepted
        if not self.epoch_check.is_adopted(node, record.key, accepted.ballot):
            self._vote(node, record.key, accepted)

    def _see_learned_again(self, node: NodeId, records: Iterable[Record]) -> None:
        lost = self._doubtful.get(node, set())
        again = {key for r in records if isinstance(r, FeedRecord) for key in r.keys} & lost
        if again:
            self.event_counts.saw("a decree that a crash had taken was learned again", len(again))
            lost -= again

    def _kill(self, node: NodeId) -> None:
        ledger = self._ledgers.pop(node, None)
        if ledger is not None:
            self._doubtful.setdefault(node, set()).update(ledger.doubtful)
        super()._kill(node)
        voted = {key for (key, ballot), nodes in self._votes.items() if node in nodes}
        self.promise_check.died(node, voted, self.chosen)

    def _ledger(self, node: NodeId) -> Ledger:
        """The ledger of this incarnation of a node."""
        ledger = self._ledgers.get(node)
        if ledger is None:
            storage = self.machines[node].storage
            assert storage is not None, f"{node} is down"
            ledger = self._ledgers[node] = Ledger.of(storage.recovered())
        return ledger

    def _held(self, node: NodeId, key: Key) -> Instance:
        """The durable instance of a key at a node."""
        held = self._ledger(node).instances
        if key not in held:
            held[key] = self.held(node, key)
        return held[key]

    def _vote(self, node: NodeId, key: Key, proposal: Proposal) -> None:
        """R05, R08: count a durable acceptance; a quorum of them in one ballot chooses."""
        at = (key, proposal.ballot)
        decree = self._values.setdefault(at, proposal.decree)
        assert decree == proposal.decree, f"R05: {proposal.ballot} carries two values"
        votes = self._votes.setdefault(at, set())
        votes.add(node)
        self.epoch_check.may_choose(key, proposal.ballot)
        if self.epoch_check.quorums(proposal.ballot).accepted(votes):
            self._choose(key, proposal.ballot, decree)

    def _choose(self, key: Key, ballot: Ballot, decree: Decree) -> None:
        if key not in self.chosen:
            self.place[key] = len(self.order)
            self.order.append(key)
            self._choose_slot(key)
            self.chosen[key] = decree
            self.epoch_check.chosen(decree)
            self.promise_check.count(ballot)
            self.promise_check.chosen(key, decree)
            if decree.ballot != ballot:
                self.event_counts.saw("an adopted value was chosen")
        assert self.chosen[key] == decree, f"R08: {key} chosen twice"

    def _choose_slot(self, key: Key) -> None:
        series, slot = series_and_slot(key)
        if slot is not None:
            places = self._slots.setdefault(series, [])
            places.append(self.place[key])
            assert len(places) == slot, f"{key} was chosen after a gap"

    def last_slot(self, series: str, known: int | None = None) -> int:
        """The last slot of a series among the first `known` decided keys, or among all."""
        places = self._slots.get(series, [])
        return len(places) if known is None else bisect_left(places, known)

    # -- messages

    def _step(self, node: NodeId) -> None:
        replica = self.machines[node].replica
        if replica is not None:
            self.epoch_check.begin_step(replica.node)
        super()._step(node)

    def _transmit(self, node: NodeId, to: NodeId, message: PeerMessage) -> None:
        if node not in self.rolled_back_disks:
            self._check_seat(node, message)
            self._witness(node, to, message)
        super()._transmit(node, to, message)

    def _hand_over(self, node: NodeId, item: Outgoing) -> None:
        if isinstance(item, UseLink) and self.links.numbered(item.link).open:
            unsound = self.rolled_back_disks & {node, item.node}
            assert not unsound, f"{unsound} was let in with a directory that lost something"
        if isinstance(item, Reply) and isinstance(item.answer, WatchPage):
            self._check_watched(node, item.answer.position.index)
        super()._hand_over(node, item)

    def _carry_out(self, node: NodeId, effects: Effects) -> None:
        if any(isinstance(event, Finish) and event.token is None for event in effects.again):
            self.event_counts.saw("a key in doubt was finished by its holder")
        super()._carry_out(node, effects)

    def _witness(self, node: NodeId, to: NodeId, message: PeerMessage) -> None:
        match message:
            case Prepare(_, ballot):
                assert ballot.process == self.replica(node).node.process, "R05"
                self.flown.prepared(message)
            case Accept(key, ballot, decree):
                self._shown(node, key, ballot, decree)
            case AcceptMany() | AcceptedMany() | CommitMany():
                self._witness_batch(node, to, message)
            case Promise(key, ballot, accepted):
                self._promised(node, key, ballot, accepted)
            case Accepted(key, ballot):
                self._accepted(node, key, ballot)
            case Commit(_, decree) | Decreed(_, decree):
                self.agree(decree)
            case Fetched(decrees):
                for decree in decrees:
                    self.agree(decree)
            case PromiseClass():
                self._tell_class(node, message)
            case FeedPage(_, _, next_start):
                self._check_position(node, next_start)
            case Nack(_, _, None):
                self.event_counts.saw(
                    "a proposal in a home ballot was refused for want of a promise"
                )
            case Nack():
                self.event_counts.saw("a duel")
            case _:
                self._count_message(node, to, message)

    def _check_seat(self, node: NodeId, message: PeerMessage) -> None:
        """M04, M05, M12: what only a voter of an epoch may say leaves no other node."""
        sits = self.replica(node).node
        match message:
            case Promise() | Accepted() | AcceptedMany() | PromiseClass():
                self.epoch_check.votes(sits, message.ballot.epoch)
            case QueryAnswer() | LeaseAnswer(learned=None) | Renewed():
                self.epoch_check.answers(sits)
            case _:
                pass

    def _witness_batch(self, node: NodeId, to: NodeId, message: BatchMessage) -> None:
        """Check a message about a batch as one message for each key."""
        match message:
            case AcceptMany(ballot, _, decrees):
                assert ballot.is_of_home, "a batch relies on class promises"
                for decree in decrees:
                    self._shown(node, decree.key, ballot, decree)
                self.flown.sent(to, message)
            case AcceptedMany(ballot):
                for key in self.flown.accepted(message):
                    self._accepted(node, key, ballot)
            case CommitMany(ballot, keys):
                for key in keys:
                    self.agree(self._values[key, ballot])
                if len(keys) > 1:
                    self.event_counts.saw("a batch of several keys was chosen")

    def post(self, node: NodeId, event: Event) -> None:
        """Give an event to a node, if it is up."""
        if isinstance(event, FromPeer) and isinstance(event.message, StatePage):
            replica = self.machines[node].replica
            if replica is not None and replica.node.seat.ready != event.message.epoch:
                self.epoch_check.shows(node, event.message)
        if isinstance(event, FromPeer) and isinstance(event.message, CommitMany):
            self._see_what_is_held(node, event.message)
        super().post(node, event)

    def _see_what_is_held(self, node: NodeId, message: CommitMany) -> None:
        if self.machines[node].storage is None or node in self.rolled_back_disks:
            return
        found = [self.held(node, key) for key in message.keys]
        each = [instance.accepted for instance in found if instance.learned is None]
        held = [one is not None and one.ballot == message.ballot for one in each]
        if any(held) and not all(held):
            self.event_counts.saw("a commit of a batch came to a node that holds only part of it")

    def _count_message(self, node: NodeId, to: NodeId, message: PeerMessage) -> None:
        match message:
            case QueryAnswer(_, accepted) if accepted:
                self.event_counts.saw("a key in doubt was read")
            case ScanAnswer():
                self._count_scan(message)
            case CancelScan():
                self.event_counts.saw("a scan was called off")
            case Fetch():
                self.event_counts.saw("a decree was fetched from a feed")
            case PassedClaim() if node != to:
                self.event_counts.saw("a claim was passed on")
            case _:
                pass

    def _count_scan(self, answer: ScanAnswer) -> None:
        if answer.unlearned:
            self.event_counts.saw("a key in doubt was listed")
        if answer.end is not None:
            self.event_counts.saw("a peer had more to tell than a page holds")
        elif answer.learned:
            self.event_counts.saw("a peer sent spans that differed from the lister's")
        elif not answer.unlearned:
            self.event_counts.saw("a peer held just what the lister holds")

    def _shown(self, node: NodeId, key: Key, ballot: Ballot, decree: Decree) -> None:
        """R05, R15, R18: a proposal leaves."""
        assert ballot.process == self.replica(node).node.process, "R05"
        held = self._values.setdefault((key, ballot), decree)
        assert held == decree, f"R05: {ballot} carries two values: {held}, {decree}"
        if ballot.is_of_home:
            self.promise_check.proposed(key, ballot)
        self._proposed(key, decree)

    def _promised(self, node: NodeId, key: Key, ballot: Ballot, accepted: Proposal | None) -> None:
        """R12 to R14. The disk may hold more, from later messages of the same step."""
        held = self._held(node, key)
        if held.learned is None:
            assert held.promised is not None and held.promised >= ballot, "R13: not on disk"
            if accepted is not None:
                assert held.accepted is not None, "R14: not on disk"
                assert held.accepted.ballot >= accepted.ballot, "R14: not on disk"

    def _proposed(self, key: Key, decree: Decree) -> None:
        """Validity, series without gaps, and no proposal after a definite refusal."""
        wish = self.wishes[decree.claim_id]
        claim = wish.claim
        content = (decree.value, decree.content_type, decree.claimant, decree.note)
        assert content == (claim.value, claim.content_type, claim.claimant, claim.note)
        assert decree.key == key
        assert not wish.over, f"{decree.claim_id!r} was refused definitely, then proposed"
        self.proposed.add(decree.claim_id)
        if wish.following:
            self._proposed_next(key, decree, claim.key)
        else:
            assert key == claim.key
        before = slot_before(key)
        assert before is None or before in self.chosen, f"{key} would leave a gap"

    def _proposed_next(self, key: Key, decree: Decree, first_key: Key) -> None:
        series, slot = series_and_slot(key)
        first_series, first = series_and_slot(first_key)
        assert series == first_series and slot is not None and first is not None
        for earlier in range(first, slot):
            held = self.chosen.get(slot_key(series, earlier))
            assert held is not None, f"{key} proposed before slot {earlier} was chosen"
            assert held.claim_id != decree.claim_id, "one claim in two slots"

    def _tell_class(self, node: NodeId, message: PromiseClass) -> None:
        """R12, R13, for all keys of a home."""
        name, nodes = message.ballot.process.node, self.epoch_check.nodes(message.ballot)
        earlier = self._earlier_disk.get(node, set())
        accepted = {
            key
            for (key, ballot), voters in self._votes.items()
            if ballot < message.ballot and node in voters and home(key, nodes) == name
            if (key, ballot) not in earlier
        }
        accepted.update(
            key
            for key in self.epoch_check.adopted(node, message.ballot)
            if home(key, nodes) == name
        )
        unknown = [key for key in accepted if self.is_unknown(node, key)]
        self.promise_check.told(node, message, self._ledger(node), unknown)

    def _check_position(self, node: NodeId, index: int) -> None:
        """A position that a node sends is durable; else it might mean something else later."""
        durable = node in self.rolled_back_disks or index <= self._ledger(node).feed_end
        assert durable, f"{node} tells of its feed to {index}, which is not on its disk"

    def _check_watched(self, node: NodeId, number: int) -> None:
        """A position that is ahead of what is durable says so, and by how much."""
        incarnation, rest = divmod(number, 1 << DURABLE_BITS + AHEAD_BITS)
        if incarnation and node not in self.rolled_back_disks:
            assert incarnation == self.replica(node).node.identity.incarnation
            self.event_counts.saw("a watch was sent what was not durable yet")
        self._check_position(node, rest >> AHEAD_BITS if incarnation else number)

    def _accepted(self, node: NodeId, key: Key, ballot: Ballot) -> None:
        if ballot.is_of_home:
            of_home = home(key, self.epoch_check.nodes(ballot))
            self.promise_check.accepted(node, ballot, of_home, self._ledger(node))
        held = self._held(node, key)
        if held.learned is None:
            assert held.accepted is not None and held.accepted.ballot >= ballot, "R14: not on disk"
            if held.accepted.ballot == ballot:
                self._vote(node, key, held.accepted)
                return
        # it accepted in a higher ballot later in the same step, or learned
        self._vote(node, key, Proposal(ballot, self._values[key, ballot]))
