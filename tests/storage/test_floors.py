"""What every storage forgets below a floor, and what it keeps, on disk and in memory alike."""

import pytest

from decreed.registry.disk import FeedEntry, InstanceRecord, Record
from decreed.registry.errors import Forgotten as ForgottenError
from decreed.registry.errors import StorageFailed
from decreed.registry.paxos.instance import EMPTY, Instance
from decreed.registry.types import Key, Proposal
from decreed.registry.unserved import DamagedInstance, ForgottenInstance
from decreed.registry.wire.peers import FLOOR_DIGEST
from decreed.storage import layout
from decreed.storage.layout import Table
from decreed.storage.memory import MemoryDisk, open_memory
from decreed.storage.store import RecordStore

from .conftest import NODE, Disk, make_config
from .samples import BALLOT, decree, feed_record, forget

SERIES = "$locks/a/l"


def term(number: int) -> Key:
    return Key(f"{SERIES}@{number}")


def instance(key: str) -> InstanceRecord:
    """`key`, learned; it need not be one that can be claimed."""
    return InstanceRecord(Key(key), Instance(learned=decree("k")))


def decided(index: int, key: str) -> list[Record]:
    return [instance(key), feed_record(index, key)]


def terms(first: int, last: int, index: int = 0) -> list[Record]:
    """Terms from `first` to `last`, learned, from entry `index` of the feed on."""
    return [
        record
        for number in range(first, last + 1)
        for record in decided(index + number - first, term(number))
    ]


def entries(storage: RecordStore) -> list[int]:
    return [entry.index for entry in storage.feed(0, 10_000)[0]]


def slots(storage: RecordStore) -> list[str]:
    """All slots of the series that a scan finds."""
    page = storage.scan(SERIES, "", 10_000, 10**9)
    return [key.rpartition("@")[2] for key, _ in page.instances]


def test_a_slot_below_the_floor_is_forgotten_now_and_after_a_restart(disk: Disk) -> None:
    disk.open().write([*terms(1, 20), *forget(SERIES, 11, 20)])
    for _ in range(2):
        storage = disk.open()
        found = storage.load([term(n) for n in range(1, 22)])
        for number in range(1, 11):
            gone = found[term(number)]
            assert isinstance(gone, ForgottenInstance) and gone.error is ForgottenError
            assert (gone.series, gone.floor) == (SERIES, 11)
        assert all(isinstance(found[term(n)], Instance) for n in range(11, 21))
        assert found[term(21)] == EMPTY
        assert slots(storage) == [str(n) for n in range(11, 21)]
        assert entries(storage) == list(range(10, 21))


def test_a_floor_covers_slots_that_were_never_seen(disk: Disk) -> None:
    disk.open().write(forget(SERIES, 1_000, 0))
    storage = disk.open()
    assert isinstance(storage.load([term(999)])[term(999)], ForgottenInstance)
    assert storage.load([term(1_000)]) == {term(1_000): EMPTY}
    assert storage.last_slot(SERIES) == 1_000


def test_slots_written_in_the_batch_of_the_floor_are_forgotten_too(disk: Disk) -> None:
    disk.open().write([*forget(SERIES, 5, 0), *terms(1, 6, index=1)])
    storage = disk.open()
    assert slots(storage) == ["5", "6"]
    assert entries(storage) == [0, 5, 6]


def test_slots_written_below_a_floor_later_stay_forgotten(disk: Disk) -> None:
    storage = disk.open()
    storage.write(forget(SERIES, 5, 0))
    storage.write([InstanceRecord(term(3), Instance(promised=BALLOT))])
    assert isinstance(disk.open().load([term(3)])[term(3)], ForgottenInstance)


def test_a_floor_never_goes_down(disk: Disk) -> None:
    storage = disk.open()
    storage.write([*forget(SERIES, 9, 0), *forget(SERIES, 5, 1)])
    storage.write(forget(SERIES, 7, 2))
    for _ in range(2):
        assert isinstance(storage.load([term(8)])[term(8)], ForgottenInstance)
        assert storage.last_slot(SERIES) == 9
        storage = disk.open()


def test_the_last_slot_is_the_floor_until_a_later_one_is_learned(disk: Disk) -> None:
    storage = disk.open()
    storage.write([*terms(1, 3), *forget(SERIES, 20, 3)])
    assert storage.last_slot(SERIES) == 20
    storage.write([InstanceRecord(term(21), Instance(promised=BALLOT))])
    assert storage.last_slot(SERIES) == 20
    storage.write(terms(22, 22, index=4))
    assert disk.open().last_slot(SERIES) == 22


