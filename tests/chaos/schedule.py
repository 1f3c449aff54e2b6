"""The order of faults: decks with one fault of each kind, shuffled and dealt by a seed.

One seed gives the same schedule on every machine, except that kinds that a machine cannot have are
left out.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations

import trio

from .faults import (
    BadWires,
    ClockJump,
    Fault,
    Flapping,
    FullDisk,
    Kill,
    Pause,
    Quorum,
    Restart,
    Together,
    Wipe,
    Wires,
)
from .network import CLIENTS, DEAD, REFUSED, Weather

SLOW = Weather(delay_s=(0.1, 0.5))
LOSSY = Weather(loss=0.1, resets=0.01)
HOUR_S = 3_600
CLOCK_SEEN_S = 3.0
"""Processes read the offset of their clock up to 1 s late, and claims must win after that."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The durations of faults and of the calm between them, in seconds: the least and the most."""

    fault_s: tuple[float, float]
    calm_s: tuple[float, float]


QUICK = Pace((0.8, 1.2), (0.3, 0.5))
HASTY = Pace((0.7, 1.5), (0.1, 0.3))
LONG = Pace((0.5, 12.0), (2.0, 5.0))


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault of a schedule.

    Args:
        fault: the fault.
        lasts_s: its duration.
        calm_s: the pause after it.
    """

    fault: Fault
    lasts_s: float
    calm_s: float

    def __str__(self) -> str:
        return f"{self.fault.name:<22} {self.lasts_s:5.1f} s  {self.fault.where}"


class Deck:
    """One fault of each kind, with fresh random choices.

    Args:
        nodes: the members; three or more.
        chance: draws the choices.
        clocks: whether clocks can jump.
    """

    def __init__(self, nodes: list[str], chance: random.Random, clocks: bool) -> None:
        self._nodes = nodes
        self._chance = chance
        self._clocks = clocks
        self._spare = (len(nodes) - 1) // 2

    def deal(self) -> list[Fault]:
        """All kinds once, in random order."""
        makers: list[Callable[[], Fault]] = [
            *(lambda k=k: self._kill(k) for k in ("one", "two", "all")),
            *(lambda k=k: self._pause(k) for k in ("one", "two", "all")),
            lambda: Restart(self._one()),
            lambda: FullDisk(self._nodes[-1]),
            lambda: Wipe(self._one(), self._chance.random() < 0.5),
            *([self._clock] if self._clocks else []),
            *self._wires(),
        ]
        faults = [make() for make in makers]
        self._chance.shuffle(faults)
        return faults

    def wires(self) -> list[Fault]:
        """All faults of wires, in random order."""
        faults = [make() for make in self._wires()]
        self._chance.shuffle(faults)
        return faults

    def pair(self) -> Fault:
        """A fault of wires and a fault of processes at the same time."""
        wires = self._chance.choice(self._wires())()
        process = self._kill("one") if self._chance.random() < 0.5 else self._pause("one")
        return Together((wires, process))

    def _wires(self) -> list[Callable[[], Fault]]:
        return [
            self._one_way,
            self._isolated,
            self._split,
            self._dead_link,
            self._dead_to_clients,
            self._refused,
            self._flapping,
            lambda: self._everywhere("slow links", SLOW),
            lambda: self._everywhere("lossy links", LOSSY),
        ]

    def _one(self) -> str:
        return self._chance.choice(self._nodes)

    def _some(self, how_many: str) -> tuple[str, ...]:
        count = {"one": 1, "two": 2, "all": len(self._nodes)}[how_many]
        return tuple(sorted(self._chance.sample(self._nodes, count)))

    def _kill(self, how_many: str) -> Fault:
        victims = self._some(how_many)
        return Kill(f"kill {how_many}", victims, self._left_by(victims))

    def _pause(self, how_many: str) -> Fault:
        victims = self._some(how_many)
        return Pause(f"pause {how_many}", victims, self._left_by(victims))

    def _left_by(self, victims: tuple[str, ...]) -> Quorum:
        return Quorum.UP if len(victims) <= self._spare else Quorum.LOST

    def _clock(self) -> Fault:
        jumps = [(node, self._chance.randint(-24, 24) * HOUR_S) for node in self._nodes]
        return ClockJump(tuple(jumps))

    def _two(self) -> tuple[str, str]:
        one, other = self._chance.sample(self._nodes, 2)
        return one, other

    def _one_way(self) -> Fault:
        one, other = self._two()
        return BadWires("one-way cut", f"{one}->{other}", ((one, other),), DEAD, Quorum.UP)

    def _isolated(self) -> Fault:
        """One node that clients reach and other nodes do not."""
        one = self._one()
        others = [node for node in self._nodes if node != one]
        wires = (*((one, node) for node in others), *((node, one) for node in others))
        return BadWires("partition of one", one, wires, DEAD, Quorum.UP)

    def _split(self) -> Fault:
        wires = tuple(permutations(self._nodes, 2))
        return BadWires("split", "each from all others", wires, DEAD, Quorum.LOST)

    def _dead_link(self) -> Fault:
        one, other = self._two()
        wires = _both_ways(one, other)
        return BadWires("dead link", f"{one}-{other}", wires, DEAD, Quorum.UP, forgotten=True)

    def _dead_to_clients(self) -> Fault:
        one = self._one()
        wires = _both_ways(one, CLIENTS)
        return BadWires("dead link to clients", one, wires, DEAD, Quorum.UP, forgotten=True)

    def _refused(self) -> Fault:
        one, other = self._two()
        return BadWires("reset link", f"{one}-{other}", _both_ways(one, other), REFUSED, Quorum.UP)

    def _flapping(self) -> Fault:
        one, other = self._two()
        period_s = self._chance.uniform(0.1, 0.4)
        return Flapping(f"{one}-{other}", _both_ways(one, other), period_s, trio.CancelScope())

    def _everywhere(self, name: str, weather: Weather) -> Fault:
        return BadWires(name, "everywhere", tuple(permutations(self._nodes, 2)), weather, Quorum.UP)


def _both_ways(one: str, other: str) -> Wires:
    return ((one, other), (other, one))


def one_of_each(seed: int, nodes: list[str], clocks: bool) -> Iterator[Planned]:
    """A short schedule with each kind once."""
    chance = random.Random(seed)
    deck = Deck(nodes, chance, clocks)
    for fault in deck.deal():
        lasts_s = chance.uniform(*QUICK.fault_s)
        if isinstance(fault, ClockJump):
            lasts_s += CLOCK_SEEN_S
        yield Planned(fault, lasts_s, chance.uniform(*QUICK.calm_s))


def deck_after_deck(seed: int, nodes: list[str], clocks: bool) -> Iterator[Planned]:
    """Endless faults, some of them in pairs."""
    chance = random.Random(seed)
    deck = Deck(nodes, chance, clocks)
    least_s, most_s = LONG.fault_s
    while True:
        for fault in [*deck.deal(), deck.pair(), deck.pair()]:
            # drawn on a logarithmic scale: short ones as often as long ones
            lasts_s = least_s * (most_s / least_s) ** chance.random()
            yield Planned(fault, lasts_s, chance.uniform(*LONG.calm_s))


def wires_alone(seed: int, nodes: list[str], clocks: bool) -> Iterator[Planned]:
    """Endless faults of wires with hardly any calm: the schedule that finds mistakes soonest."""
    chance = random.Random(seed)
    deck = Deck(nodes, chance, clocks)
    while True:
        for fault in deck.wires():
            yield Planned(fault, chance.uniform(*HASTY.fault_s), chance.uniform(*HASTY.calm_s))
