"""The in-memory twin: what a crash loses, and its injected faults."""

import os

import pytest

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import Record
from decreed.registry.errors import Damaged, IdentityRefused, StorageFailed
from decreed.registry.paxos.instance import EMPTY
from decreed.registry.types import Key
from decreed.registry.unserved import DamagedInstance as DamagedValue
from decreed.registry.wire.handshake import Incarnation
from decreed.storage import layout
from decreed.storage.incarnations import NONCES_A_PAGE
from decreed.storage.memory import MemoryDisk, MemoryStorage, open_memory

from .conftest import NODE, make_config
from .samples import accepted, feed_record, learned

K = Key("k")


@pytest.fixture
def platter() -> MemoryDisk:
    return MemoryDisk()


def opened(platter: MemoryDisk) -> MemoryStorage:
    return open_memory(platter, make_config(), NODE, lambda count: b"m" * count)


def test_a_crash_loses_only_unsynced_writes(platter: MemoryDisk) -> None:
    storage = opened(platter)
    storage.write([learned("k")])
    storage.write([learned("lost"), feed_record(0, "lost")], sync=False)
    assert storage.load([Key("lost")])[Key("lost")] != EMPTY
    platter.crash()
    again = opened(platter)
    assert again.load([K, Key("lost")]) == {"k": learned("k").instance, "lost": EMPTY}
    assert again.recovered().feed_end == 0


def test_a_write_that_was_synced_later_survives(platter: MemoryDisk) -> None:
    storage = opened(platter)
    storage.write([accepted("k")], sync=False)
    storage.write([learned("k")], sync=False)
    storage.sync()
    platter.crash()
    again = opened(platter)
    assert again.load([K])[K] == learned("k").instance
    assert again.recovered().unlearned == ()


@pytest.mark.parametrize("records", [[], [learned("z")]])
def test_a_synced_write_makes_all_before_it_durable_even_if_it_holds_nothing(
    platter: MemoryDisk, records: list[Record]
) -> None:
    storage = opened(platter)
    storage.write([learned("k")], sync=False)
    storage.write(records)
    assert platter.unsynced == 0
    platter.crash()
    assert opened(platter).load([K])[K] == learned("k").instance


def test_synced_writes_are_not_synced_again(platter: MemoryDisk) -> None:
    storage = opened(platter)
    storage.write([learned("k")])
    before = platter.syncs
    storage.sync()
    storage.write([])
    assert platter.syncs == before
    storage.write([learned("l")], sync=False)
    assert platter.syncs == before
    storage.sync()
    storage.sync()
    assert platter.syncs == before + 1


LATER = [Key("k0"), Key("k1"), Key("k2")]


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_a_crash_loses_any_suffix_of_the_unsynced_writes(platter: MemoryDisk, kept: int) -> None:
    storage = opened(platter)
    storage.write([learned("k")])
    for index, key in enumerate(LATER):
        storage.write([learned(key), feed_record(index, key)], sync=False)
    assert EMPTY not in storage.load(LATER).values()
    assert len(storage.feed(0, 10)[0]) == platter.unsynced == 3
    platter.crash(kept)
    again = opened(platter)
    there = [key for key, instance in again.load(LATER).items() if instance != EMPTY]
    assert there == LATER[:kept]
    assert again.recovered().feed_end == kept
    assert again.load([K])[K] == learned("k").instance


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_failed_sync_leaves_any_prefix_of_what_it_covered(platter: MemoryDisk, kept: int) -> None:
    storage = opened(platter)
    storage.write([learned("k")], sync=False)
    platter.fail_syncs = 1
    with pytest.raises(StorageFailed, match="told to"):
        storage.write([learned("x")])
    assert storage.load([K, Key("x")]) == {"k": learned("k").instance, "x": EMPTY}
    platter.crash(kept)
    found = opened(platter).load([K, Key("x")]).values()
    assert [instance != EMPTY for instance in found] == [kept > 0, kept > 1]


