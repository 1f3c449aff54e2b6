"""A cluster whose members change: machines that join, changes as values, and who is ready."""

from collections.abc import Sequence

from decreed.registry.config import ClusterConfig
from decreed.registry.members import MembersChange, claim_of
from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.replica.step.events import ChangeMembers
from decreed.registry.replica.step.step_builder import StepBuilder
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import ClaimRequest
from decreed.storage.memory import MemoryDisk

from .machine import Machine
from .world import World, config

TIMEOUT_MS = 20_000


class ChangingWorld(World):
    """A cluster that can be joined.

    Args:
        joiners: machines that wait to become members.
        cluster: the cluster that forms.
        seed: of all random choices.
    """

    def __init__(
        self, joiners: Sequence[str] = (), cluster: ClusterConfig | None = None, seed: int = 1
    ) -> None:
        super().__init__(cluster or config(), seed=seed)
        for name in joiners:
            self.machines[NodeId(name)] = Machine(MemoryDisk(name))
            self.boot(NodeId(name))
        self.disks = {node: self.replica(node).node.identity.disk_id for node in self.up()}

    def epoch(self, number: int, *names: str, prepare: int = 0, accept: int = 0) -> Epoch:
        """An epoch of these nodes, by their disks; majorities by default."""
        nodes = tuple(sorted(NodeId(name) for name in names))
        majority = len(nodes) // 2 + 1
        disks = tuple(self.disks[node] for node in nodes)
        return Epoch(number, Quorums(nodes, prepare or majority, accept or majority), disks)

    def propose(self, node: str, epoch: Epoch, before: Epoch | None = None) -> tuple[NodeId, int]:
        """Propose at a node that an epoch follows another, by default the one that it knows."""
        addresses = ("127.0.0.1:7400",) * len(epoch.nodes)
        change = MembersChange(epoch, before or self.replica(node).node.epoch, addresses)
        claim = claim_of(change, "operator", f"{node} {self.new_id()}".encode())
        request = ClaimRequest(self.new_id(), TIMEOUT_MS, True, claim)
        mark = (NodeId(node), request.id)
        self.answers[mark] = []
        step = self.builder()
        self.replica(node).parts.requests.open(step, 1, request)
        step.again(ChangeMembers(1, request.id, claim))
        self._carry_out(mark[0], step.finish())
        return mark

    def change(
        self, node: str, *names: str, prepare: int = 0, accept: int = 0, ms: float = 1_000
    ) -> Epoch:
        """Change the members at a node, let them meet, and run for some time."""
        number = self.replica(node).node.epoch.number + 1
        epoch = self.epoch(number, *names, prepare=prepare, accept=accept)
        self.propose(node, epoch)
        self.run(ms)
        self.meet()
        self.run(ms)
        return epoch

    def meet(self) -> None:
        """Let all nodes that are up greet each other, as their servers do at intervals."""
        for node in self.up():
            self._connect(node)

    def builder(self) -> StepBuilder:
        """A step in which a test calls a part by itself."""
        return StepBuilder(self.moment(), self.now_ms, {})

    def ready(self) -> dict[str, int | None]:
        """For which epoch each node that is up is ready."""
        return {node: self.replica(node).node.seat.ready for node in self.up()}

    def voters(self) -> list[str]:
        """The nodes that vote."""
        return [node for node in self.up() if self.replica(node).node.voting]
