"""Records that the notes name, or the feed, and that are gone from the disk."""

import pytest
from msgspec.structs import replace

from decreed.registry.disk import FeedRecord, InstanceRecord, WithheldRecord
from decreed.registry.paxos.instance import EMPTY, Instance
from decreed.registry.types import Key
from decreed.registry.unserved import DamagedInstance, WithheldInstance
from decreed.storage.layout import instance_key
from decreed.storage.store import RecordStore

from .conftest import Disk
from .samples import accepted, decree, forget, learned, promised

K = Key("k")
LONG = bytes(9_000)


def long_accepted(key: str) -> InstanceRecord:
    """An acceptance that has a row of its own, since its value is long."""
    return accepted(key, LONG)


def lose(storage: RecordStore, *keys: str) -> None:
    storage._data.write({instance_key(key): None for key in keys})


def test_a_noted_key_without_a_row_reads_back_as_damaged_until_it_is_written(disk: Disk) -> None:
    storage = disk.open()
    storage.write([long_accepted(K), long_accepted("other")])
    lose(storage, K)
    for _ in range(2):
        storage = disk.open()
        found = storage.load([K, Key("other")])
        lost = found[K]
        assert isinstance(lost, DamagedInstance) and "is gone" in lost.message
        assert found[Key("other")] == long_accepted("other").instance
        assert set(storage.recovered().unlearned) == {K, "other"}
        assert [row.key for row in storage.check(b"", 1_000).damaged] == [K]
    storage.write([learned(K)])
    assert storage.load([K])[K] == learned(K).instance
    assert storage.check(b"", 1_000).damaged == ()
    assert disk.open().recovered().unlearned == (Key("other"),)


def test_what_is_settled_or_stored_on_its_page_is_not_lost(disk: Disk) -> None:
    storage = disk.open()
    storage.write([accepted("light"), long_accepted("long"), learned("done"), promised("word")])
    storage.write([learned("long")])
    storage.write([WithheldRecord(K, 4)])
    storage.write([InstanceRecord(K, Instance())])  # released, and blank: there is a row
    storage = disk.open()
    found = storage.load([Key(name) for name in ("light", "long", "done", "word", K)])
    assert not [one for one in found.values() if isinstance(one, DamagedInstance)]
    assert found[K] == EMPTY
    assert storage.check(b"", 1_000).damaged == ()


def test_a_lost_key_that_is_withheld_has_a_row_again(disk: Disk) -> None:
    storage = disk.open()
    storage.write([long_accepted(K)])
    lose(storage, K)
    storage = disk.open()
    storage.write([WithheldRecord(K, 4)])
    assert storage.check(b"", 1_000).damaged == ()
    assert isinstance(disk.open().load([K])[K], WithheldInstance)


@pytest.mark.parametrize("max_bytes", [1, 10**9])
def test_a_check_names_what_the_feed_names_and_has_no_row(disk: Disk, max_bytes: int) -> None:
    storage = disk.open()
    storage.write([learned("a"), learned("b"), FeedRecord(0, (Key("a"), Key("b")), b"d" * 32)])
    lose(storage, "a")
    gone: list[Key] = []
    position: bytes | None = b""
    while position is not None:
        page = storage.check(position, max_bytes)
        gone += page.gone
        position = page.next
    assert gone == ["a"]


def test_a_floor_in_the_feed_names_nothing_that_is_gone(disk: Disk) -> None:
    storage = disk.open()
    terms = [Key(f"$locks/jobs@{n}") for n in (1, 2)]
    records = [InstanceRecord(k, Instance(learned=replace(decree("k"), key=k))) for k in terms]
    storage.write([*records, FeedRecord(0, tuple(terms), b"d" * 32)])
    storage.write([*forget("$locks/jobs", 2, 2)])
    assert storage.check(b"", 10**9).gone == ()


def test_who_withholds_what_its_own_feed_names_says_so_after_a_restart(disk: Disk) -> None:
    storage = disk.open()
    storage.write([WithheldRecord(K, 4, b"d" * 16, in_feed=True)])
    found = disk.open().load([K])[K]
    assert isinstance(found, WithheldInstance)
    assert (found.digest, found.in_feed) == (b"d" * 16, True)
    assert "the disk has lost it" in found.message
