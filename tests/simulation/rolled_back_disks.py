"""Directories that are not what they seem: wiped, put back from a backup, or another node's.

Such a node must be refused, however often it is started and whichever nodes are up. It stays out until
its own latest disk is put back. Nodes remember the incarnations of each other, and only that memory can
reveal a backup. So a node gets a backup, which may have been made while it ran, only when all others
have met a later incarnation of it.
"""

import random

from decreed.registry.errors import IdentityRefused, StorageFailed
from decreed.registry.types import NodeId
from decreed.storage.memory import MemoryDisk

from .invariants import CheckedWorld

BACKUPS = 6


class RolledBackDisks:
    """The nodes whose directory was exchanged, and their own directories.

    Args:
        world: the cluster.
    """

    def __init__(self, world: CheckedWorld) -> None:
        self._world = world
        self._own: dict[NodeId, MemoryDisk] = {}
        self._awaited: dict[NodeId, str] = {}
        self._backups: dict[NodeId, list[tuple[int, MemoryDisk]]] = {}

    def boot(self, node: NodeId) -> bool:
        """Start a node on the disk that is in it; returns whether it started."""
        world = self._world
        backup = world.machines[node].disk.copy()
        try:
            world.boot(node)
        except StorageFailed as error:
            world.note(node, "fails", error)
            return False
        replica = world.machines[node].replica
        if replica is not None:
            self._keep(node, replica.node.identity.incarnation, backup)
        return True

    def back_up(self, node: NodeId) -> None:
        """Copy a node's disk while the node runs."""
        machine = self._world.machines[node]
        if machine.replica is not None:
            lacks = machine.replica.node.identity.incarnation + 1
            self._keep(node, lacks, machine.disk.copy())

    def start_often(self, node: NodeId, times: int) -> None:
        """Start a node again and again, so quickly that the others meet only its last incarnation."""
        world = self._world
        world.refused.pop(node, None)
        if node in world.rolled_back_disks:
            self._awaited[node] = "a directory that was started often"
        for _ in range(times):
            if node in world.up():
                world.crash(node)
            if not self.boot(node):
                return
        world.event_counts.saw("a node was started again and again")

    def wipe(self, node: NodeId) -> None:
        """Start the node on an empty disk."""
        if self._spare():
            self._exchange(node, MemoryDisk(node), "a wiped directory")

    def roll_back(self, node: NodeId, chance: random.Random) -> None:
        """Start the node on a copy of its disk without an incarnation that all others met."""
        met = self._met_by_all(node)
        known = [disk for lacks, disk in self._backups.get(node, []) if lacks <= met]
        if known and self._spare():
            self._exchange(node, chance.choice(known).copy(), "an older directory")

    def confuse(self, node: NodeId, other: NodeId) -> None:
        """Start the node once on another node's directory, then put its own back."""
        world = self._world
        if node in world.up():
            world.crash(node)
        own = world.machines[node].disk
        world.insert(node, world.machines[other].disk.copy())
        try:
            world.boot(node)
        except IdentityRefused:
            world.event_counts.saw("another node's directory was refused")
        else:
            raise AssertionError(f"{node} started on the directory of {other}")
        world.insert(node, own)

    def put_back(self) -> None:
        """Give every impostor its own latest disk back."""
        for node in sorted(self._own):
            if node in self._world.up():
                self._world.crash(node)
            self._world.insert(node, self._own.pop(node))
            self._world.drive(node).mend()
            self._world.rolled_back_disks.discard(node)
            self._world.refused.pop(node, None)
            self._world.event_counts.saw("the right directory was put back")

    def check(self) -> None:
        """Check that only impostors are refused; in the end all must be (`check_refused`)."""
        for node, reason in self._world.refused.items():
            assert node in self._world.rolled_back_disks, f"{node} was refused: {reason}"
            kind = self._awaited.pop(node, None)
            if kind is not None:
                self._world.event_counts.saw(f"{kind} was refused")

    def check_refused(self) -> None:
        """Check, after a while without faults, that all impostors were refused."""
        self.check()
        for node in self._world.rolled_back_disks:
            assert node in self._world.refused, f"{node} was not refused"

    def _spare(self) -> bool:
        """Whether the cluster can do without this node permanently; one node at a time."""
        quorums = self._world.config.quorums
        needed = max(quorums.prepare, quorums.accept)
        return not self._world.rolled_back_disks and needed < len(self._world.config.nodes)

    def _exchange(self, node: NodeId, disk: MemoryDisk, kind: str) -> None:
        world = self._world
        if node in world.up():
            world.crash(node)
        self._own[node], self._awaited[node] = world.machines[node].disk, kind
        world.note(node, "impostor", kind)
        world.rolled_back_disks.add(node)
        world.insert(node, disk)
        self.boot(node)

    def _keep(self, node: NodeId, lacks: int, backup: MemoryDisk) -> None:
        """Keep a copy of a sound disk that lacks this incarnation and all later ones."""
        if node not in self._world.rolled_back_disks:
            self._backups.setdefault(node, []).append((lacks, backup))
            del self._backups[node][:-BACKUPS]

    def _met_by_all(self, node: NodeId) -> int:
        """The latest incarnation of a node that every other node has durably met."""
        world = self._world
        others = [other for other in world.config.nodes if other != node]
        met = 0
        for place, other in enumerate(others):
            machine = world.machines[other]
            if machine.replica is None or machine.replica.node.failed or machine.writing:
                return 0
            record = machine.replica.membership.known(node)
            here = record.incarnation if record is not None else 0
            met = here if place == 0 else min(met, here)
        return met
