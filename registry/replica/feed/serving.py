"""Serving this node's feed: pages of keys and digests, and the decrees that readers lack (design 7).

Nodes in step are served from memory (`learner.Recent`), others from the disk. What this node cannot
tell it names, so that its reader does not wait for it.

A reader asks for keys that a page has just named. If such a key has no decree here, its record is gone:
entry and decree were written in one batch. The node withholds the key then (M18), since it would answer
as if it had never heard of it.

Invariant kept here: no entry of the feed leaves before it is durable, and no decree before it is.
"""

from collections.abc import Callable

from ...locks.terms import is_term
from ...paxos.instance import Instance
from ...types import Decree, Key, NodeId
from ...unserved import ForgottenInstance, WithheldInstance, is_unreadable
from ...wire.frames import portions
from ...wire.peers import FLOOR_DIGEST, MAX_FETCHED, FeedPage, FeedUnread, Fetch, Fetched, Pull
from ..step.disk_reads import FeedDone
from ..step.effects import ReadFeed, Send
from ..step.events import FetchOn
from ..step.node import Node, servable
from ..step.step_builder import Pending, StepBuilder
from ..step.tokens import ReadDone
from .learner import Recent
from .truncation import tell_forgotten

PAGE_ENTRIES = 1_024
"""The largest page that is read from the disk; a page from memory may have more entries."""
SERVE_KEYS = MAX_FETCHED
MAX_REASON = 500
"""The most characters of a reason why a page cannot be read."""
SERVE_BYTES = 64 * 1024
"""The bytes of values that fill a message of decrees; a longer value travels alone."""
MAX_READERS = 64
"""For so many readers the last two pages from the disk are remembered."""

OnLost = Callable[[StepBuilder, Key, bytes], None]
"""Called with a key that the feed names, the digest of its decree, and no record of it on the disk."""


class FeedService:
    """The pages that peers read from this node's feed, and the decrees that they fetch.

    Args:
        node: who we are.
        recent: the latest entries of the feed.
    """

    def __init__(self, node: Node, recent: Recent) -> None:
        self._node = node
        self._recent = recent
        self._serving: dict[int, tuple[NodeId, Pull]] = {}
        self._told: dict[NodeId, tuple[dict[Key, bytes], dict[Key, bytes]]] = {}
        self._on_lost: OnLost | None = None

    def tell(self, on_lost: OnLost) -> None:
        """Register what withholds a key whose record is gone, after it exists."""
        self._on_lost = on_lost

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"served pages": self._serving}

    def serve(self, step: StepBuilder, sender: NodeId, pull: Pull) -> None:
        """Send the page that a peer asks for: from memory as far as durable, or from the disk."""
        if pull.disk_id != self._node.identity.disk_id or pull.start > self._node.feed_end:
            return
        settled = self._node.settled_feed_end
        end = min(pull.start + pull.limit, settled)
        columns = self._recent.page(pull.start, end)
        if columns is not None:
            self._told.pop(sender, None)
            page = FeedPage(pull.disk_id, pull.start, end, settled, *columns)
            step.at_once(Send(sender, page))
            self._send_decrees(step, sender, pull, page)
        else:
            token = self._node.tokens.read(self)
            self._serving[token] = (sender, pull)
            limit = min(pull.limit, PAGE_ENTRIES)
            step.read(ReadFeed(token, pull.start, limit, known_below=pull.known_below))

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """Send a page read from the disk, after all of it is durable."""
        assert isinstance(done, FeedDone), "the feed was asked for"
        sender, pull = self._serving.pop(done.token)
        done = servable(self._node, done)
        settled = self._node.settled_feed_end
        end = max(done.next_index, settled)
        self._remember(sender, {entry.key: entry.digest for entry in done.entries})
        keys = tuple([entry.key for entry in done.entries])
        digests = b"".join([entry.digest for entry in done.entries])
        page = FeedPage(pull.disk_id, pull.start, done.next_index, end, keys, digests)
        send = step.after if done.next_index > settled else step.at_once
        send(Send(sender, page))
        self._send_decrees(step, sender, pull, page)

    def _send_decrees(self, step: StepBuilder, sender: NodeId, pull: Pull, page: FeedPage) -> None:
        """Send what a page tells behind it, if the reader wants that: it lacks most of it.

        Terms of locks it fetches: they may be forgotten here, and it follows floors only as far as it
        has to (M16), so it is told of those alone that it lacks.
        """
        keys = tuple([key for key in page.keys if not is_term(key)]) if pull.decrees else ()
        if keys:
            step.again(FetchOn(sender, keys))

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """Tell the peer that a page cannot be read; it asks again, and tells its operator."""
        sender, pull = self._serving.pop(token)
        reason = message[:MAX_REASON]
        step.at_once(Send(sender, FeedUnread(pull.disk_id, pull.start, reason)))

    def on_fetch(self, step: StepBuilder, sender: NodeId, message: Fetch) -> None:
        """Send a peer decrees that it lacks."""
        self.serve_fetch(step, sender, message.keys)

    def serve_fetch(self, step: StepBuilder, sender: NodeId, keys: tuple[Key, ...]) -> None:
        """Send decrees to a peer, a few in each step, so that a step stays short.

        A peer that asked for a forgotten term is told the floor, and raises its own to that.
        """
        learned: list[Decree] = []
        unreadable: list[Key] = []
        for key in keys[:SERVE_KEYS]:
            instance = step.instances[key]
            if isinstance(instance, ForgottenInstance):
                tell_forgotten(step, sender, key, instance)
            elif is_unreadable(instance) or isinstance(instance, WithheldInstance):
                unreadable.append(key)
            elif isinstance(instance, Instance) and instance.learned is not None:
                learned.append(instance.learned)
            elif self._find_lost(step, sender, key):
                unreadable.append(key)
        if unreadable:
            step.at_once(Send(sender, Fetched((), tuple(unreadable))))
        for decrees in portions(learned, _value_bytes, SERVE_BYTES, MAX_FETCHED):
            told = [decree.key for decree in decrees]
            step.send_when_all_durable(told, Send(sender, Fetched(tuple(decrees))))
        if keys[SERVE_KEYS:]:
            step.again(FetchOn(sender, keys[SERVE_KEYS:]))

    def _remember(self, reader: NodeId, told: dict[Key, bytes]) -> None:
        """Note what a page from the disk has told, until the next but one for this reader.

        A reader that wants the decrees too asks for one page ahead.
        """
        latest, _ = self._told.pop(reader, ({}, {}))
        self._told[reader] = (told, latest)
        if len(self._told) > MAX_READERS:
            del self._told[next(iter(self._told))]

    def _find_lost(self, step: StepBuilder, reader: NodeId, key: Key) -> bool:
        """Withhold a key that has no decree here, if this node's own feed names it."""
        told = filter(None, (page.get(key) for page in self._told.get(reader, ())))
        digest = next(told, None) or self._recent.digest(key)
        if digest in (None, FLOOR_DIGEST) or self._node.failed or self._on_lost is None:
            return False
        assert digest is not None, "there is one"
        self._on_lost(step, key, digest)
        return True


def _value_bytes(decree: Decree) -> int:
    return len(decree.value)
