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
* After a failed write or sync every later one fails; reads still work.
* A synced write makes everything before it durable, even if it holds no records itself.
"""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import merge
from math import inf
from operator import itemgetter
from typing import TypeVar

from ..registry import errors
from ..registry.disk import (
    CursorRecord,
    DamagedInstance,
    FeedEntry,
    Identity,
    PeerRecord,
    Record,
    Recovered,
    ScanPage,
    Unserved,
    weight_of_learned,
)
from ..registry.keys import sort_key
from ..registry.paxos.instance import EMPTY, Class, Instance
from ..registry.types import Key
from . import incarnations, layout
from .batch import WriteBatch
from .bytestore import ByteStore, Pair, Range, Unreadable
from .cache import CACHE_BYTES, InstanceCache
from .floors import Floor, Floors, TermRows
from .inline import MAX_INLINE, InlineInstances
from .layout import Table
from .pending_journal import JournalPage, PendingJournal, unsettled
from .records import damaged, pack_all, unpack
from .runs import FeedRun

_FIRST_CHUNK, _CHUNK = 16, 64
_CHUNK_BYTES = 256 * 1024
"""The bounds on rows that are fetched together: their number, and their bytes once that is known."""
READ_AT_ONCE = 32
"""How many instances are read from the disk together when there is a bound on their bytes."""

T = TypeVar("T")


class RecordStore:
    """A `decreed.registry.disk.Storage` above any `ByteStore`.

    Args:
        data: where the bytes go; the store owns it from now on.
        identity: with the new incarnation, already durable in `data`.
        cache_bytes: how much memory the recently used instances may take.
        max_inline: how many instances may be stored on pages of notes only.

    Raises:
        Damaged: if a record that a node needs at its start cannot be read.
    """

    def __init__(
        self,
        data: ByteStore,
        identity: Identity,
        cache_bytes: int = CACHE_BYTES,
        max_inline: int = MAX_INLINE,
    ) -> None:
        self._data = data
        self._identity = identity
        self._failure: str | None = None
        self._unsynced = False
        self._cache = InstanceCache(cache_bytes)
        self._floors = Floors(self._table(Table.FLOORS, Floor))
        pages = dict(self._pages())
        self._held = InlineInstances(pages.values(), max_inline)
        unlearned = self._unlearned(pages)
        self._notes = PendingJournal(pages, unlearned)
        self._recovered = self._recover(unlearned)
        self._feed_end = self._recovered.feed_end

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
            found = self._data.get_many([layout.instance_key(key) for key in keys])
        except Unreadable:
            return {key: self._load_one(key) for key in keys}
        return {key: self._judge(key, data) for key, data in zip(keys, found, strict=True)}

    def _instances(self, within: Range) -> Iterator[tuple[bytes, Instance, int]]:
        """All instances of a range in order: stored key, instance, approximate bytes.

        The held instances are read first: if one gets a row meanwhile, the row counts.
        """
        held = self._held.within(within)
        rows = (
            (at, self._unpack(at, data, Instance), len(data)) for at, data in self._each(within)
        )
        last = None
        for found in merge(rows, held, key=itemgetter(0)):
            if found[0] != last:
                yield found
            last = found[0]

    def write(self, records: Sequence[Record], *, sync: bool = True) -> None:
        """Write all records in one batch; see `decreed.registry.disk.Storage.write`.

        Raises:
            StorageFailed: if this write failed, or an earlier write or sync.
        """
        self._check_healthy()
        batch = WriteBatch(self._identity, self._feed_end)
        batch.add(records)
        held = self._note(batch)
        floors, gone = self._forget(batch) if batch.floors else ([], set[Key]())
        self._notes.forgotten(gone)
        self._write(batch.rows, sync)
        if sync:
            self._notes.synced()
        self._identity, self._feed_end = batch.identity, batch.feed_end
        self._floors.remember(floors)
        self._held.written(batch.instances, held)
        self._cache.written(batch.instances, gone)

    def sync(self) -> None:
        """Make all writes so far durable.

        Raises:
            StorageFailed: if this sync failed, or an earlier write or sync.
        """
        self._check_healthy()
        if self._unsynced:
            with self._noting_failure():
                self._data.sync()
            self._unsynced = False
            self._notes.synced()

    def scan(
        self, prefix: str, after: str, limit: int, max_bytes: int, until: str = ""
    ) -> ScanPage:
        """Instances under `prefix` after `after`: at most `limit`, and no more after `max_bytes`."""
        instances: list[tuple[Key, Instance]] = []
        size = 0
        for within in layout.scan_ranges(prefix, after, until):
            for stored, instance, length in self._instances(within):
                if instance.learned is None and instance.accepted is None:
                    continue
                if len(instances) >= limit or (instances and size >= max_bytes):
                    return ScanPage(tuple(instances), complete=False)
                instances.append((layout.key_of(stored), instance))
                size += length
        return ScanPage(tuple(instances), complete=True)

    def feed(self, start: int, limit: int) -> tuple[Sequence[FeedEntry], int]:
        """Up to `limit` entries from `start` on, and the index after the last one returned."""
        entries: list[FeedEntry] = []
        for stored, data in self._each(layout.feed_range(self._run_with(start))):
            run, first = self._unpack(stored, data, FeedRun), layout.feed_index(stored)
            found = run.entries(first, start, limit - len(entries))
            entries += found
            start = found[-1].index + 1 if found else start
            if len(entries) >= limit:
                break
        return entries, start

    def last_slot(self, series: str) -> int:
        """The highest slot that is learned here, or the floor; takes a seek and a few steps back."""
        floor = self._floors.of(series)
        start, end = layout.slots_range(series, floor)
        while pairs := self._descending((start, end), 1):
            stored, data = pairs[0]
            if self._unpack(stored, data, Instance).learned is not None:
                return int(layout.key_of(stored).rpartition("@")[2])
            end = stored
        return floor

    def close(self) -> None:
        """Close the byte store. Safe to call twice."""
        self._data.close()

    def _pages(self) -> Iterator[tuple[int, JournalPage]]:
        for stored, data in self._each(layout.table_range(Table.PENDING_JOURNAL)):
            yield layout.journal_page(stored), self._unpack(stored, data, JournalPage)

    def _unlearned(self, pages: Mapping[int, JournalPage]) -> tuple[Key, ...]:
        """The keys on these pages whose outcome is not known, in order.

        A key that cannot be read is included: it was accepted, and its state is unknown.
        """
        noted = sorted({key for page in pages.values() for key in page.each_key()}, key=sort_key)
        found = self.load(noted)
        self._held.keep(found)
        return tuple(key for key in noted if _is_unlearned(found[key]))

    def _recover(self, unlearned: tuple[Key, ...]) -> Recovered:
        pages = self._table(Table.INCARNATIONS, bytes)
        return Recovered(
            identity=self._identity,
            history=incarnations.joined(pages, self._identity.incarnation, self._data.where),
            peers=tuple(self._table(Table.PEERS, PeerRecord)),
            cursors=tuple(self._table(Table.CURSORS, CursorRecord)),
            feed_end=self._feed_end_found(),
            unlearned=unlearned,
            classes=tuple(self._table(Table.CLASSES, Class)),
        )

    def _run_with(self, index: int) -> int:
        """The first entry of the run with entry `index`, or of an earlier run, which does no harm."""
        pairs = self._descending((layout.feed_key(0), layout.feed_key(index + 1)), 1)
        return layout.feed_index(pairs[0][0]) if pairs else index

    def _feed_end_found(self) -> int:
        """The end of the feed, from its last run."""
        for stored, data in self._descending(layout.table_range(Table.FEED), 1):
            return layout.feed_index(stored) + len(self._unpack(stored, data, FeedRun).keys)
        return 0

    def _table(self, table: Table, kind: type[T]) -> Iterator[T]:
        for stored, data in self._each(layout.table_range(table)):
            yield self._unpack(stored, data, kind)

    def _note(self, batch: WriteBatch) -> Mapping[Key, Instance]:
        """Add the instances to the batch, and a page of the keys that it leaves unsettled.

        Returns:
            The instances on the page, which have no rows.
        """
        held: Mapping[Key, Instance] = {}
        page = self._notes.changed(batch.instances)
        if page is not None:
            number, keys = page
            held = self._held.chosen({k: batch.instances[k] for k in self._cache.blank(keys)})
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
        values, feed_end = batch.rows, batch.feed_end
        floors: list[Floor] = []
        try:
            for record in self._floors.raised(batch.floors):
                floor, rows = self._floors.rows(record, feed_end - 1, self._above(values))
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
            for stored, data in self._each(within):
                yield stored, self._position(stored, data)
            for stored, value in values.items():
                if within[0] <= stored < within[1]:
                    yield stored, value if isinstance(value, int) else None

        return rows

    def _position(self, stored: bytes, data: bytes) -> int | None:
        is_position = stored.startswith(Table.TERMS.value)
        return self._unpack(stored, data, int) if is_position else None

    def _write(self, values: Mapping[bytes, object | None], sync: bool) -> None:
        if values:
            changes = pack_all(values)
            with self._noting_failure():
                self._data.write(changes, sync=sync)
            self._unsynced = not sync
        elif sync:
            self.sync()

    def _check_healthy(self) -> None:
        """Check that no write or sync has failed.

        Raises:
            StorageFailed: if one has failed.
        """
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
            return self._held.get(key) or EMPTY
        try:
            return self._unpack(layout.instance_key(key), data, Instance)
        except errors.Damaged as error:
            return DamagedInstance(str(error))

    def _unpack(self, stored: bytes, data: bytes, kind: type[T]) -> T:
        return unpack(stored, data, kind, self._data.where)

    def _each(self, within: Range) -> Iterator[Pair]:
        """All pairs of a range in order, fetched a few at a time; fewer if they are long."""
        start, end = within
        count = _FIRST_CHUNK
        while pairs := self._ascending((start, end), count):
            yield from pairs
            start = pairs[-1][0] + b"\0"
            mean = sum(len(data) for _, data in pairs) // len(pairs)
            count = max(1, min(_CHUNK, _CHUNK_BYTES // max(1, mean)))

    def _ascending(self, within: Range, limit: int) -> list[Pair]:
        try:
            return self._data.ascending(within, limit)
        except Unreadable as error:
            raise self._lost(within, error) from error

    def _descending(self, within: Range, limit: int) -> list[Pair]:
        try:
            return self._data.descending(within, limit)
        except Unreadable as error:
            raise self._lost(within, error) from error

    def _lost(self, within: Range, error: Unreadable) -> errors.Damaged:
        start = within[0].decode(errors="replace")
        where = self._data.where
        return errors.Damaged(f"a record from {start!r} on in {where} is damaged: {error}")


def _is_unlearned(found: Instance | Unserved) -> bool:
    """Whether the outcome of a noted key may still be unknown; a forgotten key counts as settled."""
    return unsettled(found) if isinstance(found, Instance) else isinstance(found, DamagedInstance)
