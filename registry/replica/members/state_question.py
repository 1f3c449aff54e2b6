"""The question for the state of the epoch before: who was asked, and what has come. M06 to M09, M20.

A node asks it to take an epoch over (`taking_over`), and again for the keys that it withholds
(`releasing`). What it does with the pages is theirs.

Invariants kept here:

* a page counts only if it answers the question that is open, in the epoch that is known;
* a series is of one directory, whose own feed is read for it (M08): when another one takes its name,
  the series is dropped, and the question is a new one, since a page may come later still.
"""

from typing import Protocol

from ...paxos.epochs import Gathering, Page
from ...types import NodeId
from ...wire.peers import AskState, StatePage
from ..step.effects import Send
from ..step.node import Node
from ..step.step_builder import StepBuilder
from ..step.tokens import AsksPeers


class ReadsFeeds(Protocol):
    """Reads the feeds of peers."""

    def read_to(self, step: StepBuilder, peer: NodeId, end: int) -> None:
        """Read a peer's feed up to `end` at least."""
        ...


class StateQuestion:
    """One question at a time, and the series that answer it.

    Args:
        node: who we are.
        feeds: reads the feeds of those who answer.
        asker: whose question it is.

    Attributes:
        gathering: the series that have come; None if no question is open.
        token: of the latest question; the pages that answer it name it.
        epoch: the one in which it is asked.
    """

    def __init__(self, node: Node, feeds: ReadsFeeds, asker: AsksPeers) -> None:
        self._node = node
        self._feeds = feeds
        self._asker = asker
        self.gathering: Gathering | None = None
        self.token = 0
        self.epoch = 0

    @property
    def sources(self) -> tuple[object, ...]:
        """The series, for `Replica.pending_work`."""
        return self.gathering.sources if self.gathering is not None else ()

    def begin(self, gathering: Gathering) -> None:
        """Open a question, with what counts from the start."""
        self.end()
        self.token = self._node.tokens.ask(self._asker)
        self.epoch = self._node.seat.known
        self.gathering = gathering

    def end(self) -> None:
        """Close the question, if one is open."""
        if self.gathering is not None:
            self._node.tokens.close(self.token)
            self.gathering = None

    def with_own(self, gathering: Gathering) -> Gathering:
        """Count what this node holds itself, if it was a voter of that epoch."""
        node = self._node
        if not node.is_voter(gathering.of):
            return gathering
        return gathering.with_own(node.name, node.identity.incarnation)

    def missing(self) -> list[NodeId]:
        """The sources whose last page has not come: voters of the epoch before, and of the new one."""
        gathering, name = self.gathering, self._node.name
        if gathering is None:
            return []
        sources = dict.fromkeys((*gathering.of.nodes, *self._node.nodes))
        return [node for node in sources if node != name and not gathering.is_over(node)]

    def ask_missing(self, step: StepBuilder) -> None:
        """Ask all whose pages are missing for the next one."""
        for node in self.missing():
            self.ask(step, node)

    def ask(self, step: StepBuilder, peer: NodeId) -> None:
        """Ask a source for its next page."""
        assert self.gathering is not None, "there is something to ask for"
        step.at_once(Send(peer, AskState(self.token, self.epoch, self.gathering.awaited(peer))))

    def ask_from_start(self, step: StepBuilder, peer: NodeId) -> None:
        """Ask a source that has told all for its first page again: it may be ready by now."""
        if peer != self._node.name:
            step.at_once(Send(peer, AskState(self.token, self.epoch, None)))

    def take(self, sender: NodeId, message: StatePage) -> bool:
        """Take a page; returns whether it was awaited, or begins a series again."""
        gathering = self.gathering
        if gathering is None or message.id != self.token or message.epoch != self._node.seat.known:
            return False
        self.gathering = gathering.with_page(sender, message.incarnation, _page_of(message))
        return self.gathering != gathering

    def follow(self, step: StepBuilder, sender: NodeId, message: StatePage) -> None:
        """After a page that was taken, ask for the next one, or read the feed to where that ends."""
        assert self.gathering is not None, "a page was taken"
        if self.gathering.is_over(sender):
            self._feeds.read_to(step, sender, message.feed_end)
        else:
            self.ask(step, sender)

    def on_read(self, step: StepBuilder, peer: NodeId, gap_end: int | None) -> bool:
        """A page of a peer's feed is complete; after a gap, `gap_end` is where the feed ended.

        Returns:
            Whether a question is open, so that more may be taken now.
        """
        if self.gathering is None:
            return False
        if gap_end is not None:
            self.gathering = self.gathering.after_gap(peer, gap_end)
            self._feeds.read_to(step, peer, gap_end)
        return True

    def on_replaced(self, peer: NodeId) -> bool:
        """Another disk has this name now: what the one before showed is not followed by its feed.

        Returns:
            Whether there is a new question, with a new token.
        """
        if self.gathering is None:
            return False
        self.gathering = self.gathering.without(peer)
        self._node.tokens.close(self.token)
        self.token = self._node.tokens.ask(self._asker)
        return True


def _page_of(message: StatePage) -> Page:
    """What a message shows of its sender's state, without the proposals."""
    facts = (message.after, message.whole, message.next, message.feed_end)
    return Page(*facts, message.unreadable, message.withheld)
