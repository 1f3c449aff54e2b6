"""One page of a list under construction, and the union of a quorum's answers. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from ...keys import sort_key
from ...types import Decree, Key, NodeId
from ...wire.peers import ScanAnswer, Span
from ...wire.requests import ListRequest
from ..step.pending import PendingRequest
from ..step.read_rights import Within
from .spans import Row, row_bytes
from .windows import Window

PAGE_BYTES = 1024 * 1024


class Question(NamedTuple):
    """What a page is asked for.

    Args:
        prefix: what is listed.
        after: the key after which the page begins.
        limit: the largest number of decrees.
        within: what of the prefix its callers may read.
    """

    prefix: str
    after: str
    limit: int
    within: Within = None


class ListRead(Struct, eq=False):
    """One page under construction, for all requests that asked for it before its reading began.

    Attributes:
        question: what they ask.
        requests: the requests.
        window: the stretch of keys that is read: of all answers alike.
        token: ties answers to the page; 0 until its reading begins.
        epoch: the epoch in which it is asked: all who answer vote in that one (M12).
        counts_own: whether this node votes in that epoch itself.
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
    window: Window = Window("")
    token: int = 0
    epoch: int = 0
    counts_own: bool = False
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
        return len(self.rows) >= self.question.limit or self.size >= PAGE_BYTES

    @property
    def deadline_ms(self) -> float:
        """The latest deadline of its requests."""
        return max((pending.deadline_ms for pending in self.requests), default=0.0)

    def unanswered(self) -> list[NodeId]:
        """The nodes that were asked and have not answered."""
        return sorted(self.asked - self.answers.keys())

    def add(self, rows: Sequence[Row]) -> bool:
        """Take rows of this node while there is room; returns whether all were taken."""
        limit, size = self.question.limit - len(self.rows), self.size
        for taken, row in enumerate(rows):
            if taken >= limit or size >= PAGE_BYTES:
                self.rows += rows[:taken]
                self.size = size
                return False
            size += row_bytes(row)
        self.rows += rows
        self.size = size
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
            for decree in _up_to(self.horizon, answer):
                known = self.decrees.setdefault(decree.key, decree)
                if known is not decree and known != decree:
                    return known, decree
        self.unsettled = unlearned - self.decrees.keys()
        return None

    def page(self) -> tuple[tuple[Decree, ...], str | None]:
        """The decrees of the page, and the key after which the next page begins; None at the end.

        That key is one that the caller may read (S64): of a decree, or accepted at some node.
        """
        keys = sorted(self.decrees, key=sort_key)
        page = _cut([self.decrees[key] for key in keys], self.question.limit)
        goes_on = len(page) < len(keys) or self.ends_early
        return page, page[-1].key if goes_on and page else self.horizon

    @property
    def ends_early(self) -> bool:
        """Whether all of the window is answered, and more can be read after it."""
        return self.horizon is None and self.window.until is not None

    def moves_on(self, answer: ScanAnswer) -> bool:
        """Whether an answer covers any key of the page: one that ends earlier brings nothing."""
        return answer.end is None or sort_key(answer.end) > sort_key(self.question.after)


def question_of(request: ListRequest, reads: Within) -> Question:
    """The question of a request, which equal requests of callers with equal rights share."""
    return Question(request.prefix, request.after, request.limit, reads)


def horizon(answers: Iterable[ScanAnswer]) -> Key | None:
    """The last key that every answer covers; None if all reach the end."""
    ends = [answer.end for answer in answers if answer.end is not None]
    return min(ends, key=sort_key, default=None)


def within(key: Key, end: Key | None) -> bool:
    """Whether `key` is at most `end`."""
    return end is None or sort_key(key) <= sort_key(end)


def _up_to(horizon: Key | None, answer: ScanAnswer) -> Iterable[Decree]:
    """The learned decrees of an answer that lie before the horizon."""
    if horizon is None:
        return answer.learned
    place = sort_key(horizon)
    return [decree for decree in answer.learned if sort_key(decree.key) <= place]


def _cut(decrees: Sequence[Decree], limit: int) -> tuple[Decree, ...]:
    """The decrees that fit a page: at least one, up to `limit` and about `PAGE_BYTES`."""
    room = PAGE_BYTES
    for count, decree in enumerate(decrees[:limit]):
        if count and len(decree.value) > room:
            return tuple(decrees[:count])
        room -= len(decree.value) + 512
    return tuple(decrees[:limit])
