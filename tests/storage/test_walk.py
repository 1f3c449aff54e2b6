"""`Storage.check`: all that lies in a store is read, and what is damaged is found, wherever it is."""

from hashlib import shake_128
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from decreed.registry.checked import CheckedPage, DamagedRow
from decreed.registry.config import ClusterConfig
from decreed.registry.disk import (
    ClassRecord,
    CursorRecord,
    EpochRecord,
    FeedRecord,
    InstanceRecord,
    PeerRecord,
    PeerSeatRecord,
    Record,
    Storage,
    WithheldRecord,
)
from decreed.registry.errors import Damaged
from decreed.registry.keys import LOCKS, MEMBERS, matches
from decreed.registry.locks.restored import Restoration
from decreed.registry.paxos.instance import Class, Instance
from decreed.registry.types import Key, NodeId
from decreed.storage import layout
from decreed.storage.directory import open_directory
from decreed.storage.layout import Table, instance_key
from decreed.storage.memory import MemoryDisk, open_memory
from decreed.storage.records import pack
from decreed.storage.walk import SECTIONS

from .conftest import NODE, Disk
from .leftovers import flip, tables
from .samples import BALLOT, accepted, forget, learned, promised
from .samples import decree as decree_of

PEER = NodeId("b")
TERMS = [Key(f"{LOCKS}/jobs@{n}") for n in (1, 2, 10)]
CHANGES = [Key(f"{MEMBERS}@{n}") for n in (1, 2)]
KEYS = [Key(f"k/{n:03}") for n in range(200)]


def reserved(key: Key) -> InstanceRecord:
    """A decree of a key that no claim can name."""
    decree = replace(decree_of("k"), key=key)
    return InstanceRecord(key, Instance(learned=decree))


EVERY_KIND: list[Record] = [
    *map(reserved, (*TERMS, *CHANGES)),
    *map(learned, KEYS),
    FeedRecord(0, (*TERMS, *CHANGES, *KEYS), b"d" * 16 * 205),
    accepted("accepted"),
    promised("promised"),
    ClassRecord(Class(BALLOT, b"d" * 16)),
    PeerRecord(PEER, b"d" * 16, 7, b"n" * 16),
    CursorRecord(PEER, b"d" * 16, 3),
    EpochRecord(3, 2, 1),
    PeerSeatRecord(PEER, 1, 3, 2, 1),
    WithheldRecord(Key("withheld"), 3),
    *forget(f"{LOCKS}/jobs", 2, 205),
]


def walk(storage: Storage, max_bytes: int = 1_000) -> list[CheckedPage]:
    """All pages."""
    pages = [storage.check(b"", max_bytes)]
    while (following := pages[-1].next) is not None:
        assert len(pages) < 10_000, "the walk does not end"
        pages.append(storage.check(following, max_bytes))
    return pages


def found(pages: list[CheckedPage], prefix: str | None) -> list[str]:
    return [key for page in pages if page.prefix == prefix for key, _ in page.instances]


@pytest.mark.parametrize("max_bytes", [1, 1_000, 10**9])
def test_every_row_is_read_once_and_a_sound_store_has_no_damage(disk: Disk, max_bytes: int) -> None:
    storage = disk.open()
    storage.write(EVERY_KIND)
    pages = walk(storage, max_bytes)
    assert [page for page in pages if page.damaged or page.faults] == []
    assert found(pages, LOCKS) == TERMS[1:]
    assert found(pages, MEMBERS) == CHANGES
    assert found(pages, "") == ["accepted", *KEYS, "promised"]
    assert found(pages, None) == []
    assert sum(page.size for page in pages) > 200 * 50


def test_a_page_has_about_as_many_bytes_as_it_may_have(disk: Disk) -> None:
    storage = disk.open()
    storage.write([learned(key, bytes(500)) for key in KEYS])
    assert all(page.size < 3_000 for page in walk(storage, 2_000))


def test_pages_of_one_prefix_end_with_a_complete_one(disk: Disk) -> None:
    storage = disk.open()
    storage.write(EVERY_KIND)
    for prefix in (LOCKS, MEMBERS, ""):
        ends = [page.complete for page in walk(storage) if page.prefix == prefix]
        assert ends == [False] * (len(ends) - 1) + [True]


