"""`OldDirectory`: what a data directory of a stopped node holds, read without a change to it.

Reading it begins no incarnation, takes part in nothing, and writes nothing into it. It is held, so no
node opens it meanwhile. `close_into` alone changes something: the marker, which ends its use.

Invariants:

* a row is taken only if its checksum matches. Whatever cannot be read is on `damage`, and so is a row
  that the feed or the notes name, and that is gone;
* a directory with any damage counts for no quorum: it may have forgotten what it voted for (R13, R14).
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from heapq import merge
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from ...registry.disk import CursorRecord, DirectoryIdentity, EpochRecord, PeerRecord
from ...registry.errors import Damaged, Refused, StorageFailed
from ...registry.keys import series_and_slot
from ...registry.locks.restored import Restoration
from ...registry.paxos.epochs import Seat
from ...registry.paxos.instance import Instance
from ...registry.types import Key, NodeId, decree_digest
from .. import layout
from ..bytestore import Pair, Unreadable
from ..directory import DATABASE, FIRST_MARKED, held_directory
from ..floors import Floor
from ..layout import Table
from ..marker import mark_recovered, may_be_marked
from ..pending_journal import JournalPage
from ..records import unpack
from ..runs import FeedRun
from ..walk import without_rows
from ..withheld import Withheld
from .salvage import Gap, Salvage
from .view import View, view_of

MAX_DAMAGE = 10_000
"""How many damaged rows are named; there may be more."""

T = TypeVar("T")


class OldDirectory:
    """A data directory that is held, and open for reading; `old_directory` makes it.

    Args:
        path: the directory.
        view: its database.
        recovered_into: the formation into which it was recovered before; empty if it was not.

    Attributes:
        path, recovered_into: the same.
        identity: whose it is.
        peers, cursors: what the node remembered of each peer.
        floors: the slots below which series are forgotten.
        restoration: how its formation was restored, if it was.
        seat: the epochs in which the node might vote.
        feed_end: the end of its feed, as far as that can be read.

    Raises:
        Damaged: if it cannot be read whose it is.
    """

    def __init__(self, path: Path, view: View, recovered_into: bytes = b"") -> None:
        self.path = path
        self.recovered_into = recovered_into
        self._salvage = Salvage(view.data)
        self._data = view.data
        self._damage = dict.fromkeys([view.fault] if view.fault else [])
        self._lost: dict[Key, None] = {}
        self.identity = self._identity()
        self.peers = {each.node: each for each in self._table(Table.PEERS, PeerRecord)}
        self.cursors = {each.node: each for each in self._table(Table.CURSORS, CursorRecord)}
        self.floors = {each.series: each.floor for each in self._table(Table.FLOORS, Floor)}
        self.restoration = next(self._table(Table.RESTORATION, Restoration), None)
        self.seat = self._seat()
        self.feed_end = self._feed_end()
        pages = list(self._table(Table.PENDING_JOURNAL, JournalPage))
        self._inline = {key: one for page in pages for key, one in page.each_inline()}
        self._noted = tuple(key for page in pages for key in page.keys)

    @property
    def node(self) -> NodeId:
        """The node whose directory it is."""
        return self.identity.node

    @property
    def formation(self) -> bytes:
        """The formation that it is of; only directories of clusters that have formed are read."""
        formation = self.identity.formation
        assert formation is not None, "its cluster has formed"
        return formation

    @property
    def may_be_closed(self) -> bool:
        """Whether `close_into` can work, as far as that shows without trying."""
        return may_be_marked(self.path)

    def close_into(self, formation: bytes) -> None:
        """End the use of the directory, durably: `formation` goes on with what it has.

        Raises:
            StorageFailed: if it cannot be marked.
        """
        try:
            mark_recovered(self.path, self.formation, formation)
        except OSError as error:
            raise StorageFailed(f"{self.path} cannot be marked as recovered: {error}") from error
        self.recovered_into = formation

    @property
    def is_sound(self) -> bool:
        """Whether everything in it could be read so far."""
        return not self._damage and not self._salvage.gaps

    @property
    def damage(self) -> list[str]:
        """What cannot be read, in words; complete once all instances were read."""
        each = (*self._damage, *map(str, self._salvage.gaps))
        return [text.replace(self._data.where, str(self.path / DATABASE)) for text in each]

    def instances(self) -> Iterator[tuple[bytes, Instance]]:
        """All instances that can be read, in order of their stored keys.

        A row is newer than an instance on a page of notes. If the row cannot be read, the older
        instance tells what was accepted once, which is true still. After the last one, the rows are
        looked for that should be there too.
        """
        inline = [(layout.instance_key(key), one) for key, one in self._inline.items()]
        last = b""
        for stored, found in merge(self._rows(), sorted(inline, key=itemgetter(0)), key=_stored):
            if stored != last and found is not None:
                last = stored
                yield stored, found
        self._look_for_gone()

    def instance(self, key: Key) -> Instance | None:
        """The instance of one key; None if there is none, or if it cannot be read."""
        stored = layout.instance_key(key)
        data = self._salvage.get(stored)
        return self._inline.get(key) if data is None else self._judged(stored, data)

    def lost(self) -> Iterator[Key]:
        """The keys of rows that cannot be read, as far as the rows themselves or the feed name them."""
        yield from self._lost
        for key in self._in_feed() if self.damage else ():
            if key not in self._lost and self.instance(key) is None:
                yield key

    def _look_for_gone(self) -> None:
        """Note the rows that are gone: a batch writes each with its entry or its note (`lost`)."""
        told = (key for run in self._table(Table.FEED, FeedRun) for key in run.decided())
        noted = (key for key in self._noted if key not in self._inline)
        named = (key for key in chain(told, noted) if not self._is_forgotten(key))
        gone, _ = without_rows(self._data, named)
        for key in gone:
            self._lost[key] = None
            self._note(f"{layout.describe(layout.instance_key(key))} is gone")

    def _in_feed(self) -> Iterator[Key]:
        for run in self._table(Table.FEED, FeedRun):
            yield from (key for key in run.keys if not self._is_forgotten(key))

    def _is_forgotten(self, key: Key) -> bool:
        series, slot = series_and_slot(key)
        return slot is not None and slot < self.floors.get(series, 0)

    def _rows(self) -> Iterator[tuple[bytes, Instance | None]]:
        within = layout.table_range(Table.INSTANCES)
        for stored, data in self._salvage.each(within, self._known_in):
            yield stored, self._judged(stored, data)

    def _known_in(self, gap: Gap) -> Iterator[Pair]:
        """The rows in a gap that can be read by their keys, as the feed and the notes name them."""
        keys = map(layout.instance_key, chain(self._in_feed(), self._noted))
        for stored in sorted(set(filter(gap.has, keys))):
            data = self._salvage.get(stored)
            if data is not None:
                yield stored, data

    def _judged(self, stored: bytes, data: bytes) -> Instance | None:
        """The instance in a row; what a withheld row held before counts, and is damage too."""
        found = self._unpacked(stored, data, Instance, quiet=True)
        if found is None:
            withheld = self._unpacked(stored, data, Withheld)
            found = _held(withheld) if withheld is not None else None
            if withheld is not None:
                self._note(f"{layout.describe(stored)} is withheld since epoch {withheld.epoch}")
        if found is None:
            self._lost[layout.key_of(stored)] = None
        return found

    def _identity(self) -> DirectoryIdentity:
        data = self._salvage.get(layout.IDENTITY_KEY)
        found = (
            self._unpacked(layout.IDENTITY_KEY, data, DirectoryIdentity)
            if data is not None
            else None
        )
        if found is None:
            why = "; ".join(self.damage) or "it has lost the identity of its node"
            raise Damaged(f"{self.path} does not say whose it is, so it cannot be used: {why}")
        return found

    def _seat(self) -> Seat:
        data = self._salvage.get(layout.EPOCH_KEY)
        if data is None:
            return Seat()
        found = self._unpacked(layout.EPOCH_KEY, data, EpochRecord)
        return Seat(found.known, found.ready) if found is not None else Seat(0, None)

    def _feed_end(self) -> int:
        """The end of the feed: that of its last run; 0 if that cannot be read."""
        within = layout.table_range(Table.FEED)
        try:
            last = self._data.descending(within, 1)
        except Unreadable as error:
            self._note(f"the end of the feed cannot be read: {error}")
            last = []
        runs = [(at, self._unpacked(at, data, FeedRun)) for at, data in last]
        return sum(layout.feed_index(at) + len(run.keys) for at, run in runs if run is not None)

    def _table(self, table: Table, kind: type[T]) -> Iterator[T]:
        for _, found in self._each(layout.table_range(table), kind):
            yield found

    def _each(self, within: tuple[bytes, bytes], kind: type[T]) -> Iterator[tuple[bytes, T]]:
        for stored, data in self._salvage.each(within):
            found = self._unpacked(stored, data, kind)
            if found is not None:
                yield stored, found

    def _unpacked(
        self, stored: bytes, data: bytes, kind: type[T], *, quiet: bool = False
    ) -> T | None:
        try:
            return unpack(stored, data, kind, str(self.path))
        except (Damaged, Refused) as error:
            if not quiet:
                self._note(str(error))
            return None

    def _note(self, damage: str) -> None:
        if len(self._damage) < MAX_DAMAGE:
            self._damage[damage] = None


@contextmanager
def old_directory(path: Path, *, restored: bool = False) -> Generator[OldDirectory]:
    """Hold a data directory and open it for reading, in a ``with`` block.

    Args:
        path: the directory.
        restored: whether one that was filled and that no node may open yet will do.

    Raises:
        IdentityRefused: if it is none, or is in use.
        Damaged: if nothing can be read from it, not even whose it is.
        StorageFailed: if access is denied.
    """
    with (
        held_directory(path, restored=restored) as found,
        view_of(path / DATABASE, marked=found.format >= FIRST_MARKED) as view,
    ):
        yield OldDirectory(path, view, found.into)


def _stored(pair: tuple[bytes, object]) -> bytes:
    return pair[0]


def _held(withheld: Withheld) -> Instance | None:
    """What a withheld row says of its key; of one that is decided only the decree counts (M18)."""
    held = withheld.instance
    if not withheld.digest or held is None:
        return None if withheld.digest else held
    of_proposal = held.accepted.decree if held.accepted is not None else None
    is_it = of_proposal is not None and decree_digest(of_proposal) == withheld.digest
    return Instance(learned=of_proposal) if is_it else None