def test_after_a_failed_sync_every_later_write_and_sync_fails(platter: MemoryDisk) -> None:
    storage = opened(platter)
    storage.write([learned("k")], sync=False)
    platter.fail_syncs = 1
    with pytest.raises(StorageFailed, match="told to"):
        storage.sync()
    with pytest.raises(StorageFailed, match="restart the node"):
        storage.sync()
    for sync in (True, False):
        with pytest.raises(StorageFailed, match="restart the node"):
            storage.write([learned("x")], sync=sync)
    assert storage.load([K])[K] == learned("k").instance


def test_unsynced_writes_may_have_reached_the_disk(platter: MemoryDisk) -> None:
    storage = opened(platter)
    platter.fail_syncs = 1
    with pytest.raises(StorageFailed):
        storage.write([learned("k"), feed_record(0, "k")])
    assert platter.unsynced == 1
    assert storage.load([K])[K] == EMPTY
    platter.crash(kept=1)
    again = opened(platter)
    assert again.load([K])[K] == learned("k").instance
    assert again.recovered().feed_end == 1


def test_a_copy_has_the_durable_values_and_is_independent(platter: MemoryDisk) -> None:
    storage = opened(platter)
    storage.write([learned("k")])
    backup = platter.copy()
    storage.write([learned("later")])
    assert opened(backup).load([K, Key("later")]) == {"k": learned("k").instance, "later": EMPTY}
    assert backup.size < platter.size


def test_a_storage_from_before_the_crash_cannot_be_used(platter: MemoryDisk) -> None:
    before = opened(platter)
    platter.crash()
    opened(platter)
    with pytest.raises(StorageFailed):
        before.write([learned("k")])
    with pytest.raises(Damaged):
        before.feed(0, 1)


@pytest.mark.parametrize("attribute", ["fail_writes", "fail_syncs"])
def test_after_a_failed_write_every_later_one_fails_and_reads_go_on(
    platter: MemoryDisk, attribute: str
) -> None:
    storage = opened(platter)
    storage.write([learned("k")])
    setattr(platter, attribute, 1)
    with pytest.raises(StorageFailed, match="told to"):
        storage.write([learned("x")])
    for records in ([learned("y")], []):
        with pytest.raises(StorageFailed, match="restart the node"):
            storage.write(records)
    assert storage.load([K])[K] == learned("k").instance
    platter.crash()
    assert opened(platter).load([Key("x"), Key("y")]) == {"x": EMPTY, "y": EMPTY}


def test_a_full_disk_fails_the_write_that_does_not_fit(platter: MemoryDisk) -> None:
    storage = opened(platter)
    platter.capacity = 4000
    storage.write([learned("k", b"x" * 1000)])
    storage.write([learned("k", b"y" * 1000)])
    with pytest.raises(StorageFailed, match="no space left"):
        storage.write([learned("large", b"x" * 4000)])
    assert storage.load([K])[K] == learned("k", b"y" * 1000).instance


def test_a_turn_is_one_write_and_one_sync(platter: MemoryDisk) -> None:
    storage = opened(platter)
    before = (platter.writes, platter.syncs)
    storage.write([accepted("a"), learned("b"), feed_record(0, "b")])
    assert (platter.writes, platter.syncs) == (before[0] + 1, before[1] + 1)


def test_a_damaged_record_affects_only_its_key(platter: MemoryDisk) -> None:
    storage = opened(platter)
    storage.write([learned("a"), learned("k"), learned("z")])
    platter.flip(layout.instance_key("k"), 20)
    found = storage.load([Key("a"), K, Key("z")])
    assert isinstance(found[K], DamagedValue)
    assert "'k' in memory" in str(found[K])
    assert found[Key("a")] == learned("a").instance
    assert found[Key("z")] == learned("z").instance
    with pytest.raises(Damaged, match="key 'k'"):
        storage.scan("", "", 10, 10**9)


def test_a_broken_block_affects_only_its_keys(platter: MemoryDisk) -> None:
    storage = opened(platter)
    storage.write([learned("a"), learned("k"), learned("s@2")])
    platter.lose(layout.instance_key("k"))
    found = storage.load([Key("a"), K])
    assert isinstance(found[K], DamagedValue)
    assert found[Key("a")] == learned("a").instance
    with pytest.raises(Damaged, match="cannot be read"):
        storage.scan("", "", 10, 10**9)
    platter.lose(layout.instance_key("s@2"))
    with pytest.raises(Damaged, match="cannot be read"):
        storage.last_slot("s")


