"""`Rows`: the rows of a byte store in order, fetched some at a time, each with its checksum.

It must not know what the rows of a table mean.
"""

from collections.abc import Iterator
from typing import TypeVar

from ..registry import errors
from . import layout
from .bytestore import ByteStore, Pair, Range, Unreadable
from .layout import Table
from .records import unpack

_FIRST_CHUNK, _CHUNK = 16, 64
_CHUNK_BYTES = 256 * 1024
"""The bounds on rows that are fetched together: their number, and their bytes once that is known."""

T = TypeVar("T")


class Rows:
    """Reads rows. A row that cannot be read raises `Damaged`, which names it.

    Args:
        data: where the bytes are.
    """

    def __init__(self, data: ByteStore) -> None:
        self._data = data

    def table(self, table: Table, kind: type[T]) -> Iterator[T]:
        """The values of all rows of a table, in order."""
        for stored, data in self.each(layout.table_range(table)):
            yield self.unpack(stored, data, kind)

    def unpack(self, stored: bytes, data: bytes, kind: type[T]) -> T:
        """The value in a row."""
        return unpack(stored, data, kind, self._data.where)

    def each(self, within: Range) -> Iterator[Pair]:
        """All pairs of a range in order, fetched a few at a time; fewer if they are long."""
        start, end = within
        count = _FIRST_CHUNK
        while pairs := self.ascending((start, end), count):
            yield from pairs
            start = pairs[-1][0] + b"\0"
            mean = sum(len(data) for _, data in pairs) // len(pairs)
            count = max(1, min(_CHUNK, _CHUNK_BYTES // max(1, mean)))

    def ascending(self, within: Range, limit: int) -> list[Pair]:
        """The first pairs of a range, in order."""
        try:
            return self._data.ascending(within, limit)
        except Unreadable as error:
            raise self._lost(within, error) from error

    def descending(self, within: Range, limit: int) -> list[Pair]:
        """The last pairs of a range, the last one first."""
        try:
            return self._data.descending(within, limit)
        except Unreadable as error:
            raise self._lost(within, error) from error

    def _lost(self, within: Range, error: Unreadable) -> errors.Damaged:
        table, place = layout.describe_table(within[0]), layout.describe_place(within[0])
        return errors.Damaged(f"{table} from {place} on in {self._data.where} is damaged: {error}")
