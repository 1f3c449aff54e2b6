"""`Floors`: below which slot each series is forgotten, and what a new floor deletes.

Owns the floors in memory, and the choice of the rows that go with one. It reads through a function
that it is given, and must not write: the store puts its changes into the batch of the record.

Invariants:

* A floor and the deletions below it are one batch, so whatever is gone from the disk lies below a
  floor that is on the disk (R13, R14: a promise is remembered, or the acceptor is known to be none).
* A floor never goes down.
* The newest entry of the feed stays, since it says where the feed ends; the floor's row remembers
  it, and the series' next floor deletes it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

from ..registry.disk import ForgetRecord, Forgotten
from ..registry.keys import series_and_slot
from ..registry.types import Counter, Key, Value
from ..registry.wire.requests import PathText
from . import layout
from .bytestore import Range
from .layout import Table

TermRows = Callable[[Range], Iterable[tuple[bytes, int | None]]]
"""Gives the stored keys of a range, each with its feed position if it is of `Table.TERMS`."""


class Floor(Value, frozen=True):
    """The floor of one series, as it is stored.

    Args:
        series: its path.
        floor: all slots below it are forgotten.
        left: the feed entry of a forgotten slot that had to stay, as it was the newest of all.
    """

    series: PathText
    floor: Counter
    left: Counter | None = None


class Floors:
    """The floors of all series of a node, one small value for each that ever forgot something."""

    def __init__(self, floors: Iterable[Floor]) -> None:
        self._floors = {floor.series: floor for floor in floors}

    def of(self, series: str) -> int:
        """The floor of `series`, 0 if it has none."""
        floor = self._floors.get(series)
        return floor.floor if floor is not None else 0

    def forgotten_of(self, keys: Collection[Key]) -> Mapping[Key, Forgotten]:
        """What to say of those of `keys` that are forgotten."""
        if not self._floors:
            return {}
        judged = {key: self.forgotten(key) for key in keys if "@" in key}
        return {key: why for key, why in judged.items() if why is not None}

    def forgotten(self, key: Key) -> Forgotten | None:
        """What to say of `key` if it is forgotten."""
        series, slot = series_and_slot(key)
        floor = self.of(series) if slot is not None else 0
        return Forgotten.below(series, floor) if slot is not None and slot < floor else None

    def raised(self, records: Iterable[ForgetRecord]) -> list[ForgetRecord]:
        """For each series whose floor goes up with these records, the highest one."""
        highest: dict[str, ForgetRecord] = {}
        for record in records:
            known = highest.get(record.series)
            least = known.floor if known is not None else self.of(record.series)
            if record.floor > least:
                highest[record.series] = record
        return list(highest.values())

    def rows(
        self, record: ForgetRecord, newest: int, read: TermRows
    ) -> tuple[Floor, Mapping[bytes, object | None]]:
        """What a floor that goes up changes.

        Args:
            record: the new floor.
            newest: the index of the newest feed entry once the batch is written, -1 without any.
            read: reads the store, and the batch in the making above it.

        Returns:
            The floor, and the rows to put and to delete, its own among them.
        """
        before = self._floors.get(record.series, Floor(record.series, 0))
        changes: dict[bytes, object | None] = {}
        entries = [] if before.left is None else [before.left]
        for table in (Table.INSTANCES, Table.TERMS):
            within = layout.forgotten_range(table, record.series, before.floor, record.floor)
            for stored, entry in read(within):
                changes[stored] = None
                entries += [] if entry is None else [entry]
        changes.update((layout.feed_key(entry), None) for entry in entries if entry != newest)
        floor = Floor(record.series, record.floor, newest if newest in entries else None)
        changes[layout.floor_key(record.series)] = floor
        return floor, changes

    def remember(self, floors: Iterable[Floor]) -> None:
        """These floors are durable."""
        self._floors.update((floor.series, floor) for floor in floors)
