"""The seat of this node: sealed when the decree of the next epoch is learned, ready after taking over.

Invariants kept here:

* from the step on in which ``$members@k`` is learned, the node votes in no epoch below k, and that is
  in the batch of this step (M05);
* readiness is in a batch not earlier than the last thing that was adopted or learned for it (M09), and
  peers are told after that batch is durable (M10).
"""

from collections.abc import Callable, Sequence

from ...disk import EpochRecord, Recovered
from ...errors import ProtocolError
from ...members import change_of, epoch_of, members_key
from ...paxos.messages import Commit
from ...types import Decree, NodeId
from ...wire.peers import Fetch, SeatTold
from ..step.effects import Send
from ..step.events import EpochChanged
from ..step.node import Node
from ..step.step_builder import StepBuilder

OnSealed = Callable[[StepBuilder], None]


class Seating:
    """The seat of this node.

    Args:
        node: who we are; it is told where it sits.
        recovered: what was found on the disk.
    """

    def __init__(self, node: Node, recovered: Recovered) -> None:
        self._node = node
        self._decree = recovered.members
        self._disputed = recovered.disputed
        record = recovered.epoch
        self._base = record.base if record is not None else 0
        self._since = record.since if record is not None else 0
        self._on_sealed: Sequence[OnSealed] = ()
        self._on_ready: Sequence[OnSealed] = ()

    def tell(self, *, sealed: Sequence[OnSealed], ready: Sequence[OnSealed]) -> None:
        """Register what follows a seal and readiness, in this order, after all parts exist."""
        self._on_sealed, self._on_ready = sealed, ready

    def begin(self, step: StepBuilder) -> None:
        """M21: what had ended this node's voting before a restart ends it now, in any later epoch."""
        for key in self._disputed[:1]:
            self._stop_for(step, key)

    @property
    def decree(self) -> Decree | None:
        """The decree of the epoch that is known; None in epoch 0, or if it cannot be read."""
        return self._decree

    def told(self) -> SeatTold:
        """What peers are told of it."""
        seat, own = self._node.seat, self._node.identity
        facts = (own.disk_id, own.incarnation, seat.known, seat.ready)
        return SeatTold(*facts, self._base, self._since)

    def on_learned(self, step: StepBuilder, decree: Decree) -> None:
        """M05: seal all epochs before the one that a decree names."""
        number = epoch_of(decree.key)
        if number is None or number <= self._node.seat.known or self._node.failed:
            return
        try:
            change = change_of(decree)
        except ProtocolError as error:
            self.stop(step, f"the decree {decree.key!r} cannot be read: {error}")
            return
        self._decree = decree
        self._node.places = change.places
        self._node.sit(self._node.seat.sealed(number), change.epoch, change.before)
        self._record(step)
        voters = ", ".join(change.epoch.nodes)
        step.notice(f"epoch {number}: the voters are {voters}; epoch {number - 1} is sealed here")
        self._spread(step, self._on_sealed)

    def on_disputed(self, step: StepBuilder, key: str) -> None:
        """M21: two decrees for the voters of one epoch end this node's voting, after a crash too."""
        step.settle()
        self._stop_for(step, key)

    def _stop_for(self, step: StepBuilder, key: str) -> None:
        remedy = (
            "compare the directories of all nodes ('decreed recover --compare'), and replace it"
        )
        self.stop(step, f"two nodes know different decrees {key!r}", remedy)

    def stop(self, step: StepBuilder, reason: str, remedy: str = "") -> None:
        """Vote no more: it is not certain who else does."""
        step.alarm(f"this node votes no more: {reason}")
        self._node.fail(reason, remedy)

    def become_ready(self, step: StepBuilder) -> None:
        """M09, M10: from now on the node votes in the epoch that it knows, if it is a voter of it."""
        node = self._node
        assert node.before is not None, "there is an epoch to take over"
        self._base, self._since = node.feed_end, node.identity.incarnation
        node.sit(node.seat.taken(), node.epoch, node.before)
        self._record(step)
        step.notice(f"epoch {node.seat.known}: ready")
        self._spread(step, self._on_ready)

    def answer(self, step: StepBuilder, sender: NodeId, epoch: int) -> None:
        """Somebody asks in another epoch than ours: the one that is behind learns of the later."""
        if epoch > self._node.seat.known:
            step.at_once(Send(sender, Fetch((members_key(epoch),))))
        elif epoch < self._node.seat.known and self._decree is not None:
            decree = self._decree
            step.after(Send(sender, Commit(decree.key, decree)))

    def _record(self, step: StepBuilder) -> None:
        seat = self._node.seat
        step.record(EpochRecord(seat.known, seat.ready, self._base, self._since))

    def _spread(self, step: StepBuilder, listeners: Sequence[OnSealed]) -> None:
        for listener in listeners:
            listener(step)
        step.again(EpochChanged())
