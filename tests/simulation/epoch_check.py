"""Checks who votes in which epoch, and tells votes from what a node has only adopted (docs/members.md).

The voters of an epoch are those of its decree, which a quorum of the epoch before has on disk. A node
may vote in an epoch only if its directory is one of them, if it knew no later one when the step began,
and if it has been ready for it when the step ends. All messages of a step leave at its end, so a vote
of the step in which the node seals was given before the seal.
"""

from decreed.registry.config import ClusterConfig
from decreed.registry.members import change_of, epoch_of
from decreed.registry.paxos.epochs import Epoch, Seat
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.replica.step.node import Node
from decreed.registry.types import Ballot, Decree, Key, NodeId
from decreed.registry.wire.peers import StatePage


class EpochCheck:
    """The epochs of a run.

    Args:
        cluster: the cluster that forms.

    Attributes:
        epochs: all epochs so far, by number.
    """

    def __init__(self, cluster: ClusterConfig) -> None:
        self.epochs = [Epoch.formed(cluster.quorums)]
        self._seats: dict[NodeId, Seat] = {}
        self._shown: dict[NodeId, set[tuple[Key, Ballot]]] = {}
        self._adopted: dict[NodeId, set[tuple[Key, Ballot]]] = {}

    @property
    def last(self) -> Epoch:
        """The last epoch whose voters are chosen."""
        return self.epochs[-1]

    def quorums(self, ballot: Ballot) -> Quorums:
        """The voters of a ballot's epoch, and how many of them a phase needs (M11)."""
        return self.epochs[ballot.epoch].quorums

    def nodes(self, ballot: Ballot) -> tuple[NodeId, ...]:
        """The names of these voters."""
        return self.epochs[ballot.epoch].nodes

    def chosen(self, decree: Decree) -> None:
        """A decree is chosen: if it names voters, those of the next epoch."""
        if epoch_of(decree.key) is not None:
            change = change_of(decree)
            assert change.before == self.last, "M03: it follows another epoch than the last"
            self.epochs.append(change.epoch)

    def may_choose(self, key: Key, ballot: Ballot) -> None:
        """M03: voters of an epoch name those of the next one alone, in both phases."""
        number = epoch_of(key)
        if number is not None:
            assert ballot.epoch + 1 == number, f"M03: {key} is voted on in epoch {ballot.epoch}"
            assert not ballot.is_of_home, f"M03: {key} is voted on in a home ballot"

    def known_before(self, node: NodeId) -> tuple[Epoch, ...]:
        """The epoch that a node knew when its step began; nothing in its first step."""
        seat = self._seats.get(node)
        return () if seat is None else (self.epochs[seat.known],)

    # -- votes

    def begin_step(self, node: Node) -> None:
        """A node begins a step."""
        self._seats[node.name] = node.seat

    def votes(self, node: Node, epoch: int) -> None:
        """M01, M04, M05: a node says something in an epoch that only its voters may say."""
        before = self._seats.get(node.name, node.seat)
        assert before.known <= epoch <= _ready(node.seat), (
            f"M04, M05: {node.name} votes in epoch {epoch}; it sat in {before}, now in {node.seat}"
        )
        assert self._sits(node, epoch), f"M01: {node.name} is no voter of {epoch}"

    def answers(self, node: Node) -> None:
        """M12: a node answers a question as a voter, in some epoch that its step may have been in."""
        first = self._seats.get(node.name, node.seat).known
        epochs = range(first, _ready(node.seat) + 1)
        assert any(self._sits(node, epoch) for epoch in epochs), (
            f"M12: {node.name} answers as a voter, and sits in {node.seat}"
        )

    def _sits(self, node: Node, epoch: int) -> bool:
        voters, disk = self.epochs[epoch], node.identity.disk_id
        sits = not node.identity.joins if epoch == 0 else voters.disk_of(node.name) == disk
        return node.name in voters.nodes and sits

    # -- what is adopted

    def shows(self, to: NodeId, page: StatePage) -> None:
        """A page comes to a node, which may adopt what it shows."""
        shown = self._shown.setdefault(to, set())
        shown.update((Key(one.decree.key), one.ballot) for one in page.proposals)

    def is_adopted(self, node: NodeId, key: Key, ballot: Ballot) -> bool:
        """M07: whether a proposal that a node holds was shown to it, which is no vote."""
        if (key, ballot) not in self._shown.get(node, ()):
            return False
        self._adopted.setdefault(node, set()).add((key, ballot))
        return True

    def adopted(self, node: NodeId, below: Ballot) -> list[Key]:
        """The keys of which a node holds what it was shown, durably, in a lower ballot."""
        return [key for key, ballot in self._adopted.get(node, ()) if ballot < below]

    def replaced(self, node: NodeId) -> None:
        """Another disk is in the machine with this name."""
        for known in (self._seats, self._shown, self._adopted):
            known.pop(node, None)


def _ready(seat: Seat) -> int:
    return -1 if seat.ready is None else seat.ready
