"""Records that cannot be read any more: of one key at one node, while the node runs and when it starts.

The node must be silent in Paxos about such a key, and say to clients that its record is damaged; and it
must never write the record anew, which would forget what it had promised. What is struck may become
legible again at any time, as when a disk failed to read it once; at the latest when the storm is over,
and then the node starts anew: nothing was lost, so all must come to rest as ever, but that the node may
never hear of a decree that it would have learned meanwhile (`WitnessedWorld.deaf`).

The chance is a source of its own, so that all else in a seed goes as it would without scratches, until
the first; and most seeds have none.
"""

import random

from decreed.registry.types import Key, NodeId
from decreed.storage import layout
from decreed.storage.memory import MemoryDisk

from .plan import Plan
from .witness import WitnessedWorld

IN_FLIGHT = 0.6
"""How often a home that waits for votes is struck, at one of the keys that fly; where there are any."""

MENDED = 0.04
"""How often all of a disk becomes legible again, in a tick."""
LATEST = 12
"""Only so many keys that were wanted last are worth while: nobody asks for others."""


class Scratches:
    """The damaged records of one run.

    Args:
        world: whose.
        plan: decides how many there are.
    """

    def __init__(self, world: WitnessedWorld, plan: Plan) -> None:
        self._world = world
        self._often = plan.scratches
        self._disks: dict[NodeId, MemoryDisk] = {}

    def strike(self, chance: random.Random) -> None:
        """One tick's damage, or none."""
        if not self._often:
            return
        for node, disk in self._disks.items():
            if self._may_strike(node) and chance.random() < MENDED:
                disk.restore()
                self._world.note(node, "mended", "")
                self._world.sightings.saw("a record became legible again")
        nodes = [node for node in self._world.up() if self._may_strike(node)]
        flying = [(node, key) for node in nodes for key in self._flying(node)]
        if flying and chance.random() < IN_FLIGHT:
            self._scratch(*chance.choice(flying))
            self._world.sightings.saw("a home could not read what it had let fly")
        elif nodes and chance.random() < self._often:
            node = chance.choice(nodes)
            keys = self._keys(node)[-LATEST:]
            if keys:
                self._scratch(node, chance.choice(keys))

    def clear_up(self) -> None:
        """Every record is legible again; whoever could not read one starts anew."""
        for node, disk in self._disks.items():
            disk.restore()
            if node in self._world.up():
                self._world.crash(node)

    def _lies(self, node: NodeId, key: Key) -> bool:
        """Whether there is a record that no crash takes: what is gone is not unreadable."""
        machine = self._world.machines[node]
        if machine.disk.has_durable(layout.instance_key(key)):
            return True
        # what lies on a page has no row, and that there is none must be read as well
        held = machine.storage is not None and machine.storage._held.get(key) is not None
        return held and not machine.disk.unsynced

    def _may_strike(self, node: NodeId) -> bool:
        """Not while a write is under way, which would mend what it writes on a real disk."""
        return node not in self._world.impostors and self._world.machines[node].writing is None

    def _flying(self, node: NodeId) -> list[Key]:
        flights = self._world.replica(node).parts.coordinator.flights
        flying = [key for number in flights.numbers for key in flights.aboard(number)]
        return [key for key in flying if self._lies(node, key)]

    def _keys(self, node: NodeId) -> list[Key]:
        """What lies on a node's disk, of the keys that anybody wanted, latest last."""
        wanted = dict.fromkeys(wish.claim.key for wish in self._world.wishes.values())
        return [key for key in wanted if self._lies(node, key)]

    def _scratch(self, node: NodeId, key: Key) -> None:
        world = self._world
        world.note(node, "scratched", key)
        world.sightings.saw("a record became unreadable")
        world.scratched.setdefault(node, set()).add(key)
        disk = self._disks[node] = world.machines[node].disk
        disk.lose(layout.instance_key(key))
