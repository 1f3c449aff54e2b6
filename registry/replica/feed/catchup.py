"""Catching up: each node reads every peer's feed from where it left off (design 7).

A page of a feed has keys and digests. The node fetches the decrees that it misses, and moves the
cursor in the batch that makes the page complete. So a node that was down, or that missed a commit,
soon has every decree, and two nodes that ever disagree notice it. Nodes in step read pages from memory
(`learner.Recent`). An entry may tell a floor instead: what the peer has forgotten is not fetched, and
the page is complete once the floor is followed (M16, `truncation`). `serving` is the other side.

The feeds of peers have the same keys in about the same order. A node that is far behind reads one of
them first, and the others a few thousand entries later. So it finds their entries learned, and still in
memory, and need not look for each of them on its disk before it is fetched. Which feed is read first,
and how far, has no bearing on safety: each cursor moves by its own pages alone.

A node that has become ready for an epoch has a long feed, of which this node may have read nothing. To
count its class promise, only what it learned since then is read, from its *base* on, and before the
rest (M17).

Invariant kept here: all entries below a cursor are learned, forgotten or withheld (M18) here. A cursor
never skips, so what is read from a base on moves none. What a page leaves out is known here (`marks`).
"""

from collections.abc import Callable, Collection, Iterable, Sequence

from ...disk import CursorRecord
from ...locks.terms import is_term
from ...types import Decree, Key, NodeId
from ...unserved import ForgottenInstance, WithheldInstance
from ...wire.peers import MAX_FEED_PAGE, MAX_FETCH, FeedPage, FeedUnread, Fetch, Pull
from ..step.effects import Send
from ..step.events import FollowFloor, FromPeer, PullFeeds
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from .feed_ends import FeedEnds
from .feed_faults import FeedFaults
from .lacking import Lacking
from .learner import Recent
from .marks import Marks
from .pages import (
    PULL_TIMEOUT_MS,
    BaseRead,
    NextPage,
    OnRead,
    Pulling,
    Withhold,
    is_below,
    is_kept,
    is_learned,
    is_unreadable,
    is_wanted,
)
from .passed_over import PassedOver
from .truncation import floor_above, tells_floor

VOTER_PAGE = 256
"""The page of a long feed that a voter asks for: its keys may be looked up on the disk, and votes wait
meanwhile. Pages of nodes in step are compared in memory."""


