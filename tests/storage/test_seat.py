"""The seat of a node, and the keys that it withholds: what every storage keeps of them (M05, M18)."""

import pytest
from msgspec.structs import replace

from decreed.registry.disk import EpochRecord, InstanceRecord, PeerRecord, WithheldRecord
from decreed.registry.errors import Damaged
from decreed.registry.members import members_key
from decreed.registry.paxos.instance import EMPTY, Instance
from decreed.registry.types import Key, NodeId
from decreed.registry.unserved import DamagedInstance, ForgottenInstance, WithheldInstance
from decreed.storage import layout
from decreed.storage.memory import MemoryDisk, open_memory
from decreed.storage.records import unpack
from decreed.storage.store import RecordStore
from decreed.storage.withheld import Withheld

from .conftest import NODE, Disk, make_config
from .samples import accepted, decree, forget, learned, promised

K = Key("k")
MANY = 10**9


def opened(disk: MemoryDisk) -> RecordStore:
    return open_memory(disk, make_config(), NODE, lambda count: b"m" * count)


def test_M05_a_fresh_node_has_no_seat_and_the_last_one_that_was_written_is_found(
    disk: Disk,
) -> None:
    assert disk.open().recovered().epoch is None
    storage = disk.open()
    storage.write([EpochRecord(1, None, 0)])
    assert disk.open().recovered().epoch == EpochRecord(1, None, 0)
    disk.open().write([EpochRecord(2, 1, 7), EpochRecord(2**40, 2, 2**62)])
    assert disk.open().recovered().epoch == EpochRecord(2**40, 2, 2**62)


def test_M05_a_node_whose_seat_cannot_be_read_does_not_start() -> None:
    memory = MemoryDisk()
    storage = opened(memory)
    storage.write([EpochRecord(3, 2, 7)])
    storage.close()
    for position in range(len(memory.values[layout.EPOCH_KEY])):
        memory.flip(layout.EPOCH_KEY, position)
        with pytest.raises(Damaged, match="the seat of the node"):
            opened(memory)
        memory.flip(layout.EPOCH_KEY, position)
    assert opened(memory).recovered().epoch == EpochRecord(3, 2, 7)


def test_M19_the_address_that_a_peer_told_is_kept_with_its_record(disk: Disk) -> None:
    record = PeerRecord(NodeId("b"), b"d" * 16, 7, b"n" * 16, "b.example:7400")
    disk.open().write([record])
    assert disk.open().recovered().peers == (record,)


def test_M21_a_dispute_is_found_beside_a_change_that_cannot_be_read() -> None:
    memory = MemoryDisk()
    keys = [members_key(number) for number in (1, 2, 3)]
    one = replace(decree("k"), key=keys[0])
    two = Instance(learned=one, disputed=replace(one, value=b"other"))
    others = [Instance(learned=replace(one, key=key)) for key in keys[1:]]
    records = map(InstanceRecord, keys, [two, *others])
    opened(memory).write([*records, EpochRecord(3, 3, 0)])
    memory.crash()
    memory.lose(layout.instance_key(keys[1]))
    recovered = opened(memory).recovered()
    assert recovered.disputed == (keys[0],)
    assert recovered.members is not None


# -- withheld keys


def check_withheld(storage: RecordStore, key: Key, epoch: int) -> None:
    found = storage.load([key])[key]
    assert isinstance(found, WithheldInstance) and isinstance(found, DamagedInstance)
    assert found.error is Damaged and found.epoch == epoch
    assert f"key {key!r}" in found.message and f"withheld since epoch {epoch}" in found.message
    for read in (lambda: storage.scan("", "", 9, MANY), lambda: storage.last_slot("s")):
        with pytest.raises(Damaged, match=f"withheld since epoch {epoch}"):
            read()


