"""How the feed lies on disk: entries that one batch appends are one record, a run.

Owns the form of a run, and how entries become runs and are found in them. A row of its own for each
entry would cost more than the rest of it. A term of a lock has a run to itself, since it is deleted
alone when it is forgotten (see `floors`); beside it goes the row that says where it stands. A run
lies at its first entry; where terms were deleted, there are gaps between runs.
"""

from collections.abc import Iterable, Iterator, Sequence

from ..registry.disk import FeedEntry, FeedRecord
from ..registry.types import KeyText, Value
from ..registry.wire.peers import DIGEST_BYTES
from . import layout

MAX_RUN = 256
"""How many entries a run may have: whoever wants one of them reads all."""


class Run(Value, frozen=True):
    """Entries of the feed without a gap: their keys, and the digests of their decrees in one string."""

    keys: tuple[KeyText, ...]
    digests: bytes

    def entries(self, first: int, start: int, limit: int) -> list[FeedEntry]:
        """Up to `limit` of its entries from index `start` on, if the run begins at `first`."""
        begin = max(0, start - first)
        each = enumerate(self.keys[begin : begin + limit], begin)
        return [FeedEntry(first + at, key, self._digest(at)) for at, key in each]

    def _digest(self, at: int) -> bytes:
        return self.digests[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]


def rows_of(records: Sequence[FeedRecord]) -> dict[bytes, object | None]:
    """The rows of what one batch appends to the feed."""
    rows: dict[bytes, object | None] = {}
    for entries in _cut(records):
        first, key = entries[0].index, entries[0].key
        keys = tuple([entry.key for entry in entries])
        rows[layout.feed_key(first)] = Run(keys, b"".join([entry.digest for entry in entries]))
        if layout.is_term(key):
            rows[layout.term_key(key)] = first
    return rows


def _cut(records: Iterable[FeedRecord]) -> Iterator[list[FeedRecord]]:
    """The entries of one run after the other, each without a gap and with no term but alone."""
    run: list[FeedRecord] = []
    end = -1
    for record in records:
        is_term = layout.is_term(record.key)
        if run and (is_term or record.index != end or len(run) == MAX_RUN):
            yield run
            run = []
        run.append(record)
        end = -1 if is_term else record.index + 1
    if run:
        yield run
