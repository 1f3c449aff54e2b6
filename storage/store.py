"""`RecordStore`: the records of a node in an ordered map of bytes.

Owns how records become changes of bytes and back, for every `ByteStore` alike. It must not know
whether there is a disk below.

Invariants:

* R13, R14: all records of one `write` are one batch of the byte store, durable together.
* The note that a key is accepted but not learned is part of the batch that accepts it; no crash can
  separate the two (R22: keys in doubt are found again at the start). See `pending_journal`, and
  `inline` for the instances that have no rows.
* The cache equals what is stored; see `cache`.
* No instance below the floor of a series is served, even if rows of it exist; see `floors`.
* A key that is noted and has no row has lost it, and reads back as damaged; see `lost`.
* After a failed write or sync every later one fails; reads still work.
* A synced write makes everything before it durable, even if it holds no records itself.
  What asks for no sync may wait for it in memory (`deferred`).
"""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import merge
from math import inf
from operator import itemgetter

from ..registry import errors
from ..registry.checked import CheckedPage
from ..registry.disk import (
    CursorRecord,
    DirectoryIdentity,
    FeedEntry,
    PeerRecord,
    Record,
    Recovered,
    ScanPage,
    weight_of_learned,
)
from ..registry.keys import sort_key
from ..registry.locks.restored import Restoration
from ..registry.paxos.instance import EMPTY, Class, Instance
from ..registry.types import Key
from ..registry.unserved import DamagedInstance, Unserved, WithheldInstance
from . import incarnations, layout, seat
from .batch import WriteBatch
from .bytestore import ByteStore, Range, Unreadable
from .cache import CACHE_BYTES, InstanceCache
from .floors import Floor, Floors, TermRows
from .inline import MAX_INLINE, InlineInstances
from .layout import Table
from .lost import LostRecords
from .pending_journal import JournalPage, PendingJournal, is_unlearned
from .policies import newest_policies
from .records import damaged, pack_all
from .rows import Rows
from .runs import FeedRun
from .walk import check_page
from .whole_batches import WholeBatches
from .withheld import unserved

_FLOORS_AT_ONCE = 1_000
KNOWN_RUNS = 64
"""So many runs that the reader knows are looked at for a page of the feed."""
READ_AT_ONCE = 32
"""How many instances are read from the disk together when there is a bound on their bytes."""


