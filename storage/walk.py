"""`check_page`: reads all that lies in a byte store, some rows at a time, and finds what is damaged.

RocksDB checks each block that it reads, and `records` each row. So damage is found before anybody needs
what is damaged. It must not know what is done about it.

Invariants:

* every row is read, in one walk from the first page to the one without a `next`; a row that is written
  meanwhile may be missed, since its place may lie behind;
* damage is reported, and passed over; it never ends the walk;
* a key that the feed names and that has no row is found; a term may have been forgotten meanwhile;
* a withheld row is no damage: it is read as it was written, and says that the node is silent (M18).
"""

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

from ..registry.checked import CheckedPage, DamagedRow
from ..registry.disk import CursorRecord, DirectoryIdentity, EpochRecord, PeerRecord, PeerSeatRecord
from ..registry.errors import Damaged, Refused
from ..registry.keys import LOCKS, MEMBERS
from ..registry.locks.restored import Restoration
from ..registry.paxos.instance import Class, Instance
from ..registry.types import Key
from ..registry.unserved import DamagedInstance, WithheldInstance
from . import layout
from .bytestore import ByteStore, Pair, Range, Unreadable
from .floors import Floor
from .layout import Table
from .pending_journal import JournalPage
from .recovery.salvage import Salvage
from .rows import Rows
from .runs import FeedRun
from .withheld import unserved

_KINDS: dict[Table, Any] = {
    Table.PENDING_JOURNAL: JournalPage,
    Table.FEED: FeedRun,
    Table.TERMS: int,
    Table.FLOORS: Floor,
    Table.CLASSES: Class,
    Table.PEERS: PeerRecord,
    Table.CURSORS: CursorRecord,
    Table.IDENTITY: DirectoryIdentity,
    Table.EPOCHS: PeerSeatRecord,
    Table.INCARNATIONS: bytes,
    Table.RESTORATION: Restoration,
}

_LOOKED_UP = 16
"""So many keys of the feed are looked up together, whatever their values are."""


class Section(NamedTuple):
    """A part of the byte store; a page never goes beyond one.

    Args:
        start, end: its range.
        prefix: lists have all instances of it, and no others, under this prefix; None: none of it.
    """

    start: bytes
    end: bytes
    prefix: str | None


def _sections() -> tuple[Section, ...]:
    """All sections, in order; every row is in one."""
    tables = sorted(table.value for table in Table)
    start, end = layout.table_range(Table.INSTANCES)
    sections = [Section(tables[0], start, None)]
    for prefix in (LOCKS, MEMBERS, ""):
        ranges = layout.scan_ranges(prefix, "")
        sections += (
            Section(start, ranges[0][0], None),
            Section(ranges[0][0], ranges[-1][1], prefix),
        )
        start = ranges[-1][1]
    behind = next(each for each in tables if each >= end)
    return (*sections, Section(behind, bytes([tables[-1][0] + 1]), None))


class _Unhurried(Salvage):
    """Reads what can be read, once, so that memory keeps what others need."""

    def _pairs(self, within: Range, limit: int) -> list[Pair]:
        return self._data.walk(within, limit)


SECTIONS = _sections()


class PageCheck:
    """One page under construction.

    Args:
        rows: reads rows.
        where: the name of the store in messages.
    """

    def __init__(self, rows: Rows, where: str) -> None:
        self._rows = rows
        self._where = where
        self.size = 0
        self.instances: list[tuple[Key, Instance]] = []
        self.damaged: list[DamagedRow] = []
        self.faults: list[str] = []
        self.named: list[Key] = []

    def add(self, stored: bytes, data: bytes) -> None:
        """Check a row."""
        self.size += len(stored) + len(data)
        if layout.is_instance(stored):
            self._add_instance(stored, data)
            return
        try:
            row = self._rows.unpack(stored, data, _kind(stored))
        except Refused as error:
            self.faults.append(str(error))
        else:
            if isinstance(row, FeedRun):
                self.named += row.decided()

    def _add_instance(self, stored: bytes, data: bytes) -> None:
        try:
            instance = self._rows.unpack(stored, data, Instance)
        except Damaged as error:
            found = unserved(stored, data, self._where, error)
            if not isinstance(found, WithheldInstance):
                self._note(stored, found)
        except Refused as error:
            self.faults.append(str(error))
        else:
            self.instances.append((layout.key_of(stored), instance))

    def _note(self, stored: bytes, found: DamagedInstance) -> None:
        self.damaged.append(DamagedRow(layout.key_of(stored), found.message))


def check_page(data: ByteStore, rows: Rows, position: bytes, max_bytes: int) -> CheckedPage:
    """Read from `position` on, and check all that is read.

    Args:
        data: what to read.
        rows: reads its rows.
        position: the `next` of the page before; empty at the beginning.
        max_bytes: the page ends once it has more than this, or where its section ends.
    """
    at = next(n for n, each in enumerate(SECTIONS) if position < each.end)
    section = SECTIONS[at]
    reading = _Unhurried(data)
    page = PageCheck(rows, data.where)
    last = None
    for stored, found in reading.each((max(position, section.start), section.end)):
        page.add(stored, found)
        if page.size >= max_bytes:
            last = stored + b"\0"
            break
    faults = [f"{gap} (in {data.where})" for gap in reading.gaps]
    gone, looked_up = without_rows(data, page.named)
    return CheckedPage(
        last or next((each.start for each in SECTIONS[at + 1 :]), None),
        page.size + looked_up,
        section.prefix,
        last is None,
        tuple(page.instances),
        tuple(page.damaged),
        (*page.faults, *faults),
        gone,
    )


def without_rows(data: ByteStore, keys: Iterable[Key]) -> tuple[tuple[Key, ...], int]:
    """The ones of these keys that have no row at all; one that cannot be read is no such key.

    Returns:
        The keys, and how many bytes were read to find them.
    """
    gone: list[Key] = []
    size = 0
    each = iter(keys)
    while some := list(islice(each, _LOOKED_UP)):
        with suppress(Unreadable):  # the walk finds what is damaged at its own place
            found = data.get_many([layout.instance_key(key) for key in some])
            gone += [key for key, row in zip(some, found, strict=True) if row is None]
            size += sum(len(row) for row in found if row is not None)
    return tuple(gone), size


def _kind(stored: bytes) -> Any:
    """The type of a row that is no instance."""
    return EpochRecord if stored == layout.EPOCH_KEY else _KINDS[Table(stored[:1])]
