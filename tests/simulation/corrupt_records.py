"""Records that become unreadable: of one key at one node, while the node runs and when it starts.

The node must not answer Paxos messages about such a key, and must tell clients that the record is
damaged. It must never write the record again, which would forget its promises. A record may become
legible again at any time, as when a disk fails to read it once. All are legible when the storm is over,
and the nodes that could not read one start again. Nothing was lost, so all must end as in other storms,
except that the node may miss a decree which was sent to it meanwhile (`CheckedWorld.deaf`).

Scratches have their own random source, so a seed runs as it would without them until the first one.
Most seeds have none.
"""

import random

from decreed.registry.types import Key, NodeId
from decreed.storage import layout
from decreed.storage.memory import MemoryDisk

from .invariants import CheckedWorld
from .plan import Plan

IN_FLIGHT = 0.6
"""How often a record is struck that is in a batch of its home, if there is such a batch."""

MENDED = 0.04
"""How often a whole disk becomes legible again, in a tick."""
LATEST = 12
"""Only this many of the last claimed keys are struck: nobody asks for older ones."""


class CorruptRecords:
    """The damaged records of one run.

    Args:
        world: the cluster.
        plan: decides how many there are.
    """

    def __init__(self, world: CheckedWorld, plan: Plan) -> None:
        self._world = world
        self._often = plan.corrupt_records
        self._disks: dict[NodeId, MemoryDisk] = {}

    def strike(self, chance: random.Random) -> None:
        """Damage or restore some records in this tick, or do nothing."""
        if not self._often:
            return
        for node, disk in self._disks.items():
            if self._may_strike(node) and chance.random() < MENDED:
                disk.restore()
                self._world.note(node, "mended", "")
                self._world.event_counts.saw("a record became legible again")
        nodes = [node for node in self._world.up() if self._may_strike(node)]
        proposing = [(node, key) for node in nodes for key in self._proposing(node)]
        if proposing and chance.random() < IN_FLIGHT:
            self._corrupt(*chance.choice(proposing))
            self._world.event_counts.saw("a home could not read a key of its batch")
        elif nodes and chance.random() < self._often:
            node = chance.choice(nodes)
            keys = self._keys(node)[-LATEST:]
            if keys:
                self._corrupt(node, chance.choice(keys))

    def clear_up(self) -> None:
        """Make every record legible; the nodes that could not read one are killed, to start again."""
        for node, disk in self._disks.items():
            disk.restore()
            if node in self._world.up():
                self._world.crash(node)

    def _lies(self, node: NodeId, key: Key) -> bool:
        """Whether there is a record that no crash can take: a lost record is not an unreadable one."""
        machine = self._world.machines[node]
        if machine.disk.has_durable(layout.instance_key(key)):
            return True
        # an instance on a journal page has no row, and to see that the row is read as well
        held = machine.storage is not None and machine.storage._held.get(key) is not None
        return held and not machine.unsynced

    def _may_strike(self, node: NodeId) -> bool:
        """False during and before a write, which would mend what it writes on a real disk."""
        machine = self._world.machines[node]
        writes = machine.writing is not None or machine.waiting
        return node not in self._world.rolled_back_disks and not writes

    def _proposing(self, node: NodeId) -> list[Key]:
        batches = self._world.replica(node).parts.coordinator.batches
        proposing = [key for number in batches.numbers for key in batches.entries(number)]
        return [key for key in proposing if self._lies(node, key)]

    def _keys(self, node: NodeId) -> list[Key]:
        """The claimed keys that are on a node's disk, latest last."""
        wanted = dict.fromkeys(wish.claim.key for wish in self._world.wishes.values())
        return [key for key in wanted if self._lies(node, key)]

    def _corrupt(self, node: NodeId, key: Key) -> None:
        world = self._world
        world.note(node, "scratched", key)
        world.event_counts.saw("a record became unreadable")
        world.corrupted.setdefault(node, set()).add(key)
        disk = self._disks[node] = world.machines[node].disk
        disk.lose(layout.instance_key(key))
