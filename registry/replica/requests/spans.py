"""Spans: stretches of keys whose decrees two nodes compare by digest. Pure: rows in, answers out.

Why an equal span need not be sent: node A asks, and B finds in the span (1) no key that it has
accepted and not learned, and (2) learned decrees whose digest is A's. Then B would have sent
decrees that A has, and nothing else, so A's page united with that is A's page. Anything less does
not count as equal: a key that B has accepted without learning it may be chosen. It is always
reported, with its whole span.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from msgspec.msgpack import Encoder

from ...disk import ScanPage
from ...keys import sort_key
from ...paxos.instance import Instance
from ...types import DIGEST_BYTES, Decree, Key
from ...wire.peers import ScanAnswer, Span

SPAN_ROWS = 32
"""How many keys of the requester a span has: all of them are sent if one differs."""

Row = tuple[Key, Instance]
_encode = Encoder().encode


def spans_of(
    rows: Sequence[Row], span_rows: int = SPAN_ROWS, until: Key | None = None, *, complete: bool
) -> tuple[Span, ...]:
    """The spans of these rows; the last one ends at `until` if the rows are complete.

    Without `until` it has no end: it goes to the end of the prefix.
    """
    parts = [rows[at : at + span_rows] for at in range(0, len(rows), span_rows)] or [rows]
    spans = [Span(_end(part), _digest(part)) for part in parts]
    if complete:
        spans[-1] = Span(until, spans[-1].digest)
    return tuple(spans)


def answer_of(id: int, rows: Sequence[Row], end: Key | None) -> ScanAnswer:
    """The answer to a scan that reports these rows up to `end`."""
    learned = [i.learned for _, i in rows if i.learned is not None]
    unlearned = [key for key, i in rows if i.learned is None]
    return ScanAnswer(id, tuple(learned), tuple(unlearned), end)


def row_bytes(row: Row) -> int:
    """About how many bytes a row takes in a message."""
    decree = row[1].learned or (row[1].accepted.decree if row[1].accepted else None)
    return 128 + len(row[0]) + (len(decree.value) + len(decree.note) if decree else 0)


def place_of(row: Row) -> bytes:
    """Where a row stands in the order of keys."""
    return sort_key(row[0])


class Comparison:
    """Goes through this node's rows and keeps those that lie in spans that differ.

    Args:
        spans: the requester's.
        limit, max_bytes: it ends early when it has more rows or bytes to report than this.
    """

    def __init__(self, spans: Sequence[Span], limit: int, max_bytes: int) -> None:
        self._spans = deque(spans)
        self._place = self._end_place()
        self._limit, self._max_bytes = limit, max_bytes
        self._told: list[Row] = []
        self._rows: list[Row] = []
        self._bytes = self._told_bytes = 0
        self._cut_at: Key | None = None

    def _end_place(self) -> bytes | None:
        """Where the present span ends, in the order of keys; None if that is the end of the prefix."""
        end = self._spans[0].end if self._spans else None
        return None if end is None else sort_key(end)

    @property
    def over(self) -> bool:
        """Whether all spans are compared, or the answer is full."""
        return not self._spans or self._cut_at is not None

    def take(self, page: ScanPage) -> None:
        """Compare the next rows: those of one span after the other."""
        rows, at = page.instances, 0
        while at < len(rows) and not self.over:
            stop = len(rows)
            if self._place is not None:
                stop = bisect_right(rows, self._place, at, key=place_of)
            is_open = self._add(rows[at:stop])
            at = stop
            if is_open and at < len(rows):
                self._end_span()  # the next row lies behind it
        while page.complete and not self.over:
            self._end_span()

    def answer(self, id: int) -> ScanAnswer:
        """The answer: all rows of the spans that differ."""
        return answer_of(id, self._told, self._cut_at)

    def _add(self, rows: Sequence[Row]) -> bool:
        """Add the next rows of the present span; returns whether more of it may come."""
        for row in rows:
            self._rows.append(row)
            self._bytes += row_bytes(row)
            if row[0] == self._spans[0].end:
                self._end_span()
                return False
            if len(self._told) + len(self._rows) > self._limit or self._bytes > self._max_bytes:
                # report the present span up to here, and nothing after it
                self._told += self._rows
                self._rows, self._cut_at = [], row[0]
                return False
        return True

    def _end_span(self) -> None:
        """Report all rows of the span, unless the requester has learned exactly the same."""
        span = self._spans.popleft()
        self._place = self._end_place()
        rows, self._rows = self._rows, []
        if _is_settled(rows) and _digest(rows) == span.digest:
            self._bytes = self._told_bytes
        else:
            self._told += rows
            self._told_bytes = self._bytes


def _is_settled(rows: Sequence[Row]) -> bool:
    """Whether all keys of these rows are learned."""
    return all([instance.learned is not None for _, instance in rows])


def _digest(rows: Sequence[Row]) -> bytes:
    return span_digest([i.learned for _, i in rows if i.learned is not None])


def _end(rows: Sequence[Row]) -> Key | None:
    return rows[-1][0] if rows else None


def span_digest(decrees: Iterable[Decree]) -> bytes:
    """16 bytes of BLAKE2b over the MessagePack of decrees in key order, one after the other.

    MessagePack is self-delimiting and each decree has its key, so different lists give different bytes.
    """
    return blake2b(b"".join(map(_encode, decrees)), digest_size=DIGEST_BYTES).digest()
