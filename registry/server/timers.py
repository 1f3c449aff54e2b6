"""The replica's timers, in order of their due times.

Times that need not be exact are rounded up a little, so that timers fire together: each firing costs
the node a turn. Most timers have nothing left to do when they are due, since what they waited for has
happened; those are dropped without a turn.
"""

import heapq
import math
import random
from collections.abc import Callable

from ..replica.step.effects import SetTimer
from ..replica.step.events import Timer


class Timers:
    """A heap of times, and the timers that are due at each.

    Args:
        chance: draws the random part of each delay.
        counts: whether a timer still has something to do; by default every timer has.
    """

    def __init__(
        self, chance: random.Random, counts: Callable[[Timer], bool] = lambda _: True
    ) -> None:
        self._chance = chance
        self._counts = counts
        self._times: list[float] = []
        self._timers: dict[float, list[Timer]] = {}

    def set(self, now_ms: float, wanted: SetTimer) -> None:
        """Let `wanted.timer` fire after its delay and a random part of its spread.

        It never fires early. If it has a spread, it may be late by up to a sixteenth of its delay.
        """
        due_ms = now_ms + wanted.delay_ms
        if wanted.spread_ms:
            step_ms = _step_ms(wanted.delay_ms)
            exact_ms = due_ms + self._chance.random() * wanted.spread_ms
            due_ms = math.ceil(exact_ms / step_ms) * step_ms
        timers = self._timers.get(due_ms)
        if timers is None:
            self._timers[due_ms] = [wanted.timer]
            heapq.heappush(self._times, due_ms)
        else:
            timers.append(wanted.timer)

    def due(self, now_ms: float) -> list[Timer]:
        """Take the timers that are due."""
        fired: list[Timer] = []
        while self._times and self._times[0] <= now_ms:
            fired += filter(self._counts, self._timers.pop(heapq.heappop(self._times)))
        return fired

    @property
    def next_ms(self) -> float:
        """When the next timer that counts is due; infinite if there is none."""
        while self._times and not any(map(self._counts, self._timers[self._times[0]])):
            del self._timers[heapq.heappop(self._times)]
        return self._times[0] if self._times else math.inf


def _step_ms(delay_ms: float) -> float:
    """The step for rounding: the largest power of two up to a sixteenth of the delay.

    Powers of two make steps of all lengths coincide. Delays below 1 ms are rounded as 1 ms is.
    """
    return math.ldexp(1.0, math.frexp(max(delay_ms, 1.0))[1] - 5)
