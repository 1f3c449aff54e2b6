"""Epochs: who votes when, and what a node must know before it votes among other voters. M01 to M09.

The members of a cluster change by a decree: ``$members@k`` names the voters of epoch k, and is chosen
by those of epoch k - 1. This module has the pure rules; `docs/members.md` has all of them, with the
reasons. In short:

* A node that learns ``$members@k`` *seals*: it votes in no epoch below k any more (`Seat`).
* Before it votes in k it *takes over*: it is shown what `Epoch.seal` different voters of k - 1 had
  accepted and not learned, and reads their feeds (`Gathering`). A node that is ready for k already
  has done that, so its word alone is enough.
* What it is shown it *adopts*: the proposal with the highest ballot of each key (`adopt`).

Why any `seal` voters are enough: n - min(P, A) + 1 of them meet every prepare quorum and every accept
quorum of k - 1. So nothing is chosen in k - 1 of which none of them has voted, and no quorum answers
"nothing here" in k - 1 of which none has sealed.

A source is shown as a *series* of pages. The series counts from its first page to its last one, in
order, of one life of the sender (M06). It counts as *whole* only if each of its pages says so (M09).
"""

from collections.abc import Mapping
from typing import Annotated, Self

from msgspec import Meta
from msgspec.structs import replace

from ..types import Ballot, Counter, Key, NodeId, Proposal, Value
from .acceptor import check_one_value_per_ballot
from .instance import Instance
from .quorums import Quorums

DiskId = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Epoch(Value, frozen=True):
    """M01: the voters between two changes of members, and how many of them a phase needs.

    Args:
        number: epoch 0 is the one in which the cluster formed.
        quorums: the voters' names, and the sizes of both phases (R07).
        disks: the directory of each voter, in the order of their names. An epoch names disks, so
            another directory under the same name has no vote. None in epoch 0 alone, whose members
            have met each other's disks when the cluster formed.
    """

    number: Counter
    quorums: Quorums
    disks: tuple[DiskId | None, ...]

    def __post_init__(self) -> None:
        if len(self.disks) != len(self.quorums.members):
            raise ValueError("an epoch names one disk for each voter")

    @classmethod
    def formed(cls, quorums: Quorums) -> Self:
        """Epoch 0."""
        return cls(0, quorums, (None,) * len(quorums.members))

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """The names of the voters, in order."""
        return self.quorums.members

    @property
    def seal(self) -> int:
        """M01: how many voters meet every prepare quorum and every accept quorum of the epoch."""
        quorums = self.quorums
        return len(quorums.members) - min(quorums.prepare, quorums.accept) + 1

    def disk_of(self, node: str) -> bytes | None:
        """The directory of a voter; None if it is not named."""
        return dict(zip(self.nodes, self.disks, strict=True)).get(NodeId(node))

    def has(self, node: str, disk_id: bytes) -> bool:
        """Whether the node with this directory is a voter."""
        return node in self.nodes and self.disk_of(node) in (None, disk_id)


class Seat(Value, frozen=True):
    """M04: the epochs in which a node may vote. Durable.

    Args:
        known: the highest k of a ``$members@k`` that the node has learned; 0 if there is none. In
            all epochs below it has sealed (M05).
        ready: the latest epoch for which it has taken over; None for a directory that never voted.
    """

    known: Counter = 0
    ready: Counter | None = 0

    def votes_in(self, epoch: int) -> bool:
        """Whether a voter of `epoch` may promise, accept, or say that it holds nothing, for `epoch`."""
        return self.ready == epoch == self.known

    def sealed(self, known: int) -> Self:
        """M05: the seat after ``$members@known`` was learned; it never goes back."""
        return replace(self, known=max(self.known, known))

    def taken(self) -> Self:
        """M09: the seat after the node has become ready for the epoch that it knows."""
        return replace(self, ready=self.known)


class Page(Value, frozen=True):
    """M06: a part of what a source has accepted and not learned, in key order.

    Args:
        after: the last key of the page before; None for the first page. It says which question the
            page answers: a late page of an earlier try must not pass for the answer to a new one.
        whole: whether the sender was ready for the epoch in question when it sent the page.
        next: the last key of the page if there are more pages; None on the last one.
        feed_end: where the sender's feed ended; the last page's counts.
        unreadable: keys that the sender has accepted something for, but cannot show (M18).
        withheld: keys for which it shows only what it holds itself: for them no page is whole (M18).
    """

    after: Key | None
    whole: bool
    next: Key | None
    feed_end: Counter
    unreadable: tuple[Key, ...] = ()
    withheld: tuple[Key, ...] = ()


class Series(Value, frozen=True):
    """The pages of one source, taken in order.

    Args:
        life: the incarnation of the sender; another one begins the series again.
        after: which page is awaited: the one after this key.
        whole: whether every page so far says that it is whole.
        feed_end: how far the sender's feed must be read; None until the last page has come.
        unreadable: the keys that the sender could not show.
        withheld: the keys for which it showed only what it holds itself.
    """

    life: Counter
    after: Key | None = None
    whole: bool = True
    feed_end: Counter | None = None
    unreadable: frozenset[Key] = frozenset()
    withheld: frozenset[Key] = frozenset()

    def with_page(self, page: Page) -> Self:
        """The series after a page; the same one if it is not the page that is awaited (M06).

        A source may become ready after its last page. If it shows all in one whole page then, that
        takes the place of the series: one whole series is enough (M09).
        """
        if self.feed_end is not None and not self.whole:
            is_series = page.whole and page.after is None and page.next is None
            return type(self)(self.life).with_page(page) if is_series else self
        if self.feed_end is not None or page.after != self.after:
            return self
        return replace(
            self,
            after=page.next if page.next is not None else self.after,
            whole=self.whole and page.whole,
            feed_end=page.feed_end if page.next is None else None,
            unreadable=self.unreadable | frozenset(page.unreadable),
            withheld=self.withheld | frozenset(page.withheld),
        )

    def is_taken(self, cursor: int) -> bool:
        """M08: whether all of it is here, with the sender's feed read up to `cursor`."""
        return self.feed_end is not None and cursor >= self.feed_end


