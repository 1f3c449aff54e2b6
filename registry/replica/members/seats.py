"""The seats of peers: what each directory has told, durably, before its votes in that epoch count. M22.

A voter that was rolled back to a copy from before it was ready would take over again, and has forgotten
its votes. So a node remembers the highest seat that each directory told. A later life of it that shows
less is refused. So is one that became ready for the same epoch in another life than it told before:
what it showed in between may have been lost on the way (R02).

Invariant kept here: a vote in epoch e > 0 is counted only after the sender has told, in the life that
votes, that it is ready for e, and that is durable here.
"""

from collections.abc import Callable, Collection, Iterable

from msgspec.structs import replace

from ...disk import PeerRecord, PeerSeatRecord
from ...types import Key, NodeId
from ...wire.handshake import DirectoryRefusal, Evidence
from ...wire.peers import PeerMessage, SeatTold
from ..step.effects import Announce, Send
from ..step.events import FromPeer, SeatRecorded
from ..step.node import Node
from ..step.step_builder import StepBuilder
from .seating import Seating

_NOTHING = (0, -1)


class Seats:
    """What peers have told of their seats, and what they are told of ours.

    Args:
        node: who we are.
        seating: our own seat.
        told: what the disk remembers of peers.
        known: gives what is remembered of a peer, as it was met last.
        withheld: the keys about which this node is silent.
    """

    def __init__(
        self,
        node: Node,
        seating: Seating,
        told: Iterable[PeerSeatRecord],
        known: Callable[[NodeId], PeerRecord | None],
        withheld: Collection[Key],
    ) -> None:
        self._node = node
        self._withheld = withheld
        self._seating = seating
        self._known = known
        self._told = {record.node: record for record in told}
        self._counted = {
            node: (record.incarnation, _ready(record)) for node, record in self._told.items()
        }
        self._withholding: dict[NodeId, int] = {}
        self.refused: dict[NodeId, str] = {}

    def greet(self, step: StepBuilder, peer: NodeId) -> None:
        """Tell a peer our seat, once it is durable; in epoch 0 there is nothing to tell.

        After a failed write it may never be: the node would be refused when it starts again, as one
        that shows less than it told (M22).
        """
        if self._node.seat.known and not self._node.failed:
            told = replace(self._seating.told(), withheld=len(self._withheld))
            step.after(Send(peer, told))

    def spread(self, step: StepBuilder) -> None:
        """Tell everybody who votes, voted or is reachable; repeated at intervals (R02)."""
        if self._node.seat.known:
            for peer in self._peers():
                self.greet(step, peer)

    def on_told(self, step: StepBuilder, sender: NodeId, told: SeatTold) -> bool:
        """Remember the seat of a peer; returns whether the peer has become ready for our epoch."""
        if told.known > self._node.seat.known:
            self._seating.answer(step, sender, told.known)
        met, named = self._known(sender), self._node.named_disk(sender)
        if {named, met.disk_id if met is not None else None} - {None, told.disk_id}:
            return False  # a word of another directory that has, or had, this name (M20)
        before = self._told.get(sender)
        seat = (told.known, told.ready, told.base, told.since)
        record = PeerSeatRecord(sender, told.incarnation, *seat)
        if before is not None:
            if told.incarnation > before.incarnation and _is_less(record, before):
                self._refuse(step, told.disk_id, record, before)
                return False
            if _order(record) < _order(before):
                return False  # late: what it withheld by then is not what it withholds now
        self._withholding[sender] = told.withheld
        if before is not None and _order(record) == _order(before):
            return False  # repeated
        self._told[sender] = record
        step.record(record)
        step.again(SeatRecorded(sender, told.incarnation, _ready(record)))
        return _ready(record) == self._node.seat.known

    def told_by(self, peer: NodeId) -> PeerSeatRecord | None:
        """The highest seat that a peer has told; None if it has told none."""
        return self._told.get(peer)

    @property
    def told_left(self) -> tuple[NodeId, ...]:
        """The voters of the epoch before that have left, and have told that they know of it."""
        before, known = self._node.before, self._node.seat.known
        left = filter(self._node.has_left, before.nodes if before is not None else ())
        each = ((node, self._told.get(node)) for node in left)
        return tuple(node for node, told in each if told is not None and told.known >= known)

    @property
    def ready_voters(self) -> list[NodeId]:
        """The others that are ready for the epoch, durably here, and say that they withhold nothing."""
        epoch, others = self._node.epoch.number, self._node.others
        ready = [peer for peer in others if self._counted.get(peer, _NOTHING)[1] >= epoch]
        return [peer for peer in ready if self._withholding.get(peer) == 0]

    def base_of(self, peer: NodeId) -> int | None:
        """M17: where a peer's feed ended when it became ready for the epoch that this node knows.

        None if it has not told that, and in epoch 0, which has no bases.
        """
        told, epoch = self._told.get(peer), self._node.epoch.number
        return told.base if told is not None and _ready(told) == epoch > 0 else None

    def on_recorded(self, step: StepBuilder, event: SeatRecorded) -> None:
        """The seat of a peer is durable here: its votes count."""
        told = (event.incarnation, event.ready)
        self._counted[event.node] = max(told, self._counted.get(event.node, _NOTHING))
        self.leave_earlier(step)

    def leave_earlier(self, step: StepBuilder) -> None:
        """Leave the voters of the epoch before, once every voter of this one is ready.

        Each voter is a whole source for the others then (M09), so nothing of that epoch is needed.
        One that still greets us becomes a guest, and is told of the epoch like one. While this node
        withholds anything, they may be those who can show it (M18), so it stays with them.
        """
        node = self._node
        known, earlier = node.seat.known, set(node.sources) - set(node.others)
        if not known or not earlier or node.seat.ready != known or self._withheld:
            return
        if all(self._counted.get(peer, _NOTHING)[1] >= known for peer in node.others):
            node.follow(())
            node.guests.update(earlier)
            step.at_once(Announce(()))

    def on_replaced(self, step: StepBuilder, node: NodeId) -> None:
        """Another disk has this name now: what the one before told is not its seat."""
        if node in self._told:
            del self._told[node]
            step.record(PeerSeatRecord(node, 0, 0, None, 0))
        self._counted.pop(node, None)
        self._withholding.pop(node, None)
        self.refused.pop(node, None)

    def counts(self, step: StepBuilder, sender: NodeId, message: PeerMessage) -> bool:
        """Whether a vote may be counted now; if only the record is missing, it is in the next step."""
        epoch, life = self._node.epoch.number, self._life_of(sender)
        incarnation, ready = self._counted.get(sender, _NOTHING)
        if sender == self._node.name or (incarnation >= life and ready >= epoch):
            return sender not in self.refused
        told = self._told.get(sender)
        if told is not None and told.incarnation >= life and _ready(told) >= epoch:
            step.again(FromPeer(sender, message))
        return False

    def _life_of(self, peer: NodeId) -> int:
        met = self._known(peer)
        return met.incarnation if met is not None else 0

    def _peers(self) -> list[NodeId]:
        before = self._node.before
        voters = (*self._node.nodes, *(before.nodes if before is not None else ()))
        peers = dict.fromkeys((*voters, *sorted(self._node.reachable | self._node.guests)))
        return [peer for peer in peers if peer != self._node.name]

    def _refuse(
        self, step: StepBuilder, disk_id: bytes, shown: PeerSeatRecord, known: PeerSeatRecord
    ) -> None:
        sender = shown.node
        message = (
            f"node {sender} was refused by {self._node.name}: its directory is an older copy of itself,"
            f" and has forgotten votes: it {_described(shown)}, and told before that it"
            f" {_described(known)}; leave it stopped, and replace it with an empty directory ('decreed"
            " member replace')"
        )
        self.refused[sender] = message
        step.alarm(message)
        seat = (known.known, known.ready, known.since)
        evidence = Evidence(disk_id, 0, 0, bytes(16), 0, None, *seat)
        step.at_once(Send(sender, DirectoryRefusal(message, evidence)))


def _ready(record: PeerSeatRecord) -> int:
    return -1 if record.ready is None else record.ready


def _is_less(shown: PeerSeatRecord, known: PeerSeatRecord) -> bool:
    if shown.known < known.known or _ready(shown) < _ready(known):
        return True
    return _ready(shown) == _ready(known) and shown.since != known.since


def _described(seat: PeerSeatRecord) -> str:
    if seat.ready is None:
        return f"knows epoch {seat.known} and is ready for none"
    return f"knows epoch {seat.known} and is ready for {seat.ready} since its start {seat.since}"


def _order(record: PeerSeatRecord) -> tuple[int, int, int]:
    return record.incarnation, record.known, _ready(record)
