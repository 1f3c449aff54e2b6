"""The seat of a node as its disk has it, and the voters that belong to it."""

from ...disk import Recovered
from ...errors import ProtocolError
from ...members import change_of
from ...paxos.epochs import Epoch, Seat
from ...paxos.quorums import Quorums
from ...types import NodeId


class Epochs:
    """Where a node sits when it starts.

    Args:
        formed: the quorums of epoch 0.
        joins: whether the cluster formed without this node: then it never voted.

    Attributes:
        seat: the epochs that it knows and is ready for.
        epoch, before: the voters of the epoch that it knows, and of the one before.
        places: where the decree says that the voters are.
    """

    def __init__(self, formed: Quorums, *, joins: bool) -> None:
        self.seat = Seat(0, None if joins else 0)
        self.epoch: Epoch = Epoch.formed(formed)
        self.before: Epoch | None = None
        self.places: dict[NodeId, str] = {}

    @classmethod
    def found(cls, formed: Quorums, recovered: Recovered, *, joins: bool) -> "Epochs":
        """What the disk has. A row that cannot be read leaves the node in epoch 0, without a vote."""
        epochs = cls(formed, joins=joins)
        if recovered.epoch is None:
            return epochs
        epochs.seat = Seat(recovered.epoch.known, recovered.epoch.ready)
        if recovered.members is not None:
            try:
                change = change_of(recovered.members)
            except ProtocolError:
                return epochs
            epochs.epoch, epochs.before = change.epoch, change.before
            epochs.places = change.places
        return epochs
