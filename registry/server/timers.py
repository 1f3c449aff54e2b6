"""Timers that the replica set, in order of when they are due."""

import heapq
import math
import random

from ..replica.effects import SetTimer
from ..replica.events import Timer


class Timers:
    """A heap of timers.

    Args:
        chance: where the random part of each delay comes from.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def set(self, now_ms: float, wanted: SetTimer) -> None:
        """Let `wanted.timer` fire after its delay and a random part of its spread."""
        due_ms = now_ms + wanted.delay_ms + self._chance.random() * wanted.spread_ms
        self._count += 1
        heapq.heappush(self._heap, (due_ms, self._count, wanted.timer))

    def due(self, now_ms: float) -> list[Timer]:
        """Take the timers that are due."""
        fired: list[Timer] = []
        while self._heap and self._heap[0][0] <= now_ms:
            fired.append(heapq.heappop(self._heap)[2])
        return fired

    @property
    def next_ms(self) -> float:
        """When the next one is due; infinity if there is none."""
        return self._heap[0][0] if self._heap else math.inf
