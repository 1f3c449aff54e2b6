"""Writes that ask for no sync ride with the next one that does, and every read sees them before."""

import random
from bisect import insort

import pytest

from decreed.registry.errors import StorageFailed
from decreed.storage.deferred import DeferredWrites
from decreed.storage.memory import MemoryBytes, MemoryDisk

ALL = (b"", b"\xff")


def fresh(max_bytes: int = 1_000) -> tuple[MemoryDisk, DeferredWrites]:
    disk = MemoryDisk()
    return disk, DeferredWrites(MemoryBytes(disk), max_bytes)


def test_a_write_without_a_sync_goes_down_with_the_next_synced_one_and_before_it() -> None:
    disk, data = fresh()
    data.write({b"a": b"1", b"b": b"1", b"c": b"1"}, sync=False)
    data.write({b"b": b"2", b"c": None}, sync=False)
    assert (disk.writes, disk.values) == (0, {})
    data.write({b"a": b"3"})
    assert (disk.writes, disk.syncs) == (1, 1)
    assert disk.values == {b"a": b"3", b"b": b"2"}, "a later value counts"


def test_a_sync_takes_down_what_waits_in_one_write() -> None:
    disk, data = fresh()
    data.write({b"a": b"1"}, sync=False)
    data.sync()
    assert (disk.writes, disk.syncs, disk.unsynced) == (1, 1, 0)
    assert disk.has_durable(b"a")
    data.sync()
    assert disk.writes == 1


def test_what_nobody_syncs_is_given_to_the_system_when_the_writer_says_so() -> None:
    disk, data = fresh()
    data.write({b"a": b"1"}, sync=False)
    data.write_deferred()
    data.write_deferred()
    assert (disk.writes, disk.syncs, disk.values) == (1, 0, {b"a": b"1"})
    assert not data.waiting


def test_more_than_may_wait_goes_down_at_once_and_in_order() -> None:
    disk, data = fresh(max_bytes=10)
    data.write({b"a": b"12345"}, sync=False)
    assert disk.writes == 0
    data.write({b"b": b"12345"}, sync=False)
    assert disk.values == {b"a": b"12345", b"b": b"12345"}
    data.write({b"c": b"12345"}, sync=False)
    assert disk.writes == 1, "the count begins again"


def test_a_crash_takes_what_waits_and_keeps_all_that_a_sync_came_after() -> None:
    disk, data = fresh()
    data.write({b"a": b"1"}, sync=False)
    data.write({b"b": b"1"})
    data.write({b"c": b"1"}, sync=False)
    disk.crash()
    assert disk.values == {b"a": b"1", b"b": b"1"}


def test_an_end_writes_what_waits() -> None:
    disk, data = fresh()
    data.write({b"a": b"1"}, sync=False)
    data.close()
    assert disk.values == {b"a": b"1"}
    data.close()


@pytest.mark.parametrize("seed", range(20))
def test_every_read_sees_what_waits(seed: int) -> None:
    """Compared with a map that has no delay, after each of many writes, deletions and syncs."""
    chance = random.Random(seed)
    disk, data = fresh(max_bytes=60)
    twin: dict[bytes, bytes] = {}
    keys = [b"%02d" % number for number in range(20)]
    for turn in range(200):
        some = chance.sample(keys, chance.randint(0, 3))
        changes = {key: chance.choice([None, b"%d" % turn]) for key in some}
        data.write(changes, sync=chance.random() < 0.2)
        twin = {k: v for k, v in {**twin, **changes}.items() if v is not None}
        assert data.get_many(keys) == [twin.get(key) for key in keys]
        assert data.get(keys[0]) == twin.get(keys[0])
        within = tuple(sorted(chance.sample(keys, 2)))
        found: list[tuple[bytes, bytes]] = []
        for key in twin:
            if within[0] <= key < within[1]:
                insort(found, (key, twin[key]))
        limit = chance.randint(1, 5)
        assert data.ascending((within[0], within[1]), limit) == found[:limit]
        assert data.walk((within[0], within[1]), limit) == found[:limit]
        assert data.descending((within[0], within[1]), limit) == found[::-1][:limit]
    assert disk.writes < 200


def test_after_a_failed_write_what_waited_is_read_and_nothing_is_written_any_more() -> None:
    disk, data = fresh()
    data.write({b"a": b"1"}, sync=False)
    disk.fail_syncs = 1
    with pytest.raises(StorageFailed):
        data.write({b"b": b"1"})
    assert (data.get(b"a"), data.get(b"b")) == (b"1", None)
    for later in (data.write_deferred, data.sync, lambda: data.write({b"c": b"1"})):
        with pytest.raises(StorageFailed):
            later()
    data.close()
    assert disk.writes == 1, "the batch that failed; nothing after it"


def test_a_deferred_write_that_fails_is_told() -> None:
    disk, data = fresh()
    data.write({b"a": b"1"}, sync=False)
    disk.fail_writes = 1
    with pytest.raises(StorageFailed):
        data.write_deferred()
    with pytest.raises(StorageFailed):
        data.write({b"b": b"1"})
