"""The feed on disk: the entries that one batch appends are one record, a run.

Owns the form of a run, and how entries are put into runs and found in them. One row for each entry
would cost more than the entry itself. A term of a lock has a run of its own, since it is deleted by
itself when it is forgotten (see `floors`), and another row with its position. An entry that tells a
floor has a run of its own too, and no other row: the floor's row has its position. The stored key of a
run has the index of its first entry; deleted terms leave gaps between runs.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from ..registry.disk import FeedEntry, FeedRecord
from ..registry.keys import RESERVED
from ..registry.types import DIGEST_BYTES, Key, KeyText, Value
from ..registry.wire.peers import FLOOR_DIGEST
from . import layout

MAX_RUN = 256
"""How many entries a run may have: reading one of them reads all."""


class FeedRun(Value, frozen=True):
    """Entries of the feed without a gap: their keys, and the digests of their decrees in one string."""

    keys: tuple[KeyText, ...]
    digests: bytes

    def entries(self, first: int, start: int, limit: int) -> list[FeedEntry]:
        """Up to `limit` of its entries from index `start` on; the run begins at `first`."""
        begin = max(0, start - first)
        each = enumerate(self.keys[begin : begin + limit], begin)
        return [FeedEntry(first + at, key, self._digest(at)) for at, key in each]

    def reserved(self, first: int, start: int, limit: int) -> tuple[list[FeedEntry], int]:
        """As `entries`, those of reserved keys alone; and where to go on after them."""
        begin = max(0, start - first)
        each = enumerate(self.keys[begin:], begin)
        places = [at for at, key in each if key[0] == RESERVED][:limit]
        found = [FeedEntry(first + at, self.keys[at], self._digest(at)) for at in places]
        end = max(start, first + len(self.keys))
        return found, found[-1].index + 1 if len(found) == limit else end

    def decided(self) -> list[Key]:
        """The keys whose decrees were learned here; an entry that tells a floor has none."""
        each = enumerate(self.keys)
        return [Key(key) for at, key in each if self._digest(at) != FLOOR_DIGEST]

    def _digest(self, at: int) -> bytes:
        return self.digests[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]


def rows_of(
    records: Iterable[FeedRecord], floors: Collection[int] = ()
) -> dict[bytes, object | None]:
    """The rows of the entries that one batch appends to the feed.

    Args:
        records: the entries.
        floors: the indices of those that tell a floor.
    """
    rows: dict[bytes, object | None] = {}
    for first, keys, digests in _joined(records):
        for start, end in _cut(keys):
            part = digests[start * DIGEST_BYTES : end * DIGEST_BYTES]
            rows[layout.feed_key(first + start)] = FeedRun(tuple(keys[start:end]), part)
            if layout.is_term(keys[start]) and first + start not in floors:
                rows[layout.term_key(keys[start])] = first + start
    return rows


def _joined(records: Iterable[FeedRecord]) -> Iterator[tuple[int, list[Key], bytes]]:
    """The records, with those joined that follow each other without a gap."""
    first, keys, digests = 0, list[Key](), b""
    for record in records:
        if keys and record.index != first + len(keys):
            yield first, keys, digests
            keys = []
        if not keys:
            first, digests = record.index, b""
        keys += record.keys
        digests += record.digests
    if keys:
        yield first, keys, digests


def _cut(keys: Sequence[Key]) -> Iterator[tuple[int, int]]:
    """The beginnings and ends of runs among these keys: a term is alone, and no run is too long."""
    start = 0
    if not [key for key in keys if key[0] == RESERVED]:  # the usual case: no terms
        yield from [(at, min(at + MAX_RUN, len(keys))) for at in range(0, len(keys), MAX_RUN)]
        return
    for at, key in enumerate(keys):
        is_term = layout.is_term(key)
        if start < at and (is_term or at - start == MAX_RUN):
            yield start, at
            start = at
        if is_term:
            yield at, at + 1
            start = at + 1
    if start < len(keys):
        yield start, len(keys)
