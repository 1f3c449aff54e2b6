"""Reading all decrees under a prefix, page by page; a page is read when the caller gets to it."""

from collections import deque
from collections.abc import AsyncIterator
from typing import ClassVar

from ...registry.types import Decree
from ..runtime.copying import NotCopied
from .sender import RequestSender

PAGE_SIZE = 256


class Listing(NotCopied, AsyncIterator[Decree]):
    """The decrees under a prefix, in key order. Holds nothing open between two pages.

    Args:
        sender: sends requests to the cluster.
        prefix: a checked prefix.
        timeout: seconds that a page may take.
        after: only the keys after this text.
    """

    instead: ClassVar[str] = (
        "it is a question to a cluster that is under way. Let the other process ask its own"
    )

    def __init__(
        self, sender: RequestSender, prefix: str, timeout: float | None, after: str = ""
    ) -> None:
        self._sender = sender
        self._prefix = prefix
        self._timeout = timeout
        self._after: str | None = after
        self._ready: deque[Decree] = deque()

    async def __anext__(self) -> Decree:
        while not self._ready:
            if self._after is None:
                raise StopAsyncIteration
            deadline = self._sender.deadline(self._timeout)
            page = await self._sender.page(self._prefix, self._after, PAGE_SIZE, deadline)
            self._after = page.next_after
            self._ready.extend(page.decrees)
        return self._ready.popleft()
