"""Observing a lock: its holders, one after another, from a watch of its terms."""

from collections.abc import AsyncIterator
from math import inf
from typing import ClassVar

from ...registry.locks.terms import lock_path
from ..requests.sender import RequestSender
from ..requests.watching import Watching
from ..runtime.copying import NotCopied
from .holder import Holder, holder_of
from .operations import is_term_of


class Observing(NotCopied, AsyncIterator[Holder]):
    """The present holder, and every new one. Within one formation, terms only increase.

    Args:
        sender: sends requests to the cluster.
        lock: a checked name.
    """

    instead: ClassVar[str] = (
        "it is a question to a cluster that is under way. Let the other process ask its own"
    )

    def __init__(self, sender: RequestSender, lock: str) -> None:
        self._sender = sender
        self._path = lock_path(lock)
        self._is_ours = is_term_of(lock)
        self._watching = Watching(sender, self._path, None)
        self._term = 0
        self._formation: bytes | None = None
        self._begun = False

    async def __anext__(self) -> Holder:
        if not self._begun:
            await self._watching.begin()
            self._begun = True
            latest = await self._sender.latest(self._path, inf)
            if latest is not None and self._is_newer(holder_of(latest)):
                return holder_of(latest)
        while True:
            decree = (await anext(self._watching)).decree
            if self._is_ours(decree.key) and self._is_newer(holder_of(decree)):
                return holder_of(decree)

    def _is_newer(self, holder: Holder) -> bool:
        formation = self._sender.cache.formation
        if formation != self._formation:  # in a new formation, terms begin at 1 again
            self._term, self._formation = 0, formation
        newer = holder.term > self._term
        self._term = max(self._term, holder.term)
        return newer
