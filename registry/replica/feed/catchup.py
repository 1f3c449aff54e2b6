"""Catching up: each node reads every peer's feed from where it left off (design 7).

A page of a feed names keys and digests; what is not known here is fetched, and the cursor moves only
when everything in the page is learned, in the same batch. So a node that was down, or that missed a
commit, has every decree soon after; and two nodes that ever disagree find out. Nodes in step read and
serve pages from memory, see `learner`.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from ...disk import CursorRecord, ForgottenInstance, Unserved
from ...types import Decree, Key, NodeId
from ...wire.frames import portions
from ...wire.peers import (
    MAX_FEED_PAGE,
    MAX_FETCH,
    MAX_FETCHED,
    FeedPage,
    Fetch,
    Fetched,
    Ping,
    Pull,
)
from ..step.effects import ReadFeed, Send
from ..step.events import FeedDone, FetchOn, PullFeeds
from ..step.node import Node, servable
from ..step.step_builder import Pending, StepBuilder
from ..step.tokens import ReadDone
from .learner import Recent, decree_digest
from .truncation import tell_forgotten

PAGE_ENTRIES = 1_024
"""How many entries are read from the disk at a time; from memory a page may have more."""
SERVE_KEYS = MAX_FETCHED
SERVE_BYTES = 64 * 1024
"""A message of decrees is full with so many bytes of values; a longer value travels alone."""
PATIENCE_MS = 3_000


class Pulling(Struct, eq=False):
    """One page of a peer's feed on its way.

    Attributes:
        start: where the page begins.
        asked_ms: when; a page that takes too long is asked for again.
        next_start: where the cursor goes when all is learned; None until the page has come.
        end: where the peer's feed ended when it came.
        missing: keys in it that are not learned here yet.
    """

    start: int
    asked_ms: float
    next_start: int | None = None
    end: int = 0
    missing: set[Key] = set()


class CatchUp:
    """How far each peer's feed has been read, and the pages that peers read from this node's.

    Args:
        node: who we are.
        cursors: how far each peer's feed was read; kept up to date here.
        disk_of: the disk id that a peer is known by.
        recent: what was learned lately.
    """

    def __init__(
        self,
        node: Node,
        cursors: dict[NodeId, CursorRecord],
        disk_of: Callable[[NodeId], bytes | None],
        recent: Recent,
    ) -> None:
        self._node = node
        self._cursors = cursors
        self._disk_of = disk_of
        self._recent = recent
        self._pulling: dict[NodeId, Pulling] = {}
        self._fetching: dict[Key, NodeId] = {}
        self._serving: dict[int, tuple[NodeId, Pull]] = {}
        self._ends: dict[NodeId, int] = {}
        self.awaited = (self._fetching, self._pulling)

    def cursor(self, peer: NodeId) -> int:
        """Up to where a peer's feed has been read."""
        record = self._cursors.get(peer)
        return record.index if record is not None else 0

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"fetching": self._fetching, "pulling": self._pulling, "served pages": self._serving}

    # -- reading a peer's feed

    def on_ping(self, step: StepBuilder, sender: NodeId, ping: Ping) -> None:
        """A peer says how long its feed is."""
        self._ends[sender] = ping.feed_end

    def on_timer(self, step: StepBuilder) -> None:
        """Look whether a peer has something new, and whether a page got lost."""
        for peer in self._node.others:
            self._pull_if_due(step, peer)
        step.settle()
        period_ms = self._node.config.timing.pull_ms
        step.timer(PullFeeds(), period_ms, period_ms / 4)

    def needs(self, page: FeedPage) -> Iterable[Key]:
        """The instances that a page speaks of and that are not known to agree."""
        return [key for key, _ in self._recent.news(page.keys, page.digests)]

    def on_page(self, step: StepBuilder, sender: NodeId, page: FeedPage) -> None:
        """A page has come: fetch what is missing here."""
        pulling = self._pulling.get(sender)
        if pulling is None or pulling.next_start is not None or page.start != pulling.start:
            return  # late or repeated
        if (
            page.disk_id != self._disk_of(sender)
            or page.next_start < page.start
            or self._node.failed
        ):
            return
        pulling.next_start, pulling.end = page.next_start, page.end
        news = self._recent.news(page.keys, page.digests)
        wanted = [key for key, digest in news if _is_wanted(step, key, digest)]
        pulling.missing = set(wanted)
        self._fetch(step, sender, wanted)
        self._advance_if_complete(step, sender, pulling)

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """So many keys less to wait for; pages that waited for them alone are complete."""
        if self._fetching or any(pulling.missing for pulling in self._pulling.values()):
            for decree in decrees:
                self._arrived(step, decree.key)

    def on_disputed(self, step: StepBuilder, key: Key) -> None:
        """The key will never be learned the same way; the evidence is kept, so go on."""
        self._arrived(step, key)

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """What is forgotten will never be learned, so nothing waits for it."""
        missing = {key for pulling in self._pulling.values() for key in pulling.missing}
        for key in [key for key in missing if gone.covers(key)]:
            self._arrived(step, key)

    # -- serving this node's feed

    def serve(self, step: StepBuilder, sender: NodeId, pull: Pull) -> None:
        """Give the page that a peer asks for: from memory as far as it is durable, or read it."""
        if pull.disk_id != self._node.identity.disk_id or pull.start > self._node.feed_end:
            return
        settled = self._node.settled_feed_end
        end = min(pull.start + pull.limit, settled)
        columns = self._recent.page(pull.start, end)
        if columns is not None:
            page = FeedPage(pull.disk_id, pull.start, end, settled, *columns)
            step.at_once(Send(sender, page))
        else:
            token = self._node.tokens.read(self)
            self._serving[token] = (sender, pull)
            step.read(ReadFeed(token, pull.start, min(pull.limit, PAGE_ENTRIES)))

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """The page has been read; it may be served once all of it is durable."""
        assert isinstance(done, FeedDone), "the feed was asked for"
        sender, pull = self._serving.pop(done.token)
        done = servable(self._node, done)
        settled = self._node.settled_feed_end
        end = max(done.next_index, settled)
        keys = tuple([entry.key for entry in done.entries])
        digests = b"".join([entry.digest for entry in done.entries])
        page = FeedPage(pull.disk_id, pull.start, done.next_index, end, keys, digests)
        send = step.after if done.next_index > settled else step.at_once
        send(Send(sender, page))

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """The feed could not be read; the peer will ask again."""
        del self._serving[token]

    def on_fetch(self, step: StepBuilder, sender: NodeId, message: Fetch) -> None:
        """A peer asks for decrees that it lacks."""
        self.serve_fetch(step, sender, message.keys)

    def serve_fetch(self, step: StepBuilder, sender: NodeId, keys: tuple[Key, ...]) -> None:
        """Send the decrees asked for, a few in each step, so that no step grows without bound."""
        learned: list[Decree] = []
        for key in keys[:SERVE_KEYS]:
            instance = step.instances[key]
            if isinstance(instance, ForgottenInstance):
                tell_forgotten(step, sender, key, instance)
            elif not isinstance(instance, Unserved) and instance.learned is not None:
                learned.append(instance.learned)
        for decrees in portions(learned, _value_bytes, SERVE_BYTES, MAX_FETCHED):
            told = [decree.key for decree in decrees]
            step.send_when_all_durable(told, Send(sender, Fetched(tuple(decrees))))
        if keys[SERVE_KEYS:]:
            step.again(FetchOn(sender, keys[SERVE_KEYS:]))

    def _pull_if_due(self, step: StepBuilder, peer: NodeId) -> None:
        pulling = self._pulling.get(peer)
        if pulling is not None and step.now_ms - pulling.asked_ms > PATIENCE_MS:
            self._forget(peer)
            pulling = None
        if pulling is None and self._ends.get(peer, 0) > self.cursor(peer):
            self._pull(step, peer)

    def _pull(self, step: StepBuilder, peer: NodeId) -> None:
        disk_id = self._disk_of(peer)
        if disk_id is not None and not self._node.failed:
            start = self.cursor(peer)
            self._pulling[peer] = Pulling(start, step.now_ms)
            step.at_once(Send(peer, Pull(disk_id, start, MAX_FEED_PAGE)))

    def _fetch(self, step: StepBuilder, sender: NodeId, wanted: list[Key]) -> None:
        mine = [key for key in wanted if self._fetching.setdefault(key, sender) == sender]
        for start in range(0, len(mine), MAX_FETCH):
            step.at_once(Send(sender, Fetch(tuple(mine[start : start + MAX_FETCH]))))

    def _arrived(self, step: StepBuilder, key: Key) -> None:
        self._fetching.pop(key, None)
        waiting = [item for item in self._pulling.items() if key in item[1].missing]
        for peer, pulling in waiting:
            pulling.missing.discard(key)
            self._advance_if_complete(step, peer, pulling)

    def _advance_if_complete(self, step: StepBuilder, peer: NodeId, pulling: Pulling) -> None:
        """Move the cursor, in this step's batch, and read on if there is more."""
        disk_id = self._disk_of(peer)
        if pulling.missing or pulling.next_start is None or disk_id is None:
            return
        del self._pulling[peer]
        if pulling.next_start > pulling.start:
            self._cursors[peer] = CursorRecord(peer, disk_id, pulling.next_start)
            step.note(self._cursors[peer])
            if pulling.end > pulling.next_start:
                self._pull(step, peer)

    def _forget(self, peer: NodeId) -> None:
        del self._pulling[peer]
        for key in [key for key, source in self._fetching.items() if source == peer]:
            del self._fetching[key]


def _value_bytes(decree: Decree) -> int:
    return len(decree.value)


def _is_wanted(step: StepBuilder, key: Key, digest: bytes) -> bool:
    """Whether an entry of a page tells of a decree that is not the one learned here."""
    if key not in step.instances:
        return False  # it agreed when the step began, or it would have been loaded
    instance = step.instances[key]
    if isinstance(instance, Unserved) or instance.disputed is not None:
        return False
    return instance.learned is None or decree_digest(instance.learned) != digest
