"""What is on the disks of a cluster, as the checks see it: also what a node cannot read itself."""

from decreed.registry.config import ClusterConfig
from decreed.registry.errors import Damaged
from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.instance import EMPTY, Instance
from decreed.registry.types import Decree, Key, NodeId
from decreed.registry.unserved import ForgottenInstance
from decreed.storage import layout
from decreed.storage.withheld import Withheld

from .crash_faults import CrashingWorld
from .plan import Plan


class SeenWorld(CrashingWorld):
    """A rough cluster whose disks can be looked at.

    Args:
        cluster: its configuration.
        plan: decides everything that is left to chance.

    Attributes:
        corrupted: the keys whose record a node could not read at some time.
        chosen: each key's decree, from the moment when a quorum has it on disk.
        dead: the directories that are gone forever, with the disks that they were on.
    """

    def __init__(self, cluster: ClusterConfig, plan: Plan) -> None:
        self.corrupted: dict[NodeId, set[Key]] = {}
        self.chosen: dict[Key, Decree] = {}
        self.dead: set[bytes] = set()
        super().__init__(cluster, plan)

    def held(self, node: NodeId, key: Key) -> Instance:
        """The instance on a node's disk or on its way there, even if the node itself cannot read it."""
        machine, at = self.machines[node], layout.instance_key(key)
        assert machine.storage is not None, f"{node} is down"
        waiting = machine.waiting
        data = waiting[at] if at in waiting else machine.disk.values.get(at)
        if data is None:
            return machine.storage._held.get(key) or EMPTY
        try:
            return machine.storage._rows.unpack(at, data, Instance)
        except Damaged:  # M18: a row that says withheld has what the node held, if anything
            return machine.storage._rows.unpack(at, data, Withheld).instance or EMPTY

    def withheld(self, node: NodeId) -> set[Key]:
        """The keys about which a node is silent until it learns their decrees (M18)."""
        replica = self.machines[node].replica
        return set(replica.parts.withholding.keys) if replica is not None else set()

    def deaf(self, node: NodeId) -> set[Key]:
        """The keys that a node has not learned, since it could not read its record at that time."""
        unread = self.corrupted.get(node, set()) | self.stuck()
        return {k for k in unread & self.chosen.keys() if self.held(node, k).learned is None}

    def disks_of(self, epoch: Epoch) -> dict[NodeId, bytes]:
        """The directory of each voter of an epoch, as far as it matters which one it is."""
        return {}

    def stuck(self) -> set[Key]:
        """The keys that some node withholds and none has learned: they may stay undecided (M18)."""
        withheld = set[Key]().union(*map(self.withheld, self.machines))
        up = self.up() if withheld else ()
        return {k for k in withheld if all(self.held(node, k).learned is None for node in up)}

    def is_unknown(self, node: NodeId, key: Key) -> bool:
        """Whether a node has neither learned nor forgotten a key."""
        storage = self.machines[node].storage
        assert storage is not None, f"{node} is down"
        if self.held(node, key).learned is not None:
            return False
        return not isinstance(storage.load([key])[key], ForgottenInstance)
