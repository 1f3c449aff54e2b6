"""How the feed lies on disk: entries that one batch appends are one record, a run.

Owns the form of a run, and how entries become runs and are found in them. A row of its own for each
entry would cost more than the rest of it. A term of a lock has a run to itself, since it is deleted
alone when it is forgotten (see `floors`). Runs never overlap, and each lies at its first entry; where
terms were deleted, there are gaps between them.
"""

from dataclasses import dataclass, field

from ..registry.disk import FeedEntry, FeedRecord
from ..registry.types import Key, KeyText, Value
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


@dataclass(slots=True)
class Growing:
    """A run in the making, from entry `first` to before entry `end`."""

    first: int
    end: int
    keys: list[Key] = field(default_factory=list[Key])
    digests: list[bytes] = field(default_factory=list[bytes])


class Runs:
    """The runs of one batch."""

    def __init__(self) -> None:
        self._done: list[Growing] = []
        self._last: Growing | None = None

    def add(self, record: FeedRecord) -> None:
        """Append an entry to the last run, or begin one with it."""
        index, run = record.index, self._last
        alone = layout.is_term(record.key)
        if run is None or alone or index != run.end or len(run.keys) >= MAX_RUN:
            run = Growing(index, index)
            self._done.append(run)
            self._last = None if alone else run
        run.keys.append(record.key)
        run.digests.append(record.digest)
        run.end += 1

    def rows(self) -> dict[bytes, object | None]:
        """The rows of all runs."""
        return {
            layout.feed_key(run.first): Run(tuple(run.keys), b"".join(run.digests))
            for run in self._done
        }

    @property
    def end(self) -> int:
        """The index behind the last entry of all, 0 without any."""
        return max((run.end for run in self._done), default=0)
