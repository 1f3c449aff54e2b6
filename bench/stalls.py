"""Stalls in a load: the seconds with an operation that took too long, and whose fault they are."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .bare_disk import BareSync, slow_within
from .load import Outcome

STALL_MS = 100.0
SLOW_DISK_MS = 50.0


class Stall(NamedTuple):
    """A cell of a load's series with an operation over `STALL_MS`.

    Args:
        worst_ms: the slowest operation that ended in it.
        by_disk: whether a bare sync over `SLOW_DISK_MS` was under way while that one waited.
    """

    worst_ms: float
    by_disk: bool


def stalls(found: Outcome, syncs: Sequence[BareSync]) -> Iterator[Stall]:
    """All stalls of a load.

    Args:
        found: its outcome, with a series.
        syncs: the bare syncs beside it, by the same clock.
    """
    cell_s = found["series_ms"] / 1e3
    for place, (operations, _, _, worst_us) in enumerate(found["series"]):
        worst_ms = worst_us / 1e3
        if operations and worst_ms > STALL_MS:
            begin_s = found["started_ns"] / 1e9 + place * cell_s
            # it ended in this cell, and waited since before
            slow = slow_within(syncs, begin_s - worst_ms / 1e3, begin_s + cell_s, SLOW_DISK_MS)
            yield Stall(worst_ms, slow)


def figures(found: Outcome, syncs: Sequence[BareSync]) -> dict[str, float]:
    """How many stalls there were, how many of them count, and what the disk did beside them."""
    seen = [*stalls(found, syncs)]
    left_out = sum(stall.by_disk for stall in seen)
    return {
        "stalls": float(len(seen) - left_out),
        "stalls_by_disk": float(left_out),
        "bare_sync_worst_ms": max((sync.ms for sync in syncs), default=0.0),
        "bare_syncs_slow": float(sum(sync.ms > SLOW_DISK_MS for sync in syncs)),
    }