class RecordStore:
    """A `decreed.registry.disk.Storage` above any `ByteStore`.

    Args:
        data: where the bytes go; the store owns it from now on.
        identity: with the new incarnation, already durable in `data`.
        cache_bytes: how much memory the recently used instances may take.
        max_inline: how many instances may be stored on pages of notes only.
        rows: reads rows of `data`; by default `Rows` does.

    Raises:
        Damaged: if a record that a node needs at its start cannot be read.
    """

    def __init__(
        self,
        data: ByteStore,
        identity: DirectoryIdentity,
        cache_bytes: int = CACHE_BYTES,
        max_inline: int = MAX_INLINE,
        rows: Rows | None = None,
    ) -> None:
        self._data, self._rows = data, rows or Rows(data)
        self._identity = identity
        self._failure: str | None = None
        self._unsynced = False
        self._cache = InstanceCache(cache_bytes)
        self.cached, self.space = self._cache.counts, data.space
        restored = next(self._rows.table(Table.RESTORATION, Restoration), None)
        self._floors = Floors(self._rows.table(Table.FLOORS, Floor), restored)
        self._lost = LostRecords(data)
        pages = dict(self._pages())
        self._held = InlineInstances(pages.values(), max_inline)
        unlearned, withheld = self._unlearned(pages)
        self._notes = PendingJournal(pages, unlearned)
        self._wholes = WholeBatches(self._cache, self._held, self._notes, self._lost)
        self._feed_end = self._feed_end_found()
        self._tell_floors()
        self._recovered = self._recover(unlearned, withheld)

    def recovered(self) -> Recovered:
        """The state that was found when the store was opened."""
        return self._recovered

    def load(
        self, keys: Collection[Key], max_bytes: float = inf
    ) -> Mapping[Key, Instance | Unserved]:
        """The instances of `keys`; an unreadable one does not affect the others."""
        gone = self._floors.forgotten_of(keys)
        kept = [key for key in keys if key not in gone] if gone else keys
        writes = self._cache.writes
        found = self._cache.find(kept)
        if len(found) < len(kept):
            read = self._read([key for key in kept if key not in found], max_bytes)
            self._cache.keep({k: one for k, one in read.items() if type(one) is Instance}, writes)
            found.update(read)
        found.update(gone)
        return found

    def _read(self, keys: Sequence[Key], max_bytes: float) -> dict[Key, Instance | Unserved]:
        """Read `keys` from the disk, some at a time, until they are more than `max_bytes`."""
        if len(keys) <= READ_AT_ONCE or max_bytes == inf:
            return self._read_some(keys)
        read: dict[Key, Instance | Unserved] = {}
        size = 0
        for start in range(0, len(keys), READ_AT_ONCE):
            some = self._read_some(keys[start : start + READ_AT_ONCE])
            read.update(some)
            size += weight_of_learned(some.values())
            if size > max_bytes:
                break
        return read

    def _read_some(self, keys: Sequence[Key]) -> dict[Key, Instance | Unserved]:
        try:
            found = self._data.get_many(layout.instance_keys(keys))
        except Unreadable:
            return {key: self._load_one(key) for key in keys}
        if found.count(None) == len(found) and self._has_rows_alone(keys):
            return dict.fromkeys(keys, EMPTY)
        return {key: self._judge(key, data) for key, data in zip(keys, found, strict=True)}

    def _has_rows_alone(self, keys: Sequence[Key]) -> bool:
        """Whether without a row these have nothing: none is held on a page, lost or restored."""
        others = self._lost or self._floors.restoration is not None
        return not others and self._held.has_none(keys)

    def keep_in_memory(self, keeps: bool) -> None:
        """Whether what is read and written from now on stays in memory; see `Storage`."""
        self._cache.grows = keeps

    def _instances(self, within: Range) -> Iterator[tuple[bytes, Instance, int]]:
        """All instances of a range in order: stored key, instance, approximate bytes.

        The held instances are read first: if one gets a row meanwhile, the row counts.
        """
        held = self._held.within(within)
        rows = ((at, self._instance(at, data), len(data)) for at, data in self._rows.each(within))
        last = None
        for found in merge(rows, held, key=itemgetter(0)):
            if found[0] != last:
                yield found
            last = found[0]

    def write(self, records: Sequence[Record], *, sync: bool = True) -> None:
        """Write all records in one batch; see `decreed.registry.disk.Storage.write`."""
        self._check_healthy()
        batch = WriteBatch(self._identity, self._feed_end)
        batch.add(records)
        withheld = batch.withhold(self.load) if batch.withheld else ()
        whole = self._wholes.hold(batch)
        held = self._note(batch, withheld)
        floors, gone = self._forget(batch) if batch.floors else ([], set[Key]())
        self._notes.forgotten(gone)
        sealed = self._wholes.learned_rows(batch)
        self._write({**sealed, **pack_all(batch.rows)}, sync)
        if sync:
            self._notes.synced()
        self._identity, self._feed_end = batch.identity, batch.feed_end
        with_rows = [*batch.instances, *withheld] if withheld else batch.instances
        self._lost.written(with_rows)
        self._floors.remember(floors)
        self._held.written(with_rows, held)
        self._cache.written(batch.instances, gone.union(withheld) if withheld else gone)
        self._wholes.written(*whole, *batch.learned)
        if batch.restoration is not None:
            self._floors.restore(batch.restoration)
            self._cache.clear()  # it may say of a restored term that nothing is there

    def sync(self) -> None:
        """Make all writes so far durable; see `decreed.registry.disk.Storage.sync`."""
        self._check_healthy()
        if self._unsynced:
            with self._noting_failure():
                self._data.sync()
            self._unsynced = False
            self._notes.synced()

    def write_deferred(self) -> None:
        """Write what waits for a synced write; see `decreed.registry.disk.Storage`."""
        self._check_healthy()
        with self._noting_failure():
            self._data.write_deferred()

    def scan(
        self,
        prefix: str,
        after: str,
        limit: int,
        max_bytes: int,
        until: str = "",
        within: tuple[str, ...] = (),
    ) -> ScanPage:
        """Instances under `prefix` after `after`: at most `limit`, and no more after `max_bytes`."""
        instances: list[tuple[Key, Instance]] = []
        size = 0
        for stretch in layout.ranges_of_all(within or (prefix,), after, until):
            for stored, instance, length in self._instances(stretch):
                if instance.learned is None and instance.accepted is None:
                    continue
                if len(instances) >= limit or (instances and size >= max_bytes):
                    return ScanPage(tuple(instances), complete=False)
                instances.append((layout.key_of(stored), instance))
                size += length
        return ScanPage(tuple(instances), complete=True)

    def feed(self, start: int, limit: int, known_below: int = 0) -> tuple[Sequence[FeedEntry], int]:
        """Up to `limit` entries from `start` on, and the index where the next ones begin.

        Runs that end below `known_below` are told only as far as their keys are reserved.
        """
        entries: list[FeedEntry] = []
        known = 0
        for stored, data in self._rows.each(layout.feed_range(self._run_with(start))):
            run, first = self._rows.unpack(stored, data, FeedRun), layout.feed_index(stored)
            room = limit - len(entries)
            if first + len(run.keys) <= known_below:
                found, start = run.reserved(first, start, room)
                known += 1
            else:
                found = run.entries(first, start, room)
                start = found[-1].index + 1 if found else start
            entries += found
            if len(entries) >= limit or known >= KNOWN_RUNS:
                break
        return entries, start

    def check(self, position: bytes, max_bytes: int) -> CheckedPage:
        """Read everything from `position` on that lies in the store, and check it."""
        page = check_page(self._data, self._rows, position, max_bytes)
        return page if position else self._lost.told_on(page)

    def last_slot(self, series: str) -> int:
        """The highest slot that is learned here, or the floor; takes a seek and a few steps back."""
        floor = self._floors.of(series)
        start, end = layout.slots_range(series, floor)
        while pairs := self._rows.descending((start, end), 1):
            stored, data = pairs[0]
            if self._instance(stored, data).learned is not None:
                return int(layout.key_of(stored).rpartition("@")[2])
            end = stored
        return floor

    def close(self) -> None:
        """Close the byte store. Safe to call twice."""
        self._data.close()

    def _pages(self) -> Iterator[tuple[int, JournalPage]]:
        for stored, data in self._rows.each(layout.table_range(Table.PENDING_JOURNAL)):
            yield layout.journal_page(stored), self._rows.unpack(stored, data, JournalPage)

    def _unlearned(
        self, pages: Mapping[int, JournalPage]
    ) -> tuple[tuple[Key, ...], tuple[Key, ...]]:
        """The keys on these pages whose outcome is not known, in order; and the withheld ones of them.

        A key that cannot be read is included: it was accepted, and its state is unknown.
        """
        noted = sorted({key for page in pages.values() for key in page.each_key()}, key=sort_key)
        found = dict(self.load(noted))
        self._held.keep(found)
        lost = self._lost.look_for(noted, found)
        self._cache.written({}, lost.keys())
        found.update(lost)
        unlearned = tuple(key for key in noted if is_unlearned(found[key]))
        return unlearned, tuple(k for k in unlearned if isinstance(found[k], WithheldInstance))

    def _recover(self, unlearned: tuple[Key, ...], withheld: tuple[Key, ...]) -> Recovered:
        pages = self._rows.table(Table.INCARNATIONS, bytes)
        epoch = seat.own_seat(self._rows)
        return Recovered(
            identity=self._identity,
            history=incarnations.joined(pages, self._identity.incarnation, self._data.where),
            peers=tuple(self._rows.table(Table.PEERS, PeerRecord)),
            cursors=tuple(self._rows.table(Table.CURSORS, CursorRecord)),
            feed_end=self._feed_end,
            unlearned=unlearned,
            classes=tuple(self._rows.table(Table.CLASSES, Class)),
            floors=self._floors.all(),
            epoch=epoch,
            members=seat.members(epoch, self.load),
            seats=tuple(seat.peer_seats(self._rows)),
            withheld=withheld,
            restoration=self._floors.restoration,
            disputed=seat.disputed(self._data, self.load),
            policies=tuple(newest_policies(self._rows, self.load)),
        )

    def _tell_floors(self) -> None:
        """Append the entries of floors that an earlier build raised, some in each batch (M16)."""
        untold = list(self._floors.untold(self._feed_end))
        for start in range(0, len(untold), _FLOORS_AT_ONCE):
            some = untold[start : start + _FLOORS_AT_ONCE]
            self.write([record for records in some for record in records])

    def _run_with(self, index: int) -> int:
        """The first entry of the run with entry `index`, or of an earlier run, which does no harm."""
        pairs = self._rows.descending((layout.feed_key(0), layout.feed_key(index + 1)), 1)
        return layout.feed_index(pairs[0][0]) if pairs else index

    def _feed_end_found(self) -> int:
        """The end of the feed, from its last run."""
        for stored, data in self._rows.descending(layout.table_range(Table.FEED), 1):
            return layout.feed_index(stored) + len(self._rows.unpack(stored, data, FeedRun).keys)
        return 0

    def _note(self, batch: WriteBatch, withheld: Collection[Key]) -> Mapping[Key, Instance]:
        """Add the instances to the batch, and a page of the keys that it leaves unsettled.

        Returns:
            The instances on the page, which have no rows.
        """
        held: Mapping[Key, Instance] = {}
        page = self._notes.changed(batch.instances, withheld)
        if page is not None:
            number, keys = page
            blank = [key for key in self._cache.blank(keys) if key not in withheld]
            held = self._held.chosen({key: batch.instances[key] for key in blank})
            noted = tuple([key for key in keys if key not in held])
            batch.rows[layout.journal_key(number)] = JournalPage(noted, tuple(held.values()))
        for key, instance in batch.instances.items():
            if key not in held:
                batch.rows[layout.instance_key(key)] = instance
        return held

    def _forget(self, batch: WriteBatch) -> tuple[list[Floor], set[Key]]:
        """Add the rows of all new floors to the batch, after the changes of its other records.

        Returns:
            The floors, and the keys of the instances that are deleted.

        Raises:
            StorageFailed: if the rows below a floor cannot be read.
        """
        values = batch.rows
        floors: list[Floor] = []
        try:
            for record, before in self._floors.raised(batch.floors):
                assert layout.feed_key(record.entry) in values, "the batch tells the floor (M16)"
                floor, rows = self._floors.rows(record, before, self._above(values))
                values.update(rows)
                floors.append(floor)
        except errors.Damaged as error:
            self._failure = f"terms cannot be forgotten, restart the node: {error}"
            raise errors.StorageFailed(self._failure) from error
        gone = {at for at, value in values.items() if value is None and layout.is_instance(at)}
        return floors, {layout.key_of(stored) for stored in gone}

    def _above(self, values: Mapping[bytes, object | None]) -> TermRows:
        """A function that reads rows of terms as if `values` were written."""

        def rows(within: Range) -> Iterator[tuple[bytes, int | None]]:
            for stored, data in self._rows.each(within):
                yield stored, self._position(stored, data)
            for stored, value in values.items():
                if within[0] <= stored < within[1]:
                    yield stored, value if isinstance(value, int) else None

        return rows

    def _position(self, stored: bytes, data: bytes) -> int | None:
        is_position = stored.startswith(Table.TERMS.value)
        return self._rows.unpack(stored, data, int) if is_position else None

    def _write(self, changes: Mapping[bytes, bytes | None], sync: bool) -> None:
        if changes:
            with self._noting_failure():
                self._data.write(changes, sync=sync)
            self._unsynced = not sync
        elif sync:
            self.sync()

    def _check_healthy(self) -> None:
        """Raise `StorageFailed` if a write or a sync has failed."""
        if self._failure is not None:
            raise errors.StorageFailed(self._failure)

    @contextmanager
    def _noting_failure(self) -> Generator[None, None, None]:
        """Note a failed write or sync, after which it is unknown what the disk holds."""
        try:
            yield
        except errors.StorageFailed as error:
            self._failure = f"an earlier write failed, restart the node: {error}"
            raise

    def _load_one(self, key: Key) -> Instance | Unserved:
        stored = layout.instance_key(key)
        try:
            return self._judge(key, self._data.get(stored))
        except Unreadable as error:
            return DamagedInstance(str(damaged(stored, self._data.where, str(error))))

    def _judge(self, key: Key, data: bytes | None) -> Instance | Unserved:
        if data is None:
            return self._held.get(key) or self._lost.get(key) or self._floors.restored(key)
        stored = layout.instance_key(key)
        try:
            return self._rows.unpack(stored, data, Instance)
        except errors.Damaged as error:
            return unserved(stored, data, self._data.where, error)

    def _instance(self, stored: bytes, data: bytes) -> Instance:
        """The instance in a row.

        Raises:
            Damaged: if it cannot be read, or is withheld.
        """
        try:
            return self._rows.unpack(stored, data, Instance)
        except errors.Damaged as error:
            why = unserved(stored, data, self._data.where, error)
            raise errors.Damaged(why.message) from error
