"""Comparing: a page of this node's decrees with those of every other voter, as lists do (`spans`).

The question has digests of what this node has learned, span by span. A voter answers with its decrees
in the spans that differ, so little is sent where nothing does. Here only decrees count that both have
learned, or that the peer has and this node has not.

Invariant: what one has learned and the other has not is never a difference. The node that lacks it may
be behind, and its feed says whether it ever had it (`mending`). A decree is final, so two different
ones for one key are a difference at any time.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from ...checked import CheckedPage
from ...keys import sort_key
from ...types import Decree, Key, NodeId
from ...wire.peers import Scan, ScanAnswer
from ...wire.requests import MAX_PAGE
from ..requests.spans import Row, spans_of
from ..step.events import ResendRead, UnmatchedDecrees
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder

TRIES = 3
PATIENCE_MS = 2_000
"""So often, and so long each time, a voter is asked about a page."""
MAX_FAILED = 3
"""A voter that has not answered about so many pages is asked no more in this scrub."""


class PageQuestion(Struct, eq=False):
    """What voters are asked about a page, or the rest of one.

    Attributes:
        prefix, after: where the page lies.
        rows: this node's rows in it.
        complete: whether the page reaches the end of the prefix.
        missing: who has not answered.
        tries: how often they were asked.
    """

    prefix: str
    after: str
    rows: Sequence[Row]
    complete: bool
    missing: set[NodeId]
    tries: int = 1


class Comparing:
    """Asks the other voters about one page at a time.

    Args:
        node: who we are.
        over: called when a page is over.
    """

    def __init__(self, node: Node, over: Callable[[StepBuilder], None]) -> None:
        self._node = node
        self._over = over
        self._questions: dict[int, PageQuestion] = {}
        self._failed: dict[NodeId, int] = {}
        self._prefix: str | None = None
        self._after = ""

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"compared pages": self._questions}

    @property
    def silent(self) -> Iterable[NodeId]:
        """The voters that have not answered about all pages."""
        return self._failed

    def begin(self) -> None:
        """A scrub begins."""
        self._failed.clear()
        self._prefix, self._after = None, ""

    def compare(self, step: StepBuilder, page: CheckedPage) -> None:
        """Ask about a page; `over` is called when all have answered, or have been asked enough."""
        if page.prefix != self._prefix:
            self._prefix, self._after = page.prefix, ""
        after, rows = self._after, page.instances
        if rows:
            self._after = rows[-1][0]
        if page.prefix is not None and (rows or page.complete):
            peers = {peer for peer in self._node.others if self._is_asked(peer)}
            if peers:
                self._ask(step, PageQuestion(page.prefix, after, rows, page.complete, peers))
                return
        self._over(step)

    def _is_asked(self, peer: NodeId) -> bool:
        """Whether a voter is worth asking; one that is down counts as one that does not answer."""
        if peer not in self._node.reachable:
            self._failed[peer] = self._failed.get(peer, 0) + 1
            return False
        return self._failed.get(peer, 0) < MAX_FAILED

    def _ask(self, step: StepBuilder, question: PageQuestion) -> None:
        token = self._node.tokens.ask(self)
        self._questions[token] = question
        self._send(step, token, question)

    def _send(self, step: StepBuilder, token: int, question: PageQuestion) -> None:
        spans = spans_of(question.rows, complete=question.complete)
        scan = Scan(token, PATIENCE_MS, question.prefix, question.after, MAX_PAGE, spans)
        step.broadcast(sorted(question.missing), self._node.asking(scan))
        step.ask_again(token, PATIENCE_MS)

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Ask again (R02); a voter that does not answer is left out for this page."""
        question = self._questions.get(timer.token)
        if question is None:
            return
        if question.tries < TRIES:
            question.tries += 1
            self._send(step, timer.token, question)
            return
        for peer in question.missing:
            self._failed[peer] = self._failed.get(peer, 0) + 1
        self._end(step, timer.token)

    def on_answer(self, step: StepBuilder, sender: NodeId, answer: ScanAnswer) -> bool:
        """Look at an answer; returns whether it was one to a question of a scrub."""
        question = self._questions.get(answer.id)
        if question is None:
            return False
        if sender not in question.missing:
            return True
        question.missing.discard(sender)
        other = tuple(_unlike(question.rows, answer.learned))
        if other:
            step.again(UnmatchedDecrees(sender, other))
        if answer.end is not None:
            self._go_on(step, sender, question, answer.end)
        if not question.missing:
            self._end(step, answer.id)
        return True

    def _go_on(self, step: StepBuilder, sender: NodeId, question: PageQuestion, end: Key) -> None:
        """Ask a voter about the rest of a page, of which more differs than fits an answer."""
        rest = [row for row in question.rows if sort_key(row[0]) > sort_key(end)]
        if (rest or question.complete) and sort_key(end) > sort_key(Key(question.after)):
            rows = PageQuestion(question.prefix, end, rest, question.complete, {sender})
            self._ask(step, rows)

    def _end(self, step: StepBuilder, token: int) -> None:
        del self._questions[token]
        self._node.tokens.close(token)
        if not self._questions:
            self._over(step)


def _unlike(rows: Sequence[Row], decrees: Iterable[Decree]) -> Iterable[Decree]:
    """The decrees that are not the ones in these rows."""
    mine = {key: instance.learned for key, instance in rows}
    return (decree for decree in decrees if mine.get(decree.key) != decree)
