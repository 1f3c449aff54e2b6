"""One page of a list under construction, and the union of a quorum's answers. Pure."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from ...keys import sort_key
from ...types import Decree, Key, NodeId
from ...wire.peers import ScanAnswer, Span
from ...wire.requests import ListRequest
from ..step.pending import PendingRequest
from .spans import Row, row_bytes

PAGE_BYTES = 1024 * 1024

Question = tuple[str, str, int]
"""Prefix, the key after which the page begins, and the largest number of decrees."""


class ListRead(Struct, eq=False):
    """One page under construction, for all requests that asked for it before its reading began.

    Attributes:
        question: what they ask.
        requests: the requests.
        token: ties answers to the page; 0 until its reading begins.
        rows: the rows of this node's disk, `size` bytes in all.
        spans: the digests of these rows, which peers are asked with; empty until then.
        asked: the nodes that have been asked.
        tries: how often they were asked.
        answers: the answers by node, this one's included.
        decrees: the union of the learned decrees.
        unsettled: keys with an accepted proposal, which are being finished.
        horizon: the last key that every answer covers; None if all reach the end.
        merged: whether a quorum has answered.
    """

    question: Question
    requests: dict[PendingRequest, None] = {}
    token: int = 0
    rows: list[Row] = []
    size: int = 0
    spans: tuple[Span, ...] = ()
    asked: set[NodeId] = set()
    tries: int = 0
    answers: dict[NodeId, ScanAnswer] = {}
    decrees: dict[Key, Decree] = {}
    unsettled: set[Key] = set()
    horizon: Key | None = None
    merged: bool = False

    @property
    def full(self) -> bool:
        """Whether this node's own rows are enough for a page."""
        return len(self.rows) >= self.question[2] or self.size >= PAGE_BYTES

    @property
    def deadline_ms(self) -> float:
        """The latest deadline of its requests."""
        return max((pending.deadline_ms for pending in self.requests), default=0.0)

    def unanswered(self) -> list[NodeId]:
        """The nodes that were asked and have not answered."""
        return sorted(self.asked - self.answers.keys())

    def add(self, rows: Iterable[Row]) -> bool:
        """Take rows of this node while there is room; returns whether all were taken."""
        for row in rows:
            if self.full:
                return False
            self.rows.append(row)
            self.size += row_bytes(row)
        return True

    def merge(self) -> tuple[Decree, Decree] | None:
        """Unite the answers of the quorum.

        Returns:
            Two decrees of one key, if nodes disagree.
        """
        self.merged = True
        self.horizon = horizon(self.answers.values())
        unlearned: set[Key] = set()
        for answer in self.answers.values():
            unlearned.update(key for key in answer.unlearned if within(key, self.horizon))
            for decree in answer.learned:
                if not within(decree.key, self.horizon):
                    continue
                known = self.decrees.setdefault(decree.key, decree)
                if known != decree:
                    return known, decree
        self.unsettled = unlearned - self.decrees.keys()
        return None

    def page(self) -> tuple[tuple[Decree, ...], str | None]:
        """The decrees of the page, and the key after which the next page begins; None at the end."""
        keys = sorted(self.decrees, key=sort_key)
        page = _cut([self.decrees[key] for key in keys], self.question[2])
        return page, page[-1].key if len(page) < len(keys) else self.horizon

    def moves_on(self, answer: ScanAnswer) -> bool:
        """Whether an answer covers any key of the page: one that ends earlier brings nothing."""
        return answer.end is None or sort_key(answer.end) > sort_key(self.question[1])


def question_of(request: ListRequest) -> Question:
    """The question of a request, which equal requests share."""
    return request.prefix, request.after, request.limit


def horizon(answers: Iterable[ScanAnswer]) -> Key | None:
    """The last key that every answer covers; None if all reach the end."""
    ends = [answer.end for answer in answers if answer.end is not None]
    return min(ends, key=sort_key, default=None)


def within(key: Key, end: Key | None) -> bool:
    """Whether `key` is at most `end`."""
    return end is None or sort_key(key) <= sort_key(end)


def _cut(decrees: Sequence[Decree], limit: int) -> tuple[Decree, ...]:
    """The decrees that fit a page: at least one, up to `limit` and about `PAGE_BYTES`."""
    room = PAGE_BYTES
    for count, decree in enumerate(decrees[:limit]):
        if count and len(decree.value) > room:
            return tuple(decrees[:count])
        room -= len(decree.value) + 512
    return tuple(decrees[:limit])