class Gathering(Value, frozen=True):
    """M09: the series of all sources, on the way to being ready for the epoch after `of`.

    What a node itself holds counts for one of them, if it is a voter of `of`. It is taken from the
    start: `with_own`.

    Args:
        of: the epoch that is taken over: the one before.
        sources: each with its series, in the order in which they were met.
        gaps: how far a feed in which entries are missing must be read, whatever the series says.
    """

    of: Epoch
    sources: tuple[tuple[NodeId, Series], ...] = ()
    gaps: tuple[tuple[NodeId, Counter], ...] = ()

    def with_page(self, source: NodeId, life: int, page: Page) -> Self:
        """Take a page of a source. A life that was not met before begins its series again (M06)."""
        held = self._series(source)
        if held is not None and held.life > life:
            return self
        if held is None or held.life != life:
            held = Series(life)
        return self._with(source, held.with_page(page))

    def with_own(self, node: NodeId, life: int, unreadable: tuple[Key, ...] = ()) -> Self:
        """Count what this node holds itself: its own feed needs no reading."""
        return self.with_page(node, life, Page(None, False, None, 0, unreadable))

    def after_gap(self, source: NodeId, end: int) -> Self:
        """M08: a page of the source's feed lacked entries; the feed ended at `end` by then.

        The floor that deleted the entries stands before that end. A page of the feed may be younger
        than the series, and come first, so gaps count from the beginning.
        """
        gaps = dict(self.gaps)
        gaps[source] = max(end, gaps.get(source, 0))
        return replace(self, gaps=tuple(gaps.items()))

    def without(self, source: NodeId) -> Self:
        """Begin again with a source: its name stands for another directory now, with another feed."""
        return replace(
            self,
            sources=tuple(item for item in self.sources if item[0] != source),
            gaps=tuple(item for item in self.gaps if item[0] != source),
        )

    def awaited(self, source: NodeId, life: int | None = None) -> Key | None:
        """After which key the next page of a source is awaited; None for its first page.

        Args:
            source: the source.
            life: the life of it that is asked about; by default the one that was met last.
        """
        held = self._series(source)
        return held.after if held is not None and life in (None, held.life) else None

    def not_whole(self, cursors: Mapping[NodeId, int]) -> list[NodeId]:
        """The sources that are taken, and were not ready when they showed what they hold."""
        return [source for source, series in self._taken(cursors).items() if not series.whole]

    def is_over(self, source: NodeId) -> bool:
        """Whether the last page of a source has come."""
        held = self._series(source)
        return held is not None and held.feed_end is not None

    def is_ready(self, cursors: Mapping[NodeId, int]) -> bool:
        """M09: whether `Epoch.seal` different voters, or one whole series, have been taken.

        Args:
            cursors: how far the feed of each source was read.
        """
        return self._is_enough(self._taken(cursors))

    def withheld(self, cursors: Mapping[NodeId, int]) -> frozenset[Key]:
        """M18: the keys that some source could not show, and too few others could.

        For such a key the page of that source does not count, or not as a whole one. The node must not
        say that it holds nothing for it.
        """
        taken = self._taken(cursors)
        named = frozenset[Key]().union(*(s.unreadable | s.withheld for s in taken.values()))
        return frozenset(key for key in named if not self._is_enough(_sound(key, taken)))

    def shows(self, key: Key, cursors: Mapping[NodeId, int]) -> bool:
        """M18: whether enough sources have shown soundly what was accepted for a key, if anything."""
        return self._is_enough(_sound(key, self._taken(cursors)))

    def _is_enough(self, taken: Mapping[NodeId, Series]) -> bool:
        if any(series.whole for series in taken.values()):
            return True
        return len(taken.keys() & set(self.of.nodes)) >= self.of.seal

    def _taken(self, cursors: Mapping[NodeId, int]) -> dict[NodeId, Series]:
        gaps = dict(self.gaps)
        return {
            node: series
            for node, series in self.sources
            if series.is_taken(cursors.get(node, 0)) and cursors.get(node, 0) >= gaps.get(node, 0)
        }

    def _series(self, source: NodeId) -> Series | None:
        return dict(self.sources).get(source)

    def _with(self, source: NodeId, series: Series) -> Self:
        return replace(self, sources=tuple({**dict(self.sources), source: series}.items()))


def _sound(key: Key, taken: Mapping[NodeId, Series]) -> dict[NodeId, Series]:
    """The series that count for a key, each with whether it is whole for that key."""
    return {
        node: replace(series, whole=series.whole and key not in series.withheld)
        for node, series in taken.items()
        if key not in series.unreadable
    }


def adopt(held: Instance, shown: Proposal) -> Instance:
    """M07: hold the shown proposal as accepted, if it has the highest ballot.

    It is no vote: nothing is answered for it, and no lease begins. What is learned here is final, and
    a promise never goes down.

    Raises:
        Contradiction: if another value was accepted here in the same ballot (R05).
    """
    if held.learned is not None:
        return held
    check_one_value_per_ballot(held.accepted, shown)
    if held.accepted is not None and held.accepted.ballot >= shown.ballot:
        return held
    return replace(held, accepted=shown, promised=_higher(held.promised, shown.ballot))


def _higher(promised: Ballot | None, ballot: Ballot) -> Ballot:
    return ballot if promised is None else max(promised, ballot)
