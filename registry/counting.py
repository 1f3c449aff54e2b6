"""Plain numbers that parts of a node keep of their own work, for those who read its metrics.

They are always kept, so that it makes no difference to a claim whether anybody reads them: a number is
added to, and nothing is locked, formatted or looked up by text. Names, units and help are given where
the numbers are read (`server/admin`), never here.
"""

from bisect import bisect_left
from collections.abc import Sequence

DURATIONS_MS = (
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    50.0,
    100.0,
    200.0,
    500.0,
    1_000.0,
    5_000.0,
    30_000.0,
)
"""Bounds for what takes a disk, a network or a turn of the loop."""
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Bounds for how many keys a batch has."""


class Histogram:
    """How often values of each size were seen.

    Args:
        bounds: the inclusive upper bound of each bucket but the last, in ascending order.

    Attributes:
        counts: how many values each bucket has; the last one has those above all bounds.
        total: the sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = DURATIONS_MS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def note(self, value: float, times: int = 1) -> None:
        """Count one value, or several that are the same."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


class CacheCounts:
    """How often a cache had what it was asked for.

    Attributes:
        hits, misses: how many of the keys that were asked for it had, and had not.
    """

    __slots__ = ("hits", "misses")

    def __init__(self) -> None:
        self.hits = self.misses = 0