def test_M18_a_withheld_key_is_silent_now_and_after_a_restart(disk: Disk) -> None:
    key = Key("s@3")
    disk.open().write([learned("s@1"), WithheldRecord(key, 4), EpochRecord(4, 4, 0)])
    for _ in range(3):
        storage = disk.open()
        check_withheld(storage, key, 4)
        assert storage.recovered().withheld == storage.recovered().unlearned == (key,)


def test_M18_a_withheld_key_is_in_no_cache() -> None:
    storage = opened(MemoryDisk())
    assert storage.load([K]) == {K: EMPTY}
    storage.write([WithheldRecord(K, 4)])
    assert isinstance(storage.load([K])[K], WithheldInstance)


def test_M18_a_learned_decree_replaces_it(disk: Disk) -> None:
    storage = disk.open()
    storage.write([WithheldRecord(K, 4)])
    storage.write([learned("k")])
    for _ in range(2):
        assert storage.load([K]) == {K: learned("k").instance}
        assert len(storage.scan("", "", 9, MANY).instances) == 1
        storage = disk.open()
        assert (storage.recovered().withheld, storage.recovered().unlearned) == ((), ())


def test_M18_a_learned_decree_is_never_replaced_by_it(disk: Disk) -> None:
    storage = disk.open()
    storage.write([learned("a")])
    storage.write([WithheldRecord(Key("a"), 4), WithheldRecord(Key("b"), 4), learned("b")])
    for _ in range(2):
        found = storage.load([Key("a"), Key("b")])
        assert found == {key: learned(key).instance for key in "ab"}
        storage = disk.open()
        assert storage.recovered().withheld == ()


def test_M18_what_is_forgotten_is_not_withheld(disk: Disk) -> None:
    key = Key("$locks/l@3")
    storage = disk.open()
    storage.write(forget("$locks/l", 5, 0))
    storage.write([WithheldRecord(key, 4)])
    assert isinstance(disk.open().load([key])[key], ForgottenInstance)
    assert disk.open().recovered().unlearned == ()


def test_M18_a_floor_deletes_what_is_withheld_below_it(disk: Disk) -> None:
    key = Key("$locks/l@3")
    disk.open().write([WithheldRecord(key, 4)])
    assert disk.open().recovered().withheld == (key,)
    disk.open().write(forget("$locks/l", 5, 0))
    assert isinstance(disk.open().load([key])[key], ForgottenInstance)
    assert disk.open().recovered().unlearned == ()


@pytest.mark.parametrize("own", [promised("k"), accepted("k"), accepted("k", bytes(9_000))])
def test_M18_R14_what_the_node_itself_had_accepted_stays_on_its_disk(own: InstanceRecord) -> None:
    memory = MemoryDisk()
    storage = opened(memory)
    storage.load([K])  # it is known to be blank, so what is accepted shares a page of notes
    storage.write([own])
    storage.write([WithheldRecord(K, 4)])
    stored = layout.instance_key(K)
    for _ in range(2):
        row = unpack(stored, memory.values[stored], Withheld, "here")
        assert row == Withheld(4, own.instance)
        assert isinstance(storage.load([K])[K], WithheldInstance)
        storage.close()
        storage = opened(memory)
        assert storage.recovered().unlearned == (K,)


def test_M18_the_page_that_notes_a_withheld_key_is_not_overwritten() -> None:
    memory = MemoryDisk()
    storage = opened(memory)
    storage.write([WithheldRecord(K, 4)])
    for number in range(20):
        storage.write([accepted(f"o{number}")])
        storage.write([learned(f"o{number}")])
    storage.close()
    assert opened(memory).recovered().withheld == (K,)


def test_a_record_that_is_damaged_is_not_taken_for_withheld() -> None:
    memory = MemoryDisk()
    storage = opened(memory)
    storage.write([WithheldRecord(K, 4)])
    stored = layout.instance_key(K)
    for position in range(len(memory.values[stored])):
        memory.flip(stored, position)
        found = storage.load([K])[K]
        assert type(found) is DamagedInstance, "silent all the same"
        memory.flip(stored, position)
    assert type(storage.load([K])[K]) is WithheldInstance
