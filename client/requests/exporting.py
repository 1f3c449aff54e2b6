"""Reading everything that a cluster has decided, page by page, for a snapshot.

The terms of all locks come first, then all keys, so that all of it is in key order. Each page is one of
a list (design 6), so it has every decree whose claim was answered before the page was asked for.

What plain lists leave out, and why nothing more is needed: the terms of locks, which are asked for here
by their own prefix; and the floors below which terms are forgotten. A floor says only that all slots
below it are decided. The latest term that was answered is in the answers of every prepare quorum, or
a node of it has a floor above that term; then a later term was decided meanwhile.

Each page is asked for as a whole one: where a policy lets the caller read a part alone, it is denied,
and nothing is missing without a word.
"""

from collections.abc import AsyncIterator
from typing import ClassVar, NamedTuple

from ...registry.errors import NotFormed, ProtocolError, Refused
from ...registry.keys import LOCKS
from ...registry.locks.terms import is_term
from ...registry.types import Decree, Key
from ...registry.wire.handshake import ClientWelcome
from ...registry.wire.marks import FeedMark, MarkTold
from ...registry.wire.packed import PackedPage
from ..runtime.copying import NotCopied
from .operations import to_list, to_mark
from .sender import RequestSender

EVERYTHING = ""
PAGE = 1_000
"""How many decrees are asked for at a time. A node makes such a page in several turns of
less than 2 ms, and claims go on between them."""

MARKS_SECONDS = 5.0
"""How long the members may take to tell their marks; a snapshot without them seeds more slowly."""


class ExportedPage(NamedTuple):
    """A page of an export.

    Args:
        decrees: in key order.
        body: the same, packed as in a block of a snapshot.
    """

    decrees: tuple[Decree, ...]
    body: bytes


class Exporting(NotCopied, AsyncIterator[ExportedPage]):
    """The pages of everything; a page is asked for when the caller gets to it.

    Args:
        sender: sends requests to the cluster.
        after: the last key of an export that was interrupted; empty to begin.
        timeout: seconds that a page may take; None for the sender's.
    """

    instead: ClassVar[str] = (
        "it is a question to a cluster that is under way. Let the other process ask its own"
    )

    def __init__(
        self, sender: RequestSender, after: str = "", timeout: float | None = None
    ) -> None:
        self._sender = sender
        self._timeout = timeout
        in_locks = not after or is_term(Key(after))
        self._prefix: str | None = LOCKS if in_locks else EVERYTHING
        self._after = after
        self._formation: bytes | None = None

    async def meet(self) -> ClientWelcome:
        """What the cluster says of itself; all pages come from this formation of it.

        Raises:
            NotFormed: if the cluster has not formed.
            Unreachable: if no node answers.
        """
        await self._sender.meet(self._sender.deadline(self._timeout))
        welcome = self._sender.pool.welcome
        if welcome is None or welcome.formation is None:
            raise NotFormed("the cluster has not formed, so there is nothing in it")
        self._formation = welcome.formation
        return welcome

    async def marks(self) -> tuple[FeedMark, ...]:
        """How far the feed of each member reaches now; those that tell nothing are left out.

        Every page that is asked for later has what is below them (`registry.replica.feed.marks`).
        """
        deadline = self._sender.deadline(MARKS_SECONDS)
        told = await self._sender.ask_each(to_mark, MarkTold, deadline)
        marks = [one.mark for one in told if isinstance(one, MarkTold)]
        return tuple([mark for mark in marks if mark is not None])

    async def __anext__(self) -> ExportedPage:
        if self._prefix is None:
            raise StopAsyncIteration
        page = await self._page(self._prefix, self._after)
        if page.next_after is not None:
            self._after = page.next_after
        else:
            self._prefix = EVERYTHING if self._prefix == LOCKS else None
            self._after = ""
        return ExportedPage(page.decrees, page.body)

    async def _page(self, prefix: str, after: str) -> PackedPage:
        deadline = self._sender.deadline(self._timeout)
        reply = await self._sender.ask(to_list(prefix, after, PAGE, whole=True), deadline)
        if self._formation not in (None, reply.welcome.formation):
            raise Refused("the cluster was formed again meanwhile: begin again")
        if not isinstance(reply.answer, PackedPage):
            raise ProtocolError(f"no page: {type(reply.answer).__name__}")
        return reply.answer
