"""Watching a prefix: what this node learns, in the order of learning (design 7).

A watch asks for what comes after a position in this node's feed. Entries that exist are read from
the disk. Without any, the watch is parked, and the next decree under its prefix answers it. So no
decrees are queued for a slow watcher, and a watcher that goes away costs nothing.

A caller that may not read all of the prefix is parked under the prefixes below it that it may read, so
what is hidden wakes nothing and fills no page (S63). Each decree is judged when it is told, by the
policy of that step (S18). Positions count all entries.

A decree is sent before this node's record of it is durable, because it is chosen. What a crash takes is
sent again (see `watch_positions`).
"""

from collections.abc import Iterable

from msgspec import Struct

from ...disk import FeedEntry
from ...keys import matches, prefixes
from ...paxos.instance import Instance
from ...types import Decree, Key
from ...unserved import ForgottenInstance, Unserved
from ...wire.peers import FLOOR_DIGEST
from ...wire.requests import Position, WatchPage, WatchRequest
from ..step.disk_reads import FeedDone
from ..step.effects import ReadFeed
from ..step.node import Node, servable
from ..step.pending import PendingRequest, PendingRequests
from ..step.read_rights import ReadRights, Within, is_within
from ..step.step_builder import Pending, StepBuilder
from ..step.tokens import ReadDone
from .serving import OnLost
from .watch_positions import feed_of, index_of, number_of

READ_ENTRIES = 128
PAGE_BYTES = 1024 * 1024
MAX_PARKED = 64
"""Under so many prefixes a watch is parked at most; beyond that, under the one that it asks for."""


class Watch(Struct, eq=False):
    """A request to watch; all entries below `index` are checked for it, by the policy of that time.

    Attributes:
        within: what of the prefix its caller may read.
        parked: the prefixes that it is parked under.
    """

    pending: PendingRequest
    request: WatchRequest
    index: int
    within: Within = None
    parked: tuple[str, ...] = ()

    def shows(self, key: Key) -> bool:
        """Whether it is about a key, and its caller may read it."""
        return matches(self.request.prefix, key) and is_within(self.within, key)

    @property
    def places(self) -> tuple[str, ...]:
        """The prefixes to park it under."""
        if self.within is None or len(self.within) > MAX_PARKED:
            return (self.request.prefix,)
        return self.within


