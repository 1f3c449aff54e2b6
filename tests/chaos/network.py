"""What happens to bytes between nodes and clients: the weather on each directed wire.

A wire leads from one place to another; a place is a node, or `CLIENTS`. The weather on it can be
changed at any time, for the bytes under way too. It knows nothing of sockets: doors ask it when a
chunk is due, and whether anything passes.
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
    """What a wire does to chunks of bytes. TCP hides loss from its ends: it shows as waiting.

    Args:
        delay_s: the least and the most seconds that a chunk is under way.
        loss: the chance that a chunk is lost and waits until it was sent again.
        resets: the chance that a chunk takes its connection with it.
        dead: nothing passes, and nobody is told; what waits is delivered when it is over.
        refused: connections are reset, new ones too.
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
        """From now on this is the weather."""
        self.weather = weather
        self._changed.set()
        self._changed = trio.Event()
        if weather.refused:
            self.reset()

    def reset(self) -> None:
        """Every connection ends now; what was under way is lost."""
        for scope in list(self._connections):
            scope.cancel()

    @contextmanager
    def carrying(self, connection: trio.CancelScope) -> Iterator[None]:
        """For as long as the block runs, `connection` uses this wire."""
        self._connections.add(connection)
        try:
            yield
        finally:
            self._connections.discard(connection)

    def breaks(self) -> bool:
        """Whether the chunk that comes now takes its connection with it."""
        return self._chance.random() < self.weather.resets

    def delay_s(self) -> float:
        """How long the chunk that comes now is under way."""
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
        chance: where the luck of the wires comes from.
    """

    def __init__(self, chance: random.Random) -> None:
        self._wires: defaultdict[tuple[str, str], Wire] = defaultdict(lambda: Wire(chance))

    def wire(self, source: str, target: str) -> Wire:
        """The wire from one place to another."""
        return self._wires[source, target]

    def clear(self) -> None:
        """All wires work as they should."""
        for wire in self._wires.values():
            wire.set(CLEAR)
