"""R14, R22: a batch that is written whole reads back as if each of its keys had been written alone."""

import pytest
from msgspec.msgpack import encode as msgpack

from decreed.registry.disk import AcceptedBatch, InstanceRecord, LearnedBatch
from decreed.registry.paxos.acceptor import accept_first
from decreed.registry.paxos.decrees import Decrees
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.learner import learn_first
from decreed.registry.types import Key
from decreed.storage import layout
from decreed.storage.inline import MAX_VALUE_BYTES
from decreed.storage.layout import Table
from decreed.storage.memory import MemoryDisk, MemoryStorage, open_memory

from .conftest import NODE, make_config
from .samples import BALLOT, decree

NAMES = ("a", "b/c", "d", "series@1")
KEYS = tuple(map(Key, NAMES))
DECREES = Decrees(decree(name, name.encode()) for name in NAMES)
ACCEPTED = AcceptedBatch(BALLOT, DECREES, accept_first(BALLOT, DECREES))
LEARNED = LearnedBatch(DECREES, learn_first(DECREES))


def opened(disk: MemoryDisk) -> MemoryStorage:
    return open_memory(disk, make_config(), NODE, lambda count: b"m" * count)


def rows(disk: MemoryDisk, table: Table) -> dict[bytes, bytes]:
    return {at: row for at, row in disk.values.items() if at[:1] == table.value}


@pytest.fixture
def disk() -> MemoryDisk:
    return MemoryDisk()


@pytest.fixture
def storage(disk: MemoryDisk) -> MemoryStorage:
    storage = opened(disk)
    storage.load(KEYS)
    return storage


def test_R14_an_accepted_batch_is_one_page_and_is_found_again_after_a_restart(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    storage.write([ACCEPTED])
    assert storage.load(KEYS) == ACCEPTED.instances
    assert not rows(disk, Table.INSTANCES)
    [page] = rows(disk, Table.PENDING_JOURNAL).values()
    assert DECREES.packed in page, "its bytes are those of the message"
    storage.close()
    again = opened(disk)
    assert again.load(KEYS) == ACCEPTED.instances
    assert set(again.recovered().unlearned) == set(KEYS), "R22"


def test_the_rows_of_a_learned_batch_are_those_of_its_keys_alone(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    storage.write([LEARNED])
    alone = MemoryDisk()
    single = opened(alone)
    single.write([InstanceRecord(key, one) for key, one in LEARNED.instances.items()])
    assert rows(disk, Table.INSTANCES) == rows(alone, Table.INSTANCES)
    storage.close()
    assert opened(disk).load(KEYS) == LEARNED.instances


def test_R22_a_learned_batch_is_settled_and_its_page_is_used_again(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    for at in range(5):
        decrees = Decrees(decree(f"{name}{at}") for name in "xyz")
        keys = decrees.keys
        storage.load(keys)
        storage.write([AcceptedBatch(BALLOT, decrees, accept_first(BALLOT, decrees))])
        storage.write([LearnedBatch(decrees, learn_first(decrees))], sync=False)
    assert len(rows(disk, Table.PENDING_JOURNAL)) == 2, "the last page is free after the next sync"
    storage.close()
    assert opened(disk).recovered().unlearned == ()


def test_R14_a_part_of_a_batch_that_is_learned_leaves_the_rest_in_doubt(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    storage.write([ACCEPTED])
    some = Decrees(DECREES[:2])
    storage.write([LearnedBatch(some, learn_first(some))])
    storage.close()
    again = opened(disk)
    assert set(again.recovered().unlearned) == set(KEYS[2:])
    assert again.load(KEYS) == {**ACCEPTED.instances, **learn_first(some)}


def test_R14_a_batch_with_a_key_that_has_a_row_is_written_key_by_key(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    """The row would count, so the acceptance on a page would be lost."""
    storage.write([InstanceRecord(KEYS[0], Instance(promised=BALLOT))])
    storage.write([ACCEPTED])
    assert storage.load(KEYS) == ACCEPTED.instances
    storage.close()
    assert opened(disk).load(KEYS) == ACCEPTED.instances
    assert layout.instance_key(KEYS[0]) in disk.values


def test_a_batch_with_a_large_value_gets_rows(storage: MemoryStorage, disk: MemoryDisk) -> None:
    large = Decrees([decree("a", bytes(MAX_VALUE_BYTES + 1)), decree("d")])
    storage.write([AcceptedBatch(BALLOT, large, accept_first(BALLOT, large))])
    assert layout.instance_key("a") in disk.values
    storage.close()
    assert opened(disk).load(large.keys) == accept_first(BALLOT, large)


def test_the_columns_of_a_batch_are_those_of_its_decrees() -> None:
    assert tuple(DECREES) == DECREES
    assert DECREES.bodies == tuple(map(msgpack, DECREES))
    assert DECREES.packed == msgpack(tuple(DECREES))
    assert Decrees.read(DECREES.packed).bodies == DECREES.bodies