class Watches:
    """All watches of a node.

    Args:
        node: who we are, and where its feed ends.
        requests: where answers go.
        read_rights: what each caller may read.

    Attributes:
        parked: the watches that wait for the next decree, by prefix.
    """

    def __init__(self, node: Node, requests: PendingRequests, read_rights: ReadRights) -> None:
        self._node = node
        self._requests = requests
        self._read_rights = read_rights
        self._reading: dict[int, Watch] = {}
        self._token_of: dict[PendingRequest, int] = {}
        self._on_lost: OnLost | None = None
        self.parked: dict[str, dict[Watch, None]] = {}

    def tell(self, on_lost: OnLost) -> None:
        """Register what withholds a key whose record is gone, after it exists."""
        self._on_lost = on_lost

    def needs(self, done: FeedDone) -> Iterable[Key]:
        """The keys that a watch has read from the feed, and that its caller may read."""
        watch = self._reading.get(done.token)
        return _keys(watch, done.entries) if watch is not None else ()

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        parked = [watch for watches in self.parked.values() for watch in watches]
        return {"watch reads": self._reading, "parked watches": parked}

    def begin(self, step: StepBuilder, pending: PendingRequest, request: WatchRequest) -> None:
        """Answer with the end of the feed, or continue from the watcher's position."""
        since = request.since
        if since is None:
            self._answer(step, pending, request, (), self._node.feed_end)
            return
        index = index_of(self._node, since.index) if self._is_ours(since) else None
        if index is None:
            self._answer(step, pending, request, (), self._node.feed_end, lost=True)
        else:
            within = self._read_rights.within(step, pending, request.prefix)
            self._read_on(step, Watch(pending, request, index, within))

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """Answer a watch with the entries read for it, or read on if none match."""
        assert isinstance(done, FeedDone), "the feed was asked for"
        watch = self._taken(done.token)
        done = servable(self._node, done)
        if self._lacks(step, watch, done):
            self._read_on(step, watch)
            return
        watch.within = self._read_rights.within(step, watch.pending, watch.request.prefix)
        found = _found(self._node, step, watch, done.entries)
        if self._on_lost is not None and not self._node.failed:
            for entry in _lost(step, watch, done.entries):
                self._on_lost(step, entry.key, entry.digest)
        watch.index = max(watch.index, done.next_index)
        if found:
            self._answer_page(step, watch, found)
        elif not watch.pending.done:
            self._read_on(step, watch)

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """Tell the watcher that its position is lost, since the feed could not be read."""
        watch = self._taken(token)
        self._answer(step, watch.pending, watch.request, (), self._node.feed_end, lost=True)

    def end_turn(self, step: StepBuilder) -> None:
        """Answer the parked watches with this step's decrees under their prefixes."""
        hits: dict[Watch, list[tuple[int, Decree]]] = {}
        for index, decree in step.learned:
            for prefix in prefixes(decree.key):
                for watch in self.parked.get(prefix, ()):
                    if self._may_tell(step, watch, decree.key):
                        hits.setdefault(watch, []).append((index, decree))
        for watch, found in hits.items():
            self._unpark(watch)
            watch.index = self._node.feed_end
            self._answer_page(step, watch, found)

    def _lacks(self, step: StepBuilder, watch: Watch, done: FeedDone) -> bool:
        """Whether a policy of this step shows the watch more than what was loaded for it."""
        if self._read_rights.rights() is None or watch.pending.done:
            return False
        return not all(key in step.instances for key in _keys(watch, done.entries))

    def _may_tell(self, step: StepBuilder, watch: Watch, key: Key) -> bool:
        within = self._read_rights.within(step, watch.pending, watch.request.prefix)
        return within is None or is_within(within, key)

    def on_policy(self, step: StepBuilder) -> None:
        """S18: what every watch shows from now on."""
        for watch in self._reading.values():
            watch.within = self._read_rights.within(step, watch.pending, watch.request.prefix)
        parked = dict.fromkeys(watch for watches in self.parked.values() for watch in watches)
        for watch in parked:
            self._unpark(watch)
            watch.within = self._read_rights.within(step, watch.pending, watch.request.prefix)
            self._park(watch)

    def expire(self, step: StepBuilder, pending: PendingRequest, request: WatchRequest) -> None:
        """Answer with an empty page and the position to continue from, since the time is over."""
        watch = self._reading.get(self._token_of.get(pending, 0))
        index = step.feed_start if watch is None else watch.index
        self._answer(step, pending, request, (), index)

    def leave(self, step: StepBuilder, pending: PendingRequest) -> None:
        """A request is over: what is read for it is called off."""
        token = self._token_of.get(pending)
        if token is not None:
            self._taken(token)
            self._node.tokens.call_off(step, token)

    def prune(self) -> None:
        """Drop the parked watches whose requests are done."""
        for watches in list(self.parked.values()):
            for watch in [w for w in watches if w.pending.done]:
                self._unpark(watch)

    def _read_on(self, step: StepBuilder, watch: Watch) -> None:
        if watch.index >= self._node.feed_end:
            self._park(watch)
            self._node.wants_commits = True
            return
        token = self._token_of[watch.pending] = self._node.tokens.read(self)
        self._reading[token] = watch
        step.read(ReadFeed(token, watch.index, READ_ENTRIES, watch.pending.origin))

    def _taken(self, token: int) -> Watch:
        """Remove and return the watch that a finished read was for."""
        watch = self._reading.pop(token)
        del self._token_of[watch.pending]
        return watch

    def _park(self, watch: Watch) -> None:
        watch.parked = watch.places
        for prefix in watch.parked:
            self.parked.setdefault(prefix, {})[watch] = None

    def _unpark(self, watch: Watch) -> None:
        for prefix in watch.parked:
            watches = self.parked[prefix]
            del watches[watch]
            if not watches:
                del self.parked[prefix]
        watch.parked = ()

    def _answer_page(
        self, step: StepBuilder, watch: Watch, found: list[tuple[int, Decree]]
    ) -> None:
        page, index = _cut(found, watch.request.limit, watch.index)
        self._answer(step, watch.pending, watch.request, page, index)

    def _answer(
        self,
        step: StepBuilder,
        pending: PendingRequest,
        request: WatchRequest,
        decrees: tuple[Decree, ...],
        index: int,
        lost: bool = False,
    ) -> None:
        if self._node.failed:  # entries after the durable end will never be durable
            index = min(index, self._node.settled_feed_end)
        number = number_of(self._node, index)
        told = index if number is None else number
        position = Position(self._node.name, feed_of(self._node.identity), told)
        page = WatchPage(request.id, decrees, position, lost)
        self._requests.answer(step, pending, page, durable=number is None)

    def _is_ours(self, since: Position) -> bool:
        return (since.node, since.feed) == (self._node.name, feed_of(self._node.identity))


def _keys(watch: Watch, entries: Iterable[FeedEntry]) -> list[Key]:
    return [entry.key for entry in entries if watch.shows(entry.key)]


def _found(
    node: Node, step: StepBuilder, watch: Watch, entries: Iterable[FeedEntry]
) -> list[tuple[int, Decree]]:
    found: list[tuple[int, Decree]] = []
    for entry in entries:
        if not watch.shows(entry.key):
            continue
        instance = step.instances[entry.key]
        if isinstance(instance, ForgottenInstance):
            continue
        if isinstance(instance, Unserved) or instance.disputed is not None:
            text = f"key {entry.key!r} was left out of a watch: its record is not sound"
            node.met_damage.note(step, text)
        elif instance.learned is not None:
            found.append((entry.index, instance.learned))
    return found


def _lost(step: StepBuilder, watch: Watch, entries: Iterable[FeedEntry]) -> Iterable[FeedEntry]:
    """The entries whose decrees are not here, though both were written in one batch."""
    for entry in entries:
        if entry.digest != FLOOR_DIGEST and watch.shows(entry.key):
            instance = step.instances[entry.key]
            if isinstance(instance, Instance) and instance.learned is None:
                yield entry


def _cut(found: list[tuple[int, Decree]], limit: int, end: int) -> tuple[tuple[Decree, ...], int]:
    """The decrees that fit a page, at least one, and the index after the last of them."""
    room = PAGE_BYTES
    for count, (index, decree) in enumerate(found):
        if count == limit or (count and len(decree.value) > room):
            return tuple(d for _, d in found[:count]), index
        room -= len(decree.value) + 512
    return tuple(decree for _, decree in found), end
