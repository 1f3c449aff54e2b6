"""`Salvage`: all rows of a byte store that can be read, past those that cannot.

A damaged block of a table makes every read fail that touches it, and nothing says where it ends. So the
place behind it is searched: with steps that grow, and then by halves. That may pass over sound rows
between two damaged blocks; these are read by their keys, where the keys are known.

Invariant: a row is yielded only as it was written, or reported. What is passed over is on `gaps`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ..bytestore import ByteStore, Pair, Range, Unreadable
from ..layout import describe_place, describe_table

_WIDTH = 640
"""Longer than any stored key, in bytes: places between keys are numbers of this width."""
_FIRST_CHUNK, _CHUNK = 16, 64
_CHUNK_BYTES = 256 * 1024
"""The bounds on rows that are fetched together: their number, and their bytes once that is known."""


class Gap(NamedTuple):
    """A part of a store that cannot be read.

    Args:
        start: where it begins, as a stored key.
        end: where rows can be read again.
        reason: the error.
    """

    start: bytes
    end: bytes
    reason: str

    def has(self, stored: bytes) -> bool:
        """Whether a row with this stored key would be in it."""
        return self.start <= stored < self.end

    def __str__(self) -> str:
        table, start = describe_table(self.start), describe_place(self.start)
        return f"{table} from {start} up to {self._end()}: {self.reason}"

    def _end(self) -> str:
        if len(self.end) == 1:  # of a table
            return "the end"
        place = describe_place(self.end)
        is_same = self.end[:1] == self.start[:1]
        return place if is_same else f"{describe_table(self.end)} {place}"


Fill = Callable[[Gap], Iterable[Pair]]


def _nothing(gap: Gap) -> Iterable[Pair]:
    return ()


class Salvage:
    """Reads what can be read.

    Args:
        data: where the bytes are.

    Attributes:
        gaps: what was passed over so far, in the order in which it was met.
    """

    def __init__(self, data: ByteStore) -> None:
        self._data = data
        self.gaps: list[Gap] = []

    def each(self, within: Range, fill: Fill = _nothing) -> Iterator[Pair]:
        """All pairs of a range that can be read, in order.

        Args:
            within: the range.
            fill: called with each gap; returns the pairs in it that can be read by key, in order.
        """
        start, end = within
        count = _FIRST_CHUNK
        while start < end:
            try:
                pairs = self._pairs((start, end), count)
            except Unreadable as error:
                if count == 1:
                    gap = Gap(start, self._behind(start, end), str(error))
                    self._note(gap)
                    yield from fill(gap)
                    start = gap.end
                count = 1 if count > 1 else _FIRST_CHUNK
                continue
            if not pairs:
                return
            yield from pairs
            start = pairs[-1][0] + b"\0"
            mean = sum(len(data) for _, data in pairs) // len(pairs)
            count = max(1, min(_CHUNK, _CHUNK_BYTES // max(1, mean)))

    def get(self, stored: bytes) -> bytes | None:
        """The value at `stored`; None if there is none, or if it cannot be read."""
        try:
            return self._data.get(stored)
        except Unreadable as error:
            self._note(Gap(stored, stored + b"\0", str(error)))
            return None

    def _pairs(self, within: Range, limit: int) -> list[Pair]:
        return self._data.ascending(within, limit)

    def _note(self, gap: Gap) -> None:
        if not any(each.start <= gap.start and gap.end <= each.end for each in self.gaps):
            self.gaps.append(gap)

    def _behind(self, start: bytes, end: bytes) -> bytes:
        """The first place after `start` from which a row, or the end of the range, can be read."""
        low, high = start, end
        for place in _steps(start):
            if place >= end:
                break
            if self._is_sound(place, end):
                high = place
                break
            low = place
        return min(end, max(self._between(_number(low), _number(high), end), start + b"\0"))

    def _between(self, low: int, high: int, end: bytes) -> bytes:
        """The first sound place after `low`, which is not; `high` is sound, or the end."""
        while high - low > 1:
            middle = (low + high) // 2
            if self._is_sound(_place(middle), end):
                high = middle
            else:
                low = middle
        return _place(high)

    def _is_sound(self, place: bytes, end: bytes) -> bool:
        try:
            self._pairs((place, end), 1)
        except Unreadable:
            return False
        return True


def _steps(start: bytes) -> Iterator[bytes]:
    """Places behind `start`, the nearest first: each byte is raised in turn, from the last one on."""
    for at in range(len(start) - 1, -1, -1):
        for byte in range(start[at] + 1, 256):
            yield start[:at] + bytes([byte])


def _number(stored: bytes) -> int:
    return int.from_bytes(stored.ljust(_WIDTH, b"\0"), "big")


def _place(number: int) -> bytes:
    return number.to_bytes(_WIDTH, "big").rstrip(b"\0")
