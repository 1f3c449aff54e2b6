"""Systems that are up at once and get the same load in turn, and how one compares with the others.

A busy minute then affects all of them, so a ratio of one round says more than two medians.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..bench import Bench
from ..load import Load, Outcome
from ..systems.cluster import Cluster

T = TypeVar("T")
C = TypeVar("C", bound=Cluster)
WARM_UP_S = 0.3
"""Short: the rounds are to follow each other closely, so that a busy minute affects all of them."""
RATIOS: Mapping[str, str] = {
    "cpu_ratio": "server_cpu_us",
    "p50_ratio": "p50_us",
    "rate_ratio": "per_s",
}
"""The ratios of a pair, and the figures that they compare."""


def rotated(items: Sequence[T], repeat: int) -> list[T]:
    """`items`, each first in its turn."""
    first = repeat % len(items)
    return [*items[first:], *items[:first]]


def one_round(
    bench: Bench, loads: Sequence[tuple[C, Load]], repeat: int
) -> list[tuple[C, Outcome]]:
    """Each system's load on it if it can take that, in an order that changes with `repeat`.

    Returns:
        The outcomes, in the order of `loads`.
    """
    able = [pair for pair in loads if bench.drives(*pair)]
    places = rotated(range(len(able)), repeat) if able else []
    found = {place: bench.load(*able[place]) for place in places}
    return [(cluster, found[place]) for place, (cluster, _) in enumerate(able)]


def pair_ratios(ours: Outcome, theirs: Outcome) -> dict[str, float]:
    """Our figures divided by theirs of the same round; a figure that is missing or 0 has none."""
    pairs = {
        name: (_figure(ours, figure), _figure(theirs, figure)) for name, figure in RATIOS.items()
    }
    return {name: mine / other for name, (mine, other) in pairs.items() if mine and other}


def _figure(found: Outcome, name: str) -> float:
    return float(found.get("latency", {}).get(name, 0.0) or found.get(name, 0.0))
