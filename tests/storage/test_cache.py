"""The cache of instances: it equals what is stored, within its bound."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from decreed.registry.errors import StorageFailed
from decreed.registry.paxos.instance import EMPTY, Instance
from decreed.registry.types import Key
from decreed.registry.unserved import DamagedInstance, ForgottenInstance
from decreed.storage import layout
from decreed.storage.cache import InstanceCache
from decreed.storage.identity import take
from decreed.storage.memory import MemoryBytes, MemoryDisk, open_memory
from decreed.storage.store import RecordStore

from .conftest import NODE, make_config
from .samples import accepted, feed_record, forget, learned, promised

A, B, C, K = Key("a"), Key("b"), Key("c"), Key("k")
ONE = learned("k", b"x" * 10_000).instance


class Counted(MemoryBytes):
    """A byte store that counts reads by key."""

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk)
        self.asked: list[bytes] = []

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        self.asked += keys
        return super().get_many(keys)


@pytest.fixture
def disk() -> MemoryDisk:
    return MemoryDisk()


@pytest.fixture
def data(disk: MemoryDisk) -> Counted:
    return Counted(disk)


@pytest.fixture
def storage(data: Counted) -> RecordStore:
    key = data.disk.signing_key
    identity = take(data, make_config(), NODE, lambda count: b"m" * count, key, fresh=True)
    return RecordStore(data, identity)


def test_a_written_instance_is_read_without_the_disk(storage: RecordStore, data: Counted) -> None:
    for sync in (True, False):
        for record in (promised("k"), accepted("k"), learned("k")):
            storage.write([record], sync=sync)
            assert storage.load([K])[K] is record.instance
    assert data.asked == []


def test_a_key_is_read_from_the_disk_once_even_if_it_is_blank(
    storage: RecordStore, data: Counted, disk: MemoryDisk
) -> None:
    storage.write([learned("k")])
    storage.close()
    again = Counted(disk)
    fresh = RecordStore(again, storage.recovered().identity)
    for _ in range(3):
        assert fresh.load([K, A]) == {"k": learned("k").instance, "a": EMPTY}
    assert sorted(again.asked) == [layout.instance_key("a"), layout.instance_key("k")]


@pytest.mark.parametrize("fails", ["fail_writes", "fail_syncs"])
def test_no_instance_of_a_failed_batch_is_served(
    storage: RecordStore, disk: MemoryDisk, fails: str
) -> None:
    storage.write([accepted("k")])
    setattr(disk, fails, 1)
    with pytest.raises(StorageFailed):
        storage.write([learned("k"), learned("a")])
    assert storage.load([K, A]) == {"k": accepted("k").instance, "a": EMPTY}


def test_a_forgotten_instance_leaves_the_cache(storage: RecordStore) -> None:
    key = Key("$locks/l@3")
    storage.write([learned("k"), feed_record(0, "k")])
    kept = storage._cache.size
    record = learned("k")
    storage.write([type(record)(key, record.instance)])
    assert storage._cache.size > kept
    storage.write(forget("$locks/l", 9, 1))
    assert storage._cache.size == kept
    assert isinstance(storage.load([key])[key], ForgottenInstance)


def test_damage_is_found_at_the_first_reading(disk: MemoryDisk) -> None:
    first = open_memory(disk, make_config(), NODE, lambda count: b"m" * count)
    first.write([learned("k")])
    first.close()
    disk.flip(layout.instance_key("k"), 20)
    second = open_memory(disk, make_config(), NODE, lambda count: b"m" * count)
    for _ in range(2):
        assert isinstance(second.load([K])[K], DamagedInstance)


def test_the_least_recently_used_instance_is_evicted_first() -> None:
    cache = InstanceCache(35_000)
    for key in (A, B, C):
        cache.written({key: ONE})
    assert cache.find([A]) == {A: ONE}
    cache.written({K: ONE})
    assert cache.find([A, B, C, K]).keys() == {A, C, K}
    assert cache.size <= 35_000


def test_the_cache_is_bounded_by_bytes() -> None:
    cache = InstanceCache(1_000_000)
    for number in range(10_000):
        cache.written({Key(f"k{number}"): EMPTY})
    few = len(cache.find([Key(f"k{number}") for number in range(10_000)]))
    assert 500 < few < 1_000
    cache.written({K: learned("k", b"x" * 990_000).instance})
    assert len(cache.find([K, *(Key(f"k{number}") for number in range(10_000))])) < 10
    cache.written({K: learned("k", b"x" * 1_100_000).instance})
    assert (cache.find([K]), cache.size) == ({}, 0)


@pytest.mark.parametrize(
    "long", [{"value": b"x" * 20_000}, {"note": "x" * 5_000}, {"claimant": "x" * 5_000}]
)
def test_every_text_that_may_be_long_counts(long: dict[str, bytes | str]) -> None:
    cache = InstanceCache()
    short = learned("k").instance.learned
    assert short is not None
    cache.written({A: Instance(learned=short)})
    before = cache.size
    cache.written({A: Instance(learned=replace(short, **long))})
    assert cache.size >= before + 20_000


def test_an_instance_counts_once_however_often_it_is_written() -> None:
    cache = InstanceCache()
    cache.written({K: ONE})
    size = cache.size
    for _ in range(3):
        cache.written({K: ONE})
        cache.keep({K: ONE}, cache.writes)
    assert cache.size == size
    cache.written({K: EMPTY, A: ONE}, gone=[K])
    assert cache.find([A, K]) == {A: ONE}
    cache.clear()
    assert (cache.size, cache.find([A])) == (0, {})


def test_an_instance_read_before_a_batch_was_written_is_not_cached() -> None:
    cache = InstanceCache()
    before = cache.writes
    cache.written({K: ONE})
    cache.keep({K: Instance()}, before)
    cache.keep({A: EMPTY}, before)
    assert cache.find([K, A]) == {K: ONE}


def test_a_cache_that_does_not_grow_keeps_what_it_has_up_to_date() -> None:
    cache = InstanceCache()
    old, new = learned("a", b"old").instance, learned("a", b"new").instance
    cache.written({Key("a"): old})
    cache.grows = False
    cache.written({Key("a"): new, Key("b"): learned("b", b"v").instance})
    cache.keep({Key("c"): learned("c", b"v").instance}, cache.writes)
    assert cache.find([Key("a"), Key("b"), Key("c")]) == {Key("a"): new}
    cache.written({}, [Key("a")])
    assert cache.find([Key("a")]) == {}
