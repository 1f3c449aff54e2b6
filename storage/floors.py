"""`Floors`: the slot below which each series is forgotten, and the rows that a new floor deletes.

Owns the floors in memory, and the choice of the rows that a floor deletes. It reads through a function
that it is given, and must not write: the store puts its changes into the batch of the record.

Invariants:

* A floor and the deletions below it are one batch, so every deleted row is below a floor that is on
  the disk (R13, R14: a promise is remembered, or the node is known not to be an acceptor there).
* A floor never goes down.
* The newest entry of the feed stays, since it tells where the feed ends; the floor's row records it,
  and the next floor of the series deletes it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

from ..registry.disk import ForgetRecord, ForgottenInstance
from ..registry.keys import series_and_slot
from ..registry.types import Counter, Key, Value
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
        left: the feed entry of a forgotten slot that had to stay, since it was the newest entry.
    """

    series: PathText
    floor: Counter
    left: Counter | None = None


class Floors:
    """The floors of all series of a node, one small value for each series that has a floor."""

    def __init__(self, floors: Iterable[Floor]) -> None:
        self._floors = {floor.series: floor for floor in floors}

    def of(self, series: str) -> int:
        """The floor of `series`; 0 if it has no floor."""
        floor = self._floors.get(series)
        return floor.floor if floor is not None else 0

    def forgotten_of(self, keys: Collection[Key]) -> Mapping[Key, ForgottenInstance]:
        """The `ForgottenInstance` of each of `keys` that is forgotten."""
        if not self._floors:
            return {}
        judged = {key: self.forgotten(key) for key in keys if "@" in key}
        return {key: why for key, why in judged.items() if why is not None}

    def forgotten(self, key: Key) -> ForgottenInstance | None:
        """The `ForgottenInstance` of `key`; None if it is not forgotten."""
        series, slot = series_and_slot(key)
        floor = self.of(series) if slot is not None else 0
        return ForgottenInstance.below(series, floor) if slot is not None and slot < floor else None

    def raised(self, records: Iterable[ForgetRecord]) -> list[ForgetRecord]:
        """The highest record of each series whose floor these records raise."""
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
        """The changes of a raised floor.

        Args:
            record: the new floor.
            newest: the index of the newest feed entry once the batch is written; -1 for an empty feed.
            read: reads the store, with the batch that is being built applied.

        Returns:
            The floor, and the rows to put and to delete, including its own.
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
        """Remember floors that were written."""
        self._floors.update((floor.series, floor) for floor in floors)