def test_a_floor_does_not_affect_other_series_and_keys(disk: Disk) -> None:
    others = ["$locks/a", "$locks/a/l2@3", "$locks/a/l/m@3", "$locks/b@3", "a/l@3", "k"]
    keys = [Key(key) for key in others]
    storage = disk.open()
    storage.write([record for at, key in enumerate(keys) for record in decided(at, key)])
    storage.write([*terms(1, 9, index=len(keys)), *forget(SERIES, 9, len(keys) + 9)])
    found = disk.open().load(keys)
    assert all(isinstance(instance, Instance) and instance.learned for instance in found.values())
    assert entries(disk.open()) == [*range(len(keys)), len(keys) + 8, len(keys) + 9]


def test_no_key_in_doubt_below_the_floor_is_found_at_the_start(disk: Disk) -> None:
    held = [InstanceRecord(term(n), _accepted(n)) for n in range(1, 21)]
    storage = disk.open()
    storage.write(held)
    storage.write(forget(SERIES, 20, 0))
    assert disk.open().recovered().unlearned == (term(20),)


def test_M16_the_feed_tells_a_floor_by_an_entry_of_its_batch(disk: Disk) -> None:
    disk.open().write([*terms(1, 9), *forget(SERIES, 9, 9), *decided(10, "k")])
    for _ in range(2):
        told = [FeedEntry(9, term(8), FLOOR_DIGEST)]
        assert list(disk.open().feed(9, 1)[0]) == told, "its own floor does not delete it"
        assert entries(disk.open()) == [8, 9, 10]


def test_M16_the_entry_of_a_floor_goes_with_the_next_floor_of_its_series(disk: Disk) -> None:
    disk.open().write([*terms(1, 9), *forget(SERIES, 5, 9)])
    disk.open().write(forget("$locks/other", 5, 10))
    disk.open().write(forget(SERIES, 7, 11))
    assert entries(disk.open()) == [6, 7, 8, 10, 11]
    disk.open().write([*forget(SERIES, 8, 12), *forget(SERIES, 100, 13)])
    assert entries(disk.open()) == [10, 13], "two floors in one batch leave one entry"


def test_the_newest_feed_entry_is_never_deleted(disk: Disk) -> None:
    storage = disk.open()
    storage.write(terms(1, 9))
    storage.write(forget(SERIES, 100, 9))
    assert entries(storage) == [9], "where the feed ends is read from it"
    assert disk.open().recovered().feed_end == 10
    assert disk.open().feed(0, 5)[1] == 10


def test_the_floors_are_found_at_the_start(disk: Disk) -> None:
    disk.open().write([*forget(SERIES, 5, 0), *forget("$locks/b", 7, 1), *forget(SERIES, 9, 2)])
    found = {(floor.series, floor.floor, floor.entry) for floor in disk.open().recovered().floors}
    assert found == {(SERIES, 9, 2), ("$locks/b", 7, 1)}


def test_ten_thousand_terms_leave_only_the_rows_that_are_kept() -> None:
    memory = MemoryDisk()
    storage = open_memory(memory, make_config(), NODE, lambda count: b"m" * count)
    end = 0
    for number in range(1, 10_001):
        storage.write(terms(number, number, index=end))
        end += 1
        if number % 16 == 0 and number > 32:
            storage.write(forget(SERIES, number - 31, end))
            end += 1
    rows = [
        key
        for key in memory.values
        if key[:1] not in (layout.IDENTITY_KEY, Table.INCARNATIONS.value)
    ]
    assert len(rows) == 3 * 32 + 2, "instances, feed entries, their index, the floor and its entry"


def test_a_floor_that_cannot_be_read_stops_the_node() -> None:
    memory = MemoryDisk()
    storage = open_memory(memory, make_config(), NODE, lambda count: b"m" * count)
    storage.write(forget(SERIES, 9, 0))
    storage.close()
    memory.flip(layout.floor_key(SERIES), 7)
    with pytest.raises(Exception, match="the floor of"):
        open_memory(memory, make_config(), NODE, lambda count: b"m" * count)


def test_if_the_rows_below_a_floor_cannot_be_read_the_write_fails_whole() -> None:
    memory = MemoryDisk()
    storage = open_memory(memory, make_config(), NODE, lambda count: b"m" * count)
    storage.write(terms(1, 9))
    memory.flip(layout.term_key(term(3)), 3)
    with pytest.raises(StorageFailed, match="the feed position of key"):
        storage.write([*terms(10, 10, index=9), *forget(SERIES, 9, 10)])
    assert storage.load([term(10)]) == {term(10): EMPTY}
    assert not isinstance(storage.load([term(1)])[term(1)], ForgottenInstance | DamagedInstance)


@pytest.mark.parametrize("table", list(Table))
def test_every_stored_key_can_be_named(table: Table) -> None:
    key = {Table.FEED: layout.feed_key(7), Table.IDENTITY: layout.IDENTITY_KEY}
    assert layout.describe(key.get(table, table.value + layout.term_key("a@7")[1:]))


def _accepted(number: int) -> Instance:
    return Instance(promised=BALLOT, accepted=Proposal(BALLOT, decree("k", b"%d" % number)))
