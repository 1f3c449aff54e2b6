"""`Floors`: the slot below which each series is forgotten, and the rows that a new floor deletes.

Owns the floors in memory, and the choice of the rows that a floor deletes. It reads through a function
that it is given, and must not write: the store puts its changes into the batch of the record.

Invariants:

* A floor and the deletions below it are one batch, so every deleted row is below a floor that is on
  the disk (R13, R14: a promise is remembered, or the node is known not to be an acceptor there).
* A floor never goes down.
* Each floor has one entry in the feed, in its own batch, which tells it to the readers (M16). The
  floor's row names the entry, and the next floor of the series deletes it. No row of `Table.TERMS`
  names it, so no floor deletes the entry of its own batch.
* The newest entry of the feed is never deleted, since it tells where the feed ends: the entry of the
  floor that deletes others is newer than those.
* In a restored formation no lock has a floor below that of the formation, and for a lock without a row
  at that floor, the restored term is decided there: a floor is never above the newest learned term.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from ..registry.disk import FeedRecord, ForgetRecord, Record
from ..registry.keys import series_and_slot, slot_key
from ..registry.locks.restored import Restoration
from ..registry.locks.terms import lock_of
from ..registry.paxos.instance import EMPTY, Instance
from ..registry.types import Counter, Key, Value
from ..registry.unserved import ForgottenInstance
from ..registry.wire.peers import FLOOR_DIGEST
from ..registry.wire.requests import PathText
from . import layout
from .bytestore import Range
from .layout import Table

TermRows = Callable[[Range], Iterable[tuple[bytes, int | None]]]
"""Returns the stored keys of a range, each with its feed position if it is in `Table.TERMS`."""


class Floor(Value, frozen=True):
    """The floor of one series, as it is stored.

    Args:
        series: its path.
        floor: all slots below it are forgotten.
        entry: the feed entry that the next floor deletes. It tells the floor, or, in rows of earlier
            builds, it is that of a forgotten slot which had to stay as the newest entry.
        told: whether `entry` tells the floor.
    """

    series: PathText
    floor: Counter
    entry: Counter | None = None
    told: bool = False


class Floors:
    """The floors of all series of a node, one small value for each series that has a floor.

    Args:
        floors: those on the disk.
        restoration: how the formation was restored; None if it was not.

    Attributes:
        restoration: the same.
    """

    def __init__(self, floors: Iterable[Floor], restoration: Restoration | None = None) -> None:
        self._floors = {floor.series: floor for floor in floors}
        self.restore(restoration)

    def restore(self, restoration: Restoration | None) -> None:
        """Take how the formation was restored: locks without a row go on from there."""
        self.restoration = restoration
        self._least = restoration.floor if restoration is not None else 0

    def of(self, series: str) -> int:
        """The floor of `series`; 0 if it has no floor."""
        floor = self._floors.get(series)
        least = self._least if self._least and layout.is_term(series) else 0
        return floor.floor if floor is not None and floor.floor > least else least

    def restored(self, key: Key) -> Instance:
        """What a node holds for a key without a row: the restored term of a lock, or nothing."""
        if self.restoration is None or not layout.is_term(key):
            return EMPTY
        series, slot = series_and_slot(key)
        if slot != self._least:
            return EMPTY
        return Instance(learned=self.restoration.unknown_term(lock_of(series)))

    def forgotten_of(self, keys: Collection[Key]) -> Mapping[Key, ForgottenInstance]:
        """The `ForgottenInstance` of each of `keys` that is forgotten."""
        if not self._floors and not self._least:
            return {}
        judged = {key: self.forgotten(key) for key in keys if "@" in key}
        return {key: why for key, why in judged.items() if why is not None}

    def forgotten(self, key: Key) -> ForgottenInstance | None:
        """The `ForgottenInstance` of `key`; None if it is not forgotten."""
        series, slot = series_and_slot(key)
        floor = self.of(series) if slot is not None else 0
        return ForgottenInstance.below(series, floor) if slot is not None and slot < floor else None

    def all(self) -> tuple[ForgetRecord, ...]:
        """All floors, each with the entry that tells it."""
        each = self._floors.values()
        return tuple(ForgetRecord(f.series, f.floor, f.entry) for f in each if f.entry is not None)

    def untold(self, feed_end: int) -> Iterator[tuple[Record, ...]]:
        """For each floor that no entry tells yet, the records that append one.

        Args:
            feed_end: the index of the first of these entries.
        """
        untold = [floor for floor in self._floors.values() if not floor.told]
        for entry, floor in enumerate(untold, feed_end):
            last = slot_key(floor.series, floor.floor - 1)
            forget = ForgetRecord(floor.series, floor.floor, entry)
            yield FeedRecord(entry, (last,), FLOOR_DIGEST), forget

    def raised(self, records: Iterable[ForgetRecord]) -> list[tuple[ForgetRecord, Floor]]:
        """The records that raise a floor, or tell one that is untold, each with the floor before it."""
        raised: list[tuple[ForgetRecord, Floor]] = []
        floors: dict[str, Floor] = {}
        for record in records:
            series = record.series
            before = floors.get(series) or self._floors.get(series) or Floor(series, 0)
            least = before.floor if before.told else before.floor - 1
            if record.floor > least:
                floors[series] = Floor(series, record.floor, record.entry, told=True)
                raised.append((record, before))
        return raised

    def rows(
        self, record: ForgetRecord, before: Floor, read: TermRows
    ) -> tuple[Floor, Mapping[bytes, object | None]]:
        """The changes of a raised floor.

        Args:
            record: the new floor; its feed entry is in the batch that is being built.
            before: the floor until now.
            read: reads the store, with the batch that is being built applied.

        Returns:
            The floor, and the rows to put and to delete, including its own.
        """
        changes: dict[bytes, object | None] = {}
        entries = [] if before.entry is None else [before.entry]
        for table in (Table.INSTANCES, Table.TERMS):
            within = layout.forgotten_range(table, record.series, before.floor, record.floor)
            for stored, entry in read(within):
                changes[stored] = None
                entries += [] if entry is None else [entry]
        changes.update((layout.feed_key(entry), None) for entry in entries)
        floor = Floor(record.series, record.floor, record.entry, told=True)
        changes[layout.floor_key(record.series)] = floor
        return floor, changes

    def remember(self, floors: Iterable[Floor]) -> None:
        """Remember floors that were written."""
        self._floors.update((floor.series, floor) for floor in floors)
