"""Which node answers fastest: what `connect(..., prefer="nearest")` goes by.

Each link that is open measures how long its node takes to answer a ping (`Link.measure`), now and then
while the client reads. So nearness includes how busy a node is. A small difference is no reason to
change: the choice stays until another node is clearly faster.

Knows neither time nor network: it compares what the links have measured.
"""

from collections.abc import Iterable
from math import inf

from ..transport.link import Link

MARGIN_SECONDS = 0.001
"""A node must be faster by this and a third, to be read from instead of the one before."""
WATCH_MARGIN_SECONDS = 0.005
"""A watch moves to another node only if that is faster by this, and takes less than half the time: at
another node everything has to be listed once."""
MEASURE_SECONDS = 5.0
"""How old a measurement may be before the node is asked again."""
FEW_ROUND_TRIPS = 4
"""A node is connected to, greeted and measured within so many of its round trips."""
DIAL_SECONDS = 0.01
"""What these take beyond, at a node that answers promptly."""
LOOK_SECONDS = 1.0
"""How often nodes without a link are dialled, while the client reads."""


class Nearness:
    """The choice of the nearest node, with the one before."""

    def __init__(self) -> None:
        self._chosen: Link | None = None

    def nearest(self, links: Iterable[Link]) -> Link | None:
        """The link whose node answers fastest, as far as that is known; None if it is not yet."""
        known = [link for link in links if is_near(link)]
        best = min(known, key=_round_trip, default=None)
        kept = self._chosen
        if best is None or kept is None or kept not in known or _is_clearly_nearer(best, kept):
            self._chosen = kept = best
        return kept


def is_near(link: Link) -> bool:
    """Whether a link works, and how long its node takes is known."""
    return link.up and link.round_trip < inf and not link.avoided and not link.retired


def in_order(links: Iterable[Link]) -> list[Link]:
    """The links whose nearness is known, the nearest first."""
    return sorted(filter(is_near, links), key=_round_trip)


def is_worth_a_list(other: Link, here: Link) -> bool:
    """Whether a watch had better go on at another node, though it has to list everything there."""
    faster = here.round_trip - other.round_trip
    return faster > WATCH_MARGIN_SECONDS and other.round_trip < here.round_trip / 2


def _is_clearly_nearer(best: Link, kept: Link) -> bool:
    return best.round_trip + MARGIN_SECONDS < kept.round_trip * 2 / 3


def _round_trip(link: Link) -> float:
    return link.round_trip
