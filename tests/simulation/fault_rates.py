"""Which faults happen in a run, and how often.

Each seed has its own rates: how often something happens, and how likely each kind of fault is. Many
kinds are missing in a seed, so that the others happen often, and every mixture comes up in some seed.
Faults end by chance too; at the end of a run all of them do.
"""

import math
import random
from collections.abc import Callable
from functools import partial

from decreed.registry.types import NodeId

from ..support.world import Action
from .crash_faults import Point
from .invariants import CheckedWorld
from .network import between
from .plan import Plan
from .rolled_back_disks import RolledBackDisks

SHORTEST_PAUSE_MS = 50.0
LONGEST_PAUSE_MS = 30_000.0

Stroke = Callable[[random.Random], None]


class FaultRates:
    """The faults of one run.

    Args:
        world: the cluster.
        plan: decides the rates.
        often: the chance that something happens in a tick; drawn if None.

    Attributes:
        asleep: the nodes that stay down for now.
    """

    def __init__(self, world: CheckedWorld, plan: Plan, often: float | None = None) -> None:
        self._world = world
        self._nodes = tuple(world.machines)
        self.rolled_back_disks = RolledBackDisks(world)
        climate = plan.chance("climate")
        drawn = climate.choice([0.1, 0.2, 0.3, 0.5, 0.8])
        self._often = drawn if often is None else often
        self._strokes = [stroke for stroke, _ in self._kinds()]
        self._weights = [
            weight * climate.choice([0, 0.5, 1, 1, 2, 4]) for _, weight in self._kinds()
        ]
        self._relief: list[Stroke] = [self._restart, self._mend_cuts, self._mend, self._calm]
        self._relief_weights = [climate.choice([1, 2, 4]) for _ in self._relief]
        self._relief_weights[0] *= 3
        self._puts_back = climate.random() < 0.6
        self.asleep: set[NodeId] = set()
        self._over = False
        world.network.roughen()
        for node in self._nodes:
            world.drive(node).usual_ms = climate.choice([0.0, 0.0, 0.0, 2.0, 15.0])

    def strike(self, chance: random.Random) -> None:
        """Let a fault happen or end in this tick, or do nothing."""
        if chance.random() < self._often and any(self._weights):
            chance.choices(self._strokes, self._weights)[0](chance)
        if chance.random() < self._often * 0.7:
            chance.choices(self._relief, self._relief_weights)[0](chance)

    def _kinds(self) -> list[tuple[Stroke, float]]:
        return [
            (self._doom, 6),
            (self._kill, 2),
            (self._fail_write, 4),
            (self._fail_sync, 2),
            (self._fill_up, 1),
            (self._stall, 1),
            (self._cut_one_way, 1),
            (self._cut_off, 1),
            (self._split, 1),
            (self._flap, 1),
            (self._lose, 1),
            (self._slow_down, 1),
            (self._reset, 2),
            (self._suspect, 2),
            (self._pause, 1),
            (self._jump, 0.5),
            (self._wipe, 0.15),
            (self._roll_back, 0.8),
            (self._confuse, 0.15),
            (self._back_up, 1),
            (self._start_often, 0.8),
        ]

    # -- nodes

    def _doom(self, chance: random.Random) -> None:
        self._world.doomed = chance.choice(list(Point))

    def _kill(self, chance: random.Random) -> None:
        node = chance.choice(self._nodes)
        if node in self._world.up():
            self._world.event_counts.saw("was killed")
            self._world.crash(node, silent=chance.random() < 0.4)

    def _pause(self, chance: random.Random) -> None:
        node = chance.choice(self._nodes)
        ms = _between(chance, SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS)
        if node in self._world.up() and not self._world.machines[node].paused:
            self._world.pause(node, ms)

    def _suspect(self, chance: random.Random) -> None:
        node, other = chance.sample(self._nodes, 2) if len(self._nodes) > 1 else ("", "")
        if node in self._world.up():
            self._world.event_counts.saw("a node was suspected for no reason")
            self._world.suspect((NodeId(node), NodeId(other)), chance.random() < 0.3)

    def _jump(self, chance: random.Random) -> None:
        self._world.clocks[chance.choice(self._nodes)].jump(chance)
        self._world.event_counts.saw("a wall clock jumped")

    def _wipe(self, chance: random.Random) -> None:
        self.rolled_back_disks.wipe(chance.choice(self._nodes))

    def _roll_back(self, chance: random.Random) -> None:
        self.rolled_back_disks.roll_back(chance.choice(self._nodes), chance)

    def _confuse(self, chance: random.Random) -> None:
        sound = [node for node in self._nodes if node not in self._world.rolled_back_disks]
        if len(sound) > 1:
            self.rolled_back_disks.confuse(*chance.sample(sound, 2))

    def _back_up(self, chance: random.Random) -> None:
        self.rolled_back_disks.back_up(chance.choice(self._nodes))

    def _start_often(self, chance: random.Random) -> None:
        """Start a node again and again, while the others are cut off, down or well."""
        exchanged = sorted(self._world.rolled_back_disks)
        often = bool(exchanged) and chance.random() < 0.8
        node = chance.choice(exchanged if often else self._nodes)
        others = [other for other in self._nodes if other != node]
        kind = chance.random()
        if kind < 0.3:
            self._world.network.cut(between([node], others), chance.random() < 0.5)
        elif kind < 0.5:
            for other in others:
                if other in self._world.up():
                    self._world.crash(other, silent=chance.random() < 0.5)
        self.rolled_back_disks.start_often(node, chance.choice([1, 2, 3, 5, 20]))

    # -- disks

    def _fail_write(self, chance: random.Random) -> None:
        self._world.drive(chance.choice(self._nodes)).disk.fail_writes = 1

    def _fail_sync(self, chance: random.Random) -> None:
        self._world.drive(chance.choice(self._nodes)).disk.fail_syncs = 1

    def _fill_up(self, chance: random.Random) -> None:
        self._world.drive(chance.choice(self._nodes)).fill_up()

    def _stall(self, chance: random.Random) -> None:
        longest_ms = chance.choice([50.0, 400.0, 5_000.0])
        self._world.drive(chance.choice(self._nodes)).stall(
            chance.choice([0.1, 0.5, 1.0]), longest_ms
        )

    # -- the network

    def _cut_one_way(self, chance: random.Random) -> None:
        if len(self._nodes) > 1:
            sender, receiver = chance.sample(self._nodes, 2)
            self._world.network.cut([(sender, receiver)], chance.random() < 0.5)
            self._world.event_counts.saw("a pair was cut one way")

    def _cut_off(self, chance: random.Random) -> None:
        node = chance.choice(self._nodes)
        others = [other for other in self._nodes if other != node]
        self._world.network.cut(between([node], others), chance.random() < 0.5)
        self._world.event_counts.saw("a node was cut off")

    def _split(self, chance: random.Random) -> None:
        some = [node for node in self._nodes if chance.random() < 0.5]
        others = [node for node in self._nodes if node not in some]
        self._world.network.cut(between(some, others), chance.random() < 0.5)
        self._world.event_counts.saw("the cluster was split")

    def _flap(self, chance: random.Random) -> None:
        """Cut and mend a pair again and again for a while; sometimes break its link too."""
        if len(self._nodes) == 1:
            return
        world, pair = self._world, tuple(chance.sample(self._nodes, 2))
        pairs = between(pair[:1], pair[1:])
        pairs = pairs if chance.random() < 0.5 else pairs[:1]
        now_ms, holds = world.now_ms, chance.random() < 0.5
        for _ in range(chance.randint(3, 8)):
            now_ms += _between(chance, 5, 400)
            world.at(now_ms, partial(self._unless_over, partial(world.network.cut, pairs, holds)))
            now_ms += _between(chance, 5, 400)
            world.at(now_ms, partial(world.mend, pairs))
            if chance.random() < 0.2:
                world.at(now_ms, partial(self._unless_over, partial(world.reset, pairs[0])))
        world.event_counts.saw("a link flapped")

    def _unless_over(self, action: Action) -> None:
        if not self._over:
            action()

    def _lose(self, chance: random.Random) -> None:
        self._world.network.loss = chance.choice([0.02, 0.05, 0.1, 0.3, 0.9])

    def _slow_down(self, chance: random.Random) -> None:
        self._world.network.slow_ms = chance.choice([1.0, 5.0, 40.0, 150.0])

    def _reset(self, chance: random.Random) -> None:
        if len(self._nodes) > 1:
            sender, receiver = chance.sample(self._nodes, 2)
            self._world.reset((sender, receiver))

    # -- what gets better

    def _restart(self, chance: random.Random) -> None:
        """Start a node that is down, or give a refused node its own disk back."""
        world = self._world
        refused = world.rolled_back_disks and world.rolled_back_disks <= world.refused.keys()
        if refused and self._puts_back and chance.random() < 0.1:
            self.rolled_back_disks.put_back()
        stays = world.rolled_back_disks | self.asleep
        down = [n for n in self._nodes if n not in world.up() and n not in stays]
        if down and self.rolled_back_disks.boot(chance.choice(down)):
            world.event_counts.saw("restarted")

    def _mend_cuts(self, chance: random.Random) -> None:
        self._world.mend()

    def _mend(self, chance: random.Random) -> None:
        """Mend and restart failed nodes, and end the stalls of disks."""
        world = self._world
        for node in self._nodes:
            machine = world.machines[node]
            world.drive(node).mend()
            if machine.replica is not None and machine.replica.node.failed:
                world.crash(node)
                if node not in world.rolled_back_disks:
                    self.rolled_back_disks.boot(node)

    def _calm(self, chance: random.Random) -> None:
        self._world.network.loss = 0.0
        self._world.network.slow_ms = 5.0

    def clear_up(self) -> None:
        """End all faults: every node is up, awake and linked, and every disk is sound."""
        world = self._world
        self._over = True
        world.doomed = None
        world.network.calm_down()
        for node in self._nodes:
            world.drive(node).mend()
            world.drive(node).usual_ms = 0.0
        for node in self._nodes:
            world.resume(node, world.machines[node])
            if node not in world.up() and node not in world.refused:
                assert self.rolled_back_disks.boot(node), f"{node} does not start on a sound disk"
        world.mend()

    def restart_failed(self) -> None:
        """Restart the nodes whose write failed, on their sound disks; all writes have ended."""
        self._mend(random.Random(0))
        for node in self._nodes:
            if node not in self._world.up() and node not in self._world.refused:
                assert self.rolled_back_disks.boot(node), f"{node} does not start on a sound disk"

    def clear_rolled_back_disks(self) -> None:
        """Put the impostors' own disks back; all impostors have been refused."""
        self.rolled_back_disks.check_refused()
        if self._puts_back and self._world.rolled_back_disks:
            nodes = sorted(self._world.rolled_back_disks)
            self.rolled_back_disks.put_back()
            for node in nodes:
                assert self.rolled_back_disks.boot(node), f"{node} does not start on its own disk"


class FaultsOfSoundDisks(FaultRates):
    """Faults of every kind except exchanged directories, which other storms test."""

    def _kinds(self) -> list[tuple[Stroke, float]]:
        exchanges = {self._wipe, self._roll_back, self._confuse}
        return [(stroke, weight) for stroke, weight in super()._kinds() if stroke not in exchanges]


def _between(chance: random.Random, least: float, most: float) -> float:
    """A random length; any length is as likely as twice that length."""
    return least * math.pow(most / least, chance.random())
