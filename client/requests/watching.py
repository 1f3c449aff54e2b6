"""Watching a prefix: the decrees that a node learns, in the order in which it learns them.

A position belongs to the feed of one node. To go on at another node, the client first asks for that
node's position, then lists everything under the prefix, then watches from that position: nothing is
missed. Decrees that were already yielded are skipped as far as they are remembered. So delivery is at
least once: after a change of node a decree may come twice, or one from before the watch began. If the
cluster was formed again, a key may be decreed again: decrees are compared, not keys.
"""

import logging
import re
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from math import inf
from typing import ClassVar

from ...registry.errors import BadRequest, ProtocolError
from ...registry.types import MAX_COUNTER, Ballot, Decree, Key, NodeId
from ...registry.wire.requests import Position, WatchPage
from ..runtime.copying import NotCopied
from . import arguments
from .arguments import Seconds
from .operations import to_watch
from .results import Watched
from .sender import RequestSender

LOG = logging.getLogger(__name__)
PAGE_SIZE = 256
REMEMBERED = 65_536
# names of nodes are checked where a cluster is configured; compiled at its first use
_POSITION = r"(?P<node>[A-Za-z0-9_-]{1,63}):(?P<feed>[0-9a-f]{32}):(?P<index>[0-9]{1,19})"

_Mark = tuple[bytes, int, Ballot]
"""Tells two decrees of one key apart; one key has two decrees only in two formations."""


def position_text(position: Position) -> str:
    """`position` as text, for callers to store."""
    return f"{position.node}:{position.feed.hex()}:{position.index}"


def parse_position(text: str) -> Position:
    """The position in `text`, which `position_text` made.

    Raises:
        BadRequest: if `text` is malformed.
    """
    found = re.fullmatch(_POSITION, arguments.text("since", text))
    if found is None or int(found["index"]) > MAX_COUNTER:
        raise BadRequest(f"since is no position of a watch: {text[:100]!a}")
    return Position(NodeId(found["node"]), bytes.fromhex(found["feed"]), int(found["index"]))


class Watching(NotCopied, AsyncIterator[Watched]):
    """A watch, which never ends by itself. Holds nothing open between two steps.

    Args:
        sender: sends requests to the cluster.
        prefix: a checked prefix.
        since: where to go on; None to begin with what is learned after the first step.
    """

    instead: ClassVar[str] = (
        "it is a question to a cluster that is under way. Give the other process the position of "
        "what was seen last, and go on there with watch(since=position)"
    )

    def __init__(self, sender: RequestSender, prefix: str, since: Position | None) -> None:
        self._sender = sender
        self._prefix = prefix
        self._position = since
        # while the prefix is listed: the last key listed, and where to go on afterwards
        self._after: str | None = None
        self._goal: Position | None = None
        self._ready: deque[Watched] = deque()
        self._seen: OrderedDict[Key, _Mark] = OrderedDict()

    async def begin(self, timeout: Seconds | None = None) -> None:
        """Take the position now: all that is decreed after this returns will be seen.

        Args:
            timeout: seconds that reaching a node for the first time may take; None for no limit.

        Raises:
            Closed: the client is closed.
            Unreachable: no node was ever reached, and none is in time.
        """
        if timeout is not None:
            await self._sender.meet(self._sender.deadline(timeout))
        if self._position is None:
            await self._poll()

    async def __anext__(self) -> Watched:
        while not self._ready:
            await (self._poll() if self._after is None else self._list_on(self._after))
        return self._ready.popleft()

    async def _poll(self) -> None:
        old = self._position
        place = self._sender.pool.place_of_watch(old.node) if old else None
        operation = to_watch(self._prefix, old, PAGE_SIZE, place)
        page = await self._sender.news(operation)
        if old is None or not _changed(old, page):
            self._position = page.position
            self._offer(page.decrees, old or page.position, page.position)
        else:
            LOG.info("the watch of %r goes on at %s", self._prefix, page.position.node)
            self._after, self._goal = "", page.position
            self._offer(page.decrees, old, old)

    async def _list_on(self, after: str) -> None:
        if self._position is None or self._goal is None:
            raise ProtocolError("a list without a position")
        page = await self._sender.page(self._prefix, after, PAGE_SIZE, inf)
        # a watch resumed from the middle of the list must list again, so the old position stays
        self._offer(page.decrees, self._position, self._position)
        self._after = page.next_after
        if page.next_after is None:
            self._position, self._goal = self._goal, None

    def _offer(self, decrees: Sequence[Decree], before: Position, behind: Position) -> None:
        """Queue the `decrees` that were not yielded yet; `behind` is the position of the last one."""
        last = len(decrees) - 1
        for place, decree in enumerate(decrees):
            mark = (decree.claim_id, decree.time_ms, decree.ballot)
            if self._seen.get(decree.key) != mark:
                position = behind if place == last else before
                self._ready.append(Watched(decree, position_text(position)))
                self._remember(decree.key, mark)

    def _remember(self, key: Key, mark: _Mark) -> None:
        self._seen[key] = mark
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)


def _changed(old: Position, page: WatchPage) -> bool:
    new = page.position
    return page.lost or (new.node, new.feed) != (old.node, old.feed)