class CatchUp:
    """How far each peer's feed has been read.

    Args:
        node: who we are.
        cursors: how far each peer's feed was read; updated here.
        disk_of: gives the disk id that is remembered of a peer.
        recent: the latest entries of the feed.
        follow: raises this node's floor as far as one that a page tells requires.
        marks: how much of each feed need not be told again.
    """

    def __init__(
        self,
        node: Node,
        cursors: dict[NodeId, CursorRecord],
        disk_of: Callable[[NodeId], bytes | None],
        recent: Recent,
        follow: Callable[[StepBuilder, FollowFloor], None],
        marks: Marks,
    ) -> None:
        self._node = node
        self._cursors = cursors
        self._disk_of = disk_of
        self._recent = recent
        self._follow = follow
        self._marks = marks
        self._pulling: dict[NodeId, Pulling] = {}
        self._fetching: dict[Key, NodeId] = {}
        self._next: dict[NodeId, NextPage] = {}
        self._lacking = Lacking()
        self._late: set[NodeId] = set()
        self._base_reads: dict[NodeId, BaseRead] = {}
        self._on_read: OnRead | None = None
        self._passed_over = PassedOver()
        self._faults = FeedFaults()
        self.ends = FeedEnds(node, self.read_end, self._faults)
        self._withhold: Withhold | None = None
        self.awaits_seed = False
        self.awaited = (self._fetching, self._pulling, self._passed_over.feeds)

    def tell(self, on_read: OnRead, withhold: Withhold) -> None:
        """Register what is told of each complete page, and what withholds keys, after they exist."""
        self._on_read, self._withhold = on_read, withhold

    @property
    def has_read(self) -> bool:
        """Whether a part of any peer's feed has been read."""
        return any(record.index for record in self._cursors.values())

    def cursor(self, peer: NodeId) -> int:
        """Up to where a peer's feed has been read, and all of it is learned or forgotten here."""
        record = self._cursors.get(peer)
        return record.index if record is not None else 0

    def read_end(self, peer: NodeId) -> int:
        """Up to where a peer's feed has been read, except for `passed_over`."""
        return max(self.cursor(peer), self._passed_over.index(peer))

    def passed_over(self) -> frozenset[Key]:
        """The keys of all feeds that could not be learned, since their records cannot be read here."""
        return self._passed_over.keys

    def has_read_since_base(self, peer: NodeId, end: int) -> bool:
        """M17: whether a peer's feed is read up to `end`, from its base on at least.

        Taking over goes by `read_end` alone.
        """
        read = self._base_reads.get(peer)
        return self.read_end(peer) >= end or (read is not None and read.index >= end)

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"fetching": self._fetching, "pulling": self._pulling}

    # -- reading a peer's feed

    @property
    def trouble(self) -> str:
        """Why this node may stay behind, in words; empty if it knows of nothing."""
        return self._faults.trouble(self._node.sources)

    def read_to(self, step: StepBuilder, peer: NodeId, end: int) -> None:
        """Read a peer's feed up to `end` at least; it has told of entries that no ping has named."""
        self.ends.reaches(peer, end)
        self._pull_if_due(step, peer)

    def read_from_base(self, step: StepBuilder, peer: NodeId, base: int, end: int) -> None:
        """M17: read a peer's feed from its base up to `end`, before anything else of it."""
        read = self._base_reads.get(peer)
        if read is None or read.base != base:
            read = self._base_reads[peer] = BaseRead(base, base, end)
        read.end = max(end, read.end)
        self._pull_if_due(step, peer)

    def on_seeded(self, step: StepBuilder) -> None:
        """A seed is learned: read the feeds, which tell most of it once more."""
        self.awaits_seed = False
        for peer in self._node.sources:
            self._pull_if_due(step, peer)

    def on_epoch(self, step: StepBuilder) -> None:
        """Other nodes may be the sources now. What is awaited of one that is none may never come.

        M17: a base is of one epoch, and a node that is not ready for its epoch reads from no base.
        """
        self._base_reads.clear()
        self._forget_others()

    def on_timer(self, step: StepBuilder) -> None:
        """Ask peers for what is new in their feeds, and again for pages that did not arrive."""
        self._forget_others()
        for peer in self._node.sources if not self._node.is_full else ():
            self._pull_if_due(step, peer)
        step.settle()
        period_ms = self._node.config.timing.pull_ms
        step.timer(PullFeeds(), period_ms, period_ms / 4)

    def needs(self, page: FeedPage) -> Iterable[Key]:
        """The keys of a page whose decrees are not known to be the same here."""
        return [key for key, _ in self._recent.differing(page.keys, page.digests)]

    def on_page(self, step: StepBuilder, sender: NodeId, page: FeedPage) -> None:
        """Fetch the decrees of a page that are missing here."""
        if (
            page.disk_id != self._disk_of(sender)
            or page.next_start < page.start
            or self._node.failed
        ):
            return
        pulling = self._pulling.get(sender)
        if pulling is None or pulling.next_start is not None or page.start != pulling.start:
            self._keep_next(sender, page)
            return
        self._faults.forget(sender)
        pulling.next_start, pulling.end = page.next_start, page.end
        pulling.has_gap = len(page.keys) < page.next_start - page.start
        differing = self._recent.differing(page.keys, page.digests)
        floors = [key for key, digest in differing if tells_floor(key, digest)]
        pulling.floors = {last for last in floors if is_kept(step, last)}
        gone = dict(map(floor_above, floors))
        wanted = {
            key: digest
            for key, digest in differing
            if is_wanted(step, key, digest) and not (gone and is_below(gone, key))
        }
        pulling.missing = wanted
        pulling.unreadable = {key for key, _ in differing if is_unreadable(step, key)}
        if not gone:
            same = [pair for pair in differing if pair[0] not in wanted]
            self._recent.confirm({key: d for key, d in same if is_learned(step, key)})
        self._lacking.note(sender, len(wanted), len(page.keys))
        self._ask_ahead(step, sender, pulling)
        self._fetch(step, sender, pulling, list(wanted))
        if not pulling.floors:
            self._advance_if_complete(step, sender, pulling)
        for last in list(pulling.floors):
            self._follow(step, FollowFloor(last, floor_above(last)[1]))

    def on_unread(self, step: StepBuilder, sender: NodeId, message: FeedUnread) -> None:
        """A peer cannot read its feed: others do not wait for it, and it is asked again later."""
        pulling = self._pulling.get(sender)
        if pulling is not None and (self._disk_of(sender), pulling.start) == (
            message.disk_id,
            message.start,
        ):
            self._late.add(sender)
            self._faults.told(step, sender, message.start, message.reason)

    def on_unreadable(self, step: StepBuilder, sender: NodeId, keys: Collection[Key]) -> None:
        """M18: a peer cannot read decrees that its feed tells. Ask others, and do not wait if silent.

        A node that votes has its own vote on such a key to go by, and waits. One that does not vote
        withholds the key and reads on, as it might wait permanently.
        """
        if sender in self._next:
            self._next[sender].is_doubtful = True
        pulling = self._pulling.get(sender)
        if pulling is None or self._node.failed or self._withhold is None:
            return
        if pulling.next_start is None:  # what its page tells is fetched, so that it is named again
            pulling.with_decrees = False
        # once for each page: two nodes that cannot tell a key would be asked in turns without a pause
        named = sorted((set(keys) & pulling.missing.keys()) - pulling.refused)
        pulling.refused.update(named)
        for key in named:
            if self._fetching.get(key) == sender:
                del self._fetching[key]
        others = [node for node in self._node.sources if node != sender]
        if named:
            step.broadcast(others, Fetch(tuple(named)))
        for key in named:
            if not self._node.voting or isinstance(step.instances[key], WithheldInstance):
                self._withhold(step, key, pulling.missing[key])
                self._arrived(step, [key])

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Complete the pages that waited for these keys only."""
        self._lacking.weigh(decrees)
        self._settle(step, [decree.key for decree in decrees])

    def on_disputed(self, step: StepBuilder, key: Key) -> None:
        """Stop waiting for a disputed key: the evidence is kept, and the page completes without it."""
        self._arrived(step, (key,))

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """Stop waiting for forgotten keys: they will not be learned."""
        awaited = set(self._passed_over.keys)
        for pulling in self._pulling.values():
            awaited.update(pulling.missing, pulling.unreadable)
        self._settle(step, [key for key in awaited if gone.covers(key)])

    def _settle(self, step: StepBuilder, keys: Sequence[Key]) -> None:
        """These keys are learned or forgotten here: no cursor waits for them."""
        for pulling in self._pulling.values():
            pulling.unreadable.difference_update(keys)
        self._arrived(step, keys)
        if self._passed_over.feeds:
            for peer, index in self._passed_over.settled(keys):
                self._move(step, peer, index)

    def on_replaced(self, step: StepBuilder, peer: NodeId) -> None:
        """Another disk has this name now: its feed is read from the beginning."""
        self.ends.forget(peer)
        self._next.pop(peer, None)
        self._passed_over.forget(peer)
        self._faults.forget(peer)
        if peer in self._pulling:
            self._forget(peer)

    def on_followed(self, step: StepBuilder, last: Key) -> None:
        """Complete the pages that told this floor: all terms below are learned or forgotten here."""
        for peer, pulling in list(self._pulling.items()):
            if last in pulling.floors:
                pulling.floors.discard(last)
                self._advance_if_complete(step, peer, pulling)

    def _pull_if_due(self, step: StepBuilder, peer: NodeId) -> None:
        pulling = self._pulling.get(peer)
        if pulling is not None and step.now_ms - pulling.asked_ms > PULL_TIMEOUT_MS:
            self._lacking.on_late(peer)
            self._forget(peer)
            pulling = None
        has_more = self.ends.unread(peer) > 0 or self._open_base_read(peer)
        if pulling is None and has_more:
            self._pull_unless_it_follows(step, peer)

    def _pull_unless_it_follows(self, step: StepBuilder, peer: NodeId) -> None:
        """Ask for the next page, unless that is better read a little later."""
        if not self._follows(peer):
            self._pull(step, peer)

    def _follows(self, peer: NodeId) -> bool:
        """Whether the next page of a long feed is being learned from a feed that is read further.

        A feed whose page is late is followed by none, so a peer that died holds no other feed up.
        """
        if not self._is_far_behind(peer) or self._open_base_read(peer):
            return False
        at = self.read_end(peer)
        leading = self._pulling.keys() - self._late
        return any(at <= self.read_end(other) < at + MAX_FEED_PAGE for other in leading - {peer})

    def _is_far_behind(self, peer: NodeId) -> bool:
        return self.ends.unread(peer) > MAX_FEED_PAGE

    def _pull(self, step: StepBuilder, peer: NodeId) -> None:
        disk_id = self._disk_of(peer)
        if disk_id is not None and not self._node.failed and not self.awaits_seed:
            read = self._open_base_read(peer)
            start = self.read_end(peer) if read is None else read.index
            early = self._next.pop(peer, None)
            is_early = early is not None and early.start == start and read is None
            with_decrees = read is None and self._lacks_most(peer)
            if early is not None and is_early:
                with_decrees = not early.is_doubtful
            self._pulling[peer] = Pulling(
                start, step.now_ms, from_base=read is not None, with_decrees=with_decrees
            )
            if early is None or not is_early:
                facts = (self._page_of(peer), with_decrees, self._marks.of(peer))
                step.at_once(Send(peer, Pull(disk_id, start, *facts)))
            elif early.page is not None:
                step.again(FromPeer(peer, early.page))

    def _page_of(self, peer: NodeId) -> int:
        """How many entries of a feed are asked for together."""
        few = self._node.takes_part and self._is_far_behind(peer)
        return VOTER_PAGE if few else MAX_FEED_PAGE

    def _lacks_most(self, peer: NodeId) -> bool:
        """Whether a feed is far from read, and its decrees had better come with its pages."""
        return self._is_far_behind(peer) and self._lacking.most_of(peer)

    def _ask_ahead(self, step: StepBuilder, peer: NodeId, pulling: Pulling) -> None:
        """Ask for the page behind this one, so that it comes while this one is learned."""
        start, disk_id = pulling.next_start, self._disk_of(peer)
        if disk_id is None or start is None or not self._lacks_most(peer):
            return
        if pulling.with_decrees and pulling.start < start < pulling.end:
            self._next[peer] = NextPage(start)
            facts = (self._page_of(peer), True, self._marks.of(peer))
            step.at_once(Send(peer, Pull(disk_id, start, *facts)))

    def _keep_next(self, peer: NodeId, page: FeedPage) -> None:
        """Keep a page that was asked for early; drop one that is late or repeated."""
        early = self._next.get(peer)
        if early is not None and early.start == page.start and early.page is None:
            early.page = page

    def _open_base_read(self, peer: NodeId) -> BaseRead | None:
        """What is to be read from a peer's base on, and was not read by the cursor meanwhile."""
        read = self._base_reads.get(peer)
        if read is None or max(read.index, self.read_end(peer)) >= read.end:
            return None
        return read if read.index > self.read_end(peer) else None

    def _fetch(
        self, step: StepBuilder, sender: NodeId, pulling: Pulling, wanted: list[Key]
    ) -> None:
        mine = [key for key in wanted if self._fetching.setdefault(key, sender) == sender]
        if pulling.with_decrees:  # all but terms of locks come without being asked for
            mine = [key for key in mine if is_term(key)]
        for start in range(0, len(mine), MAX_FETCH):
            step.at_once(Send(sender, Fetch(tuple(mine[start : start + MAX_FETCH]))))

    def _arrived(self, step: StepBuilder, keys: Sequence[Key]) -> None:
        """These keys are not missing any more: complete the pages that waited for them alone."""
        for key in keys if self._fetching else ():
            self._fetching.pop(key, None)
        for peer, pulling in list(self._pulling.items()):
            if pulling.missing and not pulling.missing.keys().isdisjoint(keys):
                for key in keys:
                    pulling.missing.pop(key, None)
                self._advance_if_complete(step, peer, pulling)

    def _advance_if_complete(self, step: StepBuilder, peer: NodeId, pulling: Pulling) -> None:
        """If the page is complete, note how far the feed is read, and ask for the next page."""
        if pulling.missing or pulling.floors or pulling.next_start is None:
            return
        if self._disk_of(peer) is None or self._pulling.get(peer) is not pulling:
            return  # it was given up meanwhile
        del self._pulling[peer]
        self._late.discard(peer)
        self._lacking.on_complete(peer, with_decrees=pulling.with_decrees)
        if pulling.next_start > pulling.start:
            if pulling.from_base:
                self._advance_from_base(peer, pulling.start, pulling.next_start)
            elif not self._passed_over.read_on(peer, pulling.next_start, pulling.unreadable):
                self._move(step, peer, pulling.next_start)
            if pulling.end > pulling.next_start or pulling.from_base:
                self._pull_unless_it_follows(step, peer)
            for other in filter(self._is_far_behind, self._node.sources):
                self._pull_if_due(step, other)  # it may have followed this one
        if self._on_read is not None:
            self._on_read(step, peer, pulling.end if pulling.has_gap else None)

    def _move(self, step: StepBuilder, peer: NodeId, index: int) -> None:
        """Note that all entries of a peer's feed below `index` are learned or forgotten here."""
        disk_id = self._disk_of(peer)
        if disk_id is not None:
            self._cursors[peer] = CursorRecord(peer, disk_id, index)
            step.note(self._cursors[peer])

    def _advance_from_base(self, peer: NodeId, start: int, next_start: int) -> None:
        """A page from a base on is complete; it may be of an epoch that is over."""
        read = self._base_reads.get(peer)
        if read is not None and read.base <= start <= read.index:
            read.index = max(read.index, next_start)

    def _forget_others(self) -> None:
        """What is awaited of a node that is no source must not keep others from being asked."""
        for peer in [peer for peer in self._pulling if peer not in self._node.sources]:
            self._forget(peer)

    def _forget(self, peer: NodeId) -> None:
        del self._pulling[peer]
        self._next.pop(peer, None)
        self._late.add(peer)
        for key in [key for key, source in self._fetching.items() if source == peer]:
            del self._fetching[key]
