"""What happens to bytes between nodes and clients: the weather on each directed wire.

A wire leads from one place to another; a place is a node, or `CLIENTS`. Its weather may change at any
time, also for bytes under way. A wire knows nothing of sockets: doors ask it when a chunk is due, and
whether anything passes.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio

CLIENTS = "clients"
RETRANSMISSION_S = (0.2, 0.8)


@dataclass(frozen=True, slots=True)
class Weather:
    """The faults of a wire. TCP hides loss from its ends: loss shows as a delay.

    Args:
        delay_s: the least and the most seconds that a chunk is under way.
        loss: the probability that a chunk is lost and delayed until it is sent again.
        resets: the probability that a chunk breaks its connection.
        dead: nothing passes, without an error; waiting chunks are delivered afterwards.
        refused: all connections are reset, new ones too.
    """

    delay_s: tuple[float, float] = (0.0, 0.0)
    loss: float = 0.0
    resets: float = 0.0
    dead: bool = False
    refused: bool = False


CLEAR = Weather()
DEAD = Weather(dead=True)
REFUSED = Weather(refused=True)


class Wire:
    """One direction between two places.

    Args:
        chance: draws delays and losses.
    """

    def __init__(self, chance: random.Random) -> None:
        self.weather = CLEAR
        self._chance = chance
        self._changed = trio.Event()
        self._connections: set[trio.CancelScope] = set()

    def set(self, weather: Weather) -> None:
        """Set the weather."""
        self.weather = weather
        self._changed.set()
        self._changed = trio.Event()
        if weather.refused:
            self.reset()

    def reset(self) -> None:
        """End all connections; bytes under way are lost."""
        for scope in list(self._connections):
            scope.cancel()

    @contextmanager
    def carrying(self, connection: trio.CancelScope) -> Iterator[None]:
        """Note that `connection` uses this wire while the block runs."""
        self._connections.add(connection)
        try:
            yield
        finally:
            self._connections.discard(connection)

    def breaks(self) -> bool:
        """Draw whether the next chunk breaks its connection."""
        return self._chance.random() < self.weather.resets

    def delay_s(self) -> float:
        """Draw how long the next chunk is under way."""
        lost = self._chance.random() < self.weather.loss
        again_s = self._chance.uniform(*RETRANSMISSION_S) if lost else 0.0
        return self._chance.uniform(*self.weather.delay_s) + again_s

    async def passable(self) -> None:
        """Wait until bytes pass."""
        while self.weather.dead:
            await self._changed.wait()


class Network:
    """All wires.

    Args:
        chance: seeds the randomness of the wires.
    """

    def __init__(self, chance: random.Random) -> None:
        self._wires: defaultdict[tuple[str, str], Wire] = defaultdict(lambda: Wire(chance))

    def wire(self, source: str, target: str) -> Wire:
        """The wire from one place to another."""
        return self._wires[source, target]

    def clear(self) -> None:
        """Set all wires to no faults."""
        for wire in self._wires.values():
            wire.set(CLEAR)