def test_every_instance_lies_in_the_section_under_whose_prefix_it_is_listed() -> None:
    for key in (*TERMS, *CHANGES, *KEYS, "a", "é", "~", "A"):
        stored = instance_key(key)
        (section,) = (each for each in SECTIONS if each.start <= stored < each.end)
        assert section.prefix is not None and matches(section.prefix, Key(key))
        ranges = layout.scan_ranges(section.prefix, "")
        assert any(start <= stored < end for start, end in ranges)


def test_no_row_lies_between_two_sections() -> None:
    for table in Table:
        for stored in (table.value, table.value + b"\0", table.value + b"\xff" * 3):
            assert sum(each.start <= stored < each.end for each in SECTIONS) == 1, stored
    assert all(one.end <= two.start for one, two in pairwise(SECTIONS))


@pytest.mark.parametrize("table", list(Table))
def test_a_changed_byte_is_found_in_every_table(table: Table, config: ClusterConfig) -> None:
    disk = MemoryDisk("a")
    storage = open_memory(disk, config, NODE, lambda count: bytes(count))
    storage.write(EVERY_KIND)
    if table is Table.RESTORATION:
        made = Restoration(b"n" * 16, 1, 1_000, b"s" * 16, b"f" * 16)
        disk.write({layout.RESTORATION_KEY: pack(layout.RESTORATION_KEY, made)})
    every = disk.keys_within(layout.table_range(table))
    assert every
    for stored in every[:20]:
        disk.flip(stored, -1)
        pages = walk(storage)
        faults = [fault for page in pages for fault in page.faults]
        damaged = [row for page in pages for row in page.damaged]
        assert len(faults) + len(damaged) == 1, stored
        if table is Table.INSTANCES:
            (row,) = damaged
            assert isinstance(row, DamagedRow)
            assert row.key == layout.key_of(stored) and repr(row.key) in row.message
        disk.flip(stored, -1)


def test_what_cannot_be_read_is_passed_over_and_named(config: ClusterConfig) -> None:
    disk = MemoryDisk("a")
    storage = open_memory(disk, config, NODE, lambda count: bytes(count))
    storage.write(EVERY_KIND)
    disk.lose(instance_key(KEYS[7]))
    pages = walk(storage)
    assert found(pages, "") == ["accepted", *KEYS[:7], *KEYS[8:], "promised"]
    (fault,) = (fault for page in pages for fault in page.faults)
    assert "'k/006' up to 'k/007'" in fault and "a block of a cannot be read" in fault


def test_a_part_of_the_feed_that_cannot_be_read_is_named_by_its_entries(
    config: ClusterConfig,
) -> None:
    disk = MemoryDisk("a")
    storage = open_memory(disk, config, NODE, lambda count: bytes(count))
    storage.write(EVERY_KIND)
    first, second = disk.keys_within(layout.table_range(Table.FEED))[:2]
    disk.lose(second)
    (fault,) = (fault for page in walk(storage) for fault in page.faults)
    places = [layout.feed_index(stored) for stored in (first, second)]
    assert fault.startswith(f"feed from entry {places[0]} up to entry {places[1]}: a block")
    disk.restore()
    disk.lose(first)
    (fault,) = (fault for page in walk(storage) for fault in page.faults)
    assert " up to feed entry " in fault and fault.isprintable()
    with pytest.raises(Damaged, match=r"^feed from entry 0 on in a is damaged: a block of a"):
        storage.feed(0, 10)


def test_a_flipped_byte_of_a_table_on_a_real_disk_is_found_with_its_file(
    tmp_path: Path, config: ClusterConfig
) -> None:
    """RocksDB checks its blocks; the rows of all other blocks are read."""
    path = tmp_path / "data"
    storage = open_directory(path, config, NODE)
    values = {key: shake_128(key.encode()).digest(300) for key in KEYS}
    storage.write([learned(key, value) for key, value in values.items()])
    storage.close()  # which makes a table
    (table,) = tables(path)
    flip(table, table.read_bytes().index(values[KEYS[100]]))
    storage = open_directory(path, config, NODE)
    try:
        pages = walk(storage)
        (fault,) = (fault for page in pages for fault in page.faults)
        assert str(table) in fault and "checksum" in fault
        sound = found(pages, "")
        assert KEYS[100] not in sound and len(sound) > 150
        assert sound == sorted(set(sound))
    finally:
        storage.close()
