"""A checked cluster whose members change: nodes that join, disks that die, links that are wanted.

A node keeps links to those whom its replica names, and a joiner dials voters as long as it has no link,
as the real server does. Who loses the link of a node that greeted it is told so (`Left`).
"""

from functools import partial

from decreed.registry.config import ClusterConfig
from decreed.registry.errors import NotFormed, NotMember
from decreed.registry.members import epoch_of
from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.replica.step.effects import Effects
from decreed.registry.replica.step.events import Left
from decreed.registry.types import Claim, Decree, Key, NodeId
from decreed.storage.memory import MemoryDisk

from ..support.machine import Machine
from .invariants import CheckedWorld
from .link_faults import Died
from .links import Link
from .network import Pair
from .plan import Plan

NOTICED_MS = 2_000.0
"""After this time a node notices that a peer has lost power."""


class ChangingWorld(CheckedWorld):
    """A checked cluster that can be joined.

    Args:
        cluster: the cluster that forms.
        plan: decides everything that is left to chance.
        joiners: further machines, which are off at first.

    Attributes:
        changes: the changes that were proposed, by claim id.
        disks: the directory in each machine, by its id; for those that have started once.
        disk_died: called with each machine whose disk has died.
        pool: all machines.
    """

    def __init__(self, cluster: ClusterConfig, plan: Plan, joiners: list[NodeId]) -> None:
        self.changes: dict[bytes, Claim] = {}
        self.disks: dict[NodeId, bytes] = {}
        self._first_disks: dict[NodeId, bytes] = {}
        self.disk_died: Died = lambda _: None
        super().__init__(cluster, plan)
        self.may_answer = {NotFormed, NotMember}
        chance = plan.chance("joiners")
        for node in joiners:
            self.clocks[node] = self.clock(chance)
            self.machines[node] = Machine(MemoryDisk(node))
            self.joiners.add(node)

    @property
    def pool(self) -> tuple[NodeId, ...]:
        """All machines, whether they are up or not."""
        return tuple(self.machines)

    def boot(self, node: NodeId, cluster: ClusterConfig | None = None) -> None:
        """Start a node on its disk; the first start of a disk gives it its id."""
        super().boot(node, cluster)
        replica = self.machines[node].replica
        if replica is not None:
            self.disks[node] = replica.node.identity.disk_id
            self._first_disks.setdefault(node, self.disks[node])

    def carry_out(self, node: NodeId, effects: Effects) -> None:
        """Carry out effects that come from outside the node's loop; it is idle."""
        self.epoch_check.begin_step(self.replica(node).node)
        self._carry_out(node, effects)

    def replace_disk(self, node: NodeId) -> None:
        """The disk of a node dies; its machine starts again on an empty one, which joins."""
        if node in self.up():
            self.crash(node)
        self.dead.add(self.disks.pop(node))
        self.note(node, "disk died", "")
        self.insert(node, MemoryDisk(node))
        self.joiners.add(node)
        self._earlier_disk[node] = {at for at, voters in self._votes.items() if node in voters}
        for known in (self.corrupted, self._doubtful):
            known.pop(node, None)
        self.epoch_check.replaced(node)
        self.promise_check.replaced(node)
        self.disk_died(node)
        self.boot(node)

    def epoch(self, number: int, names: list[NodeId], prepare: int = 0, accept: int = 0) -> Epoch:
        """An epoch of these nodes, by their present disks; majorities by default."""
        nodes = tuple(sorted(names))
        majority = len(nodes) // 2 + 1
        quorums = Quorums(nodes, prepare or majority, accept or majority)
        return Epoch(number, quorums, tuple(self.disks[node] for node in nodes))

    def disks_of(self, epoch: Epoch) -> dict[NodeId, bytes]:
        """The directory of each voter; those of epoch 0 are the first ones in their machines."""
        return {node: epoch.disk_of(node) or self._first_disks[node] for node in epoch.nodes}

    # -- links

    def _wants(self, pair: Pair) -> bool:
        sender, receiver = pair
        node = self.replica(sender).node
        if receiver in node.sources or receiver in node.guests:
            return True
        alone = all(self.links.usable((sender, other)) is None for other in self.machines)
        return node.joins and alone and receiver in self.epoch_check.last.nodes

    def _dial(self, pair: Pair) -> None:
        self._leave(self.links.current.get(pair))
        super()._dial(pair)

    def _hang_up(self, pair: Pair) -> bool:
        self._leave(self.links.current.get(pair))
        return super()._hang_up(pair)

    def _leave(self, link: Link | None) -> None:
        if link is not None:
            link.left = True
            self.post(link.pair[1], Left(link.number, link.pair[0]))

    def crash(self, node: NodeId, silent: bool = False) -> None:
        """Kill a node; its peers lose its links, at once or when they notice that it is silent."""
        gone = [self.links.current.get((node, other)) for other in self.machines]
        super().crash(node, silent)
        for link in gone:
            if silent:
                self.at(self.now_ms + NOTICED_MS, partial(self._leave, link))
            else:
                self._leave(link)

    # -- proposals

    def _proposed(self, key: Key, decree: Decree) -> None:
        """A change is proposed as an operator asked for it."""
        if epoch_of(key) is None:
            super()._proposed(key, decree)
            return
        claim = self.changes[decree.claim_id]
        content = (decree.key, decree.value, decree.claimant, decree.note)
        assert content == (claim.key, claim.value, claim.claimant, claim.note)

    def _choose(self, key: Key, *rest: object) -> None:
        news = key not in self.chosen
        super()._choose(key, *rest)  # type: ignore[arg-type]
        if news and epoch_of(key) is not None:
            self.event_counts.saw("the members changed")
