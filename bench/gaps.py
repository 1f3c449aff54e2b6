"""Gaps: how long no operation was acknowledged, in parts of a load, from its series over time."""

from collections.abc import Iterator

from .load import Outcome


def longest_gap_ms(found: Outcome, begin_s: float, end_s: float) -> float:
    """The longest time without an acknowledgement in a part of a load, to the length of a cell.

    Args:
        found: the outcome of a load with a series.
        begin_s, end_s: the part, in seconds from the beginning; a gap counts where it ends.
    """
    return longest_gap(found, begin_s, end_s)[0]


def longest_gap(found: Outcome, begin_s: float, end_s: float) -> tuple[float, float]:
    """The length of the longest gap of a part in milliseconds, and where it ends in that part, in s."""
    ended = [(length, at) for at, length in _gaps(found) if begin_s * 1e3 < at <= end_s * 1e3]
    length, at_ms = max(ended, default=(0.0, begin_s * 1e3))
    return length, at_ms / 1e3 - begin_s


def _gaps(found: Outcome) -> Iterator[tuple[float, float]]:
    """The end of each gap, in milliseconds from the beginning, and its length."""
    cell_ms = found["series_ms"]
    last = 0
    for at, (operations, *_) in enumerate(found["series"]):
        if operations:
            yield at * cell_ms, (at - last) * cell_ms
            last = at