def test_an_unreadable_value_is_unchanged_once_it_is_restored(platter: MemoryDisk) -> None:
    storage, at = opened(platter), layout.instance_key("k")
    storage.write([learned("k")], sync=False)
    assert not platter.has_durable(at)
    storage.sync()
    assert platter.has_durable(at)
    platter.lose(at)
    assert not platter.legible(at)
    platter.crash()
    storage = opened(platter)
    assert isinstance(storage.load([K])[K], DamagedValue), "a start mends nothing"
    platter.restore()
    assert platter.legible(at)
    assert storage.load([K])[K] == learned("k").instance


def test_R13_records_without_an_identity_do_not_count_as_a_fresh_start(platter: MemoryDisk) -> None:
    storage = opened(platter)
    storage.write([learned("k")])
    storage.close()
    del platter.values[layout.IDENTITY_KEY]
    with pytest.raises(Damaged, match="lost the identity"):
        opened(platter)


def test_a_damaged_identity_is_refused(platter: MemoryDisk) -> None:
    opened(platter).close()
    platter.flip(layout.IDENTITY_KEY, 9)
    with pytest.raises(Damaged, match="the identity of the node"):
        opened(platter)
    platter.lose(layout.IDENTITY_KEY)
    with pytest.raises(Damaged, match="must not vote"):
        opened(platter)


@pytest.mark.parametrize("opened_before", [1, NONCES_A_PAGE, NONCES_A_PAGE + 9])
def test_R13_a_directory_that_lost_a_page_of_its_incarnations_is_damaged(
    platter: MemoryDisk, opened_before: int
) -> None:
    for _ in range(opened_before):
        opened(platter).close()
    lost = platter.copy()
    del lost.values[layout.incarnations_key(0)]
    with pytest.raises(Damaged, match="lost some of its incarnations"):
        opened(lost)
    platter.flip(layout.incarnations_key(0), 9)
    with pytest.raises(Damaged, match="page 0 of the directory's incarnations"):
        opened(platter)
    platter.lose(layout.incarnations_key(0))
    with pytest.raises(Damaged):
        opened(platter)


@pytest.mark.parametrize("times", [NONCES_A_PAGE, NONCES_A_PAGE + 1, 2 * NONCES_A_PAGE + 3])
def test_incarnations_fill_page_after_page(platter: MemoryDisk, times: int) -> None:
    incarnations: list[Incarnation | None] = []
    for _ in range(times):
        storage = open_memory(platter, make_config(), NODE, os.urandom)
        identity = storage.recovered().identity
        incarnations.append(Incarnation(identity.incarnation, identity.nonce))
        storage.close()
    history = opened(platter).recovered().history
    assert [history.incarnation(number) for number in range(1, times + 1)] == incarnations


def test_an_incarnation_whose_write_failed_does_not_count(platter: MemoryDisk) -> None:
    opened(platter).close()
    platter.fail_writes = 1
    with pytest.raises(StorageFailed):
        opened(platter)
    recovered = opened(platter).recovered()
    assert recovered.identity.incarnation == recovered.history.incarnations == 2


@pytest.mark.parametrize("kept", [0, 1])
def test_an_incarnation_whose_sync_failed_is_stored_wholly_or_not_at_all(
    platter: MemoryDisk, kept: int
) -> None:
    opened(platter).close()
    platter.fail_syncs = 1
    with pytest.raises(StorageFailed):
        opened(platter)
    platter.crash(kept)
    recovered = opened(platter).recovered()
    assert recovered.identity.incarnation == recovered.history.incarnations == 2 + kept


def test_the_twin_is_refused_to_another_cluster_too(
    platter: MemoryDisk, config: ClusterConfig
) -> None:
    opened(platter).close()
    with pytest.raises(IdentityRefused, match="belongs to cluster 'c1'"):
        open_memory(platter, make_config("c2"), NODE, lambda count: b"m" * count)
