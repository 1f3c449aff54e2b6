"""R14: what is accepted lies on its batch's page alone, and is found wherever it must be."""

import random
from collections.abc import Iterator

import pytest

from decreed.registry.disk import InstanceRecord, Record
from decreed.registry.paxos.instance import EMPTY, Instance
from decreed.registry.types import Key
from decreed.storage import layout
from decreed.storage.inline import MAX_INLINE, MAX_VALUE_BYTES
from decreed.storage.layout import Table
from decreed.storage.memory import MemoryDisk, MemoryStorage, open_memory

from .conftest import NODE, make_config
from .samples import accepted, learned, promised

NAMES = [f"k{number}" for number in range(40)]


def opened(disk: MemoryDisk, max_inline: int = MAX_INLINE) -> MemoryStorage:
    return open_memory(disk, make_config(), NODE, lambda count: b"m" * count, max_inline)


def rows(disk: MemoryDisk) -> list[str]:
    """The keys whose instances have rows of their own."""
    return [layout.key_of(at) for at in sorted(disk.values) if at[:1] == Table.INSTANCES.value]


def write(storage: MemoryStorage, *records: InstanceRecord, sync: bool = True) -> None:
    """Write records of keys that were looked at before, as a node does it."""
    storage.load([record.key for record in records])
    storage.write(records, sync=sync)


def found(storage: MemoryStorage, *names: str) -> list[Instance]:
    loaded = storage.load([Key(name) for name in names])
    return [one for name in names if isinstance(one := loaded[Key(name)], Instance)]


@pytest.fixture
def disk() -> MemoryDisk:
    return MemoryDisk()


@pytest.fixture
def storage(disk: MemoryDisk) -> MemoryStorage:
    return opened(disk)


def test_an_accepted_instance_of_a_blank_key_gets_no_row(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    write(storage, accepted("a"), promised("b"), accepted("c"))
    assert rows(disk) == ["b"]
    write(storage, learned("a"))
    assert rows(disk) == ["a", "b"]


def test_an_instance_with_a_row_keeps_it(storage: MemoryStorage, disk: MemoryDisk) -> None:
    write(storage, promised("a"))
    write(storage, accepted("a", b"new"))
    assert rows(disk) == ["a"]
    storage.close()
    assert found(opened(disk), "a") == [accepted("a", b"new").instance]


def test_a_key_that_was_not_read_gets_a_row_since_it_may_have_one(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    storage.write([accepted("a")])
    assert rows(disk) == ["a"]


def test_a_held_instance_is_found_without_the_cache_and_after_a_restart(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    write(storage, accepted("a"), accepted("b"))
    storage._cache.clear()
    assert found(storage, "a", "b", "c") == [accepted("a").instance, accepted("b").instance, EMPTY]
    storage.close()
    again = opened(disk)
    assert found(again, "a", "b") == [accepted("a").instance, accepted("b").instance]
    assert again.recovered().unlearned == ("a", "b")


def test_a_row_counts_rather_than_the_instance_on_its_page(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    write(storage, accepted("a"), accepted("b"), accepted("c"))
    write(storage, accepted("a", b"higher"), learned("b"))
    for _ in range(2):
        storage._cache.clear()
        assert found(storage, "a", "b", "c") == [
            accepted("a", b"higher").instance,
            learned("b").instance,
            accepted("c").instance,
        ]
        storage.close()
        storage = opened(disk)


def test_a_page_with_an_unsettled_key_is_not_overwritten(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    write(storage, accepted("a"))
    write(storage, learned("a"), sync=False)
    write(storage, accepted("b"), sync=False)
    disk.crash(0)
    assert found(opened(disk), "a", "b") == [accepted("a").instance, EMPTY]


def test_R14_a_held_instance_is_kept_while_rows_cannot_be_read(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    write(storage, accepted("a"), accepted("b"))
    storage.close()
    disk.lose(layout.instance_key("a"))
    again = opened(disk)
    assert again.recovered().unlearned == ("a", "b")
    assert [key for key, _ in again.scan("", "", 9, 10_000).instances] == ["a", "b"]
    assert found(again, "a", "b") == [accepted("b").instance]
    disk.restore()
    assert found(again, "a", "b") == [accepted("a").instance, accepted("b").instance]


def test_a_row_that_cannot_be_read_counts_too(storage: MemoryStorage, disk: MemoryDisk) -> None:
    write(storage, accepted("a"), accepted("b"))
    write(storage, accepted("a", b"higher"))
    storage.close()
    disk.flip(layout.instance_key("a"), 20)
    again = opened(disk)
    assert found(again, "a", "b") == [accepted("b").instance]


def test_an_instance_with_a_row_or_a_settled_one_is_no_longer_held(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    write(storage, *map(accepted, "abcd"))
    write(storage, learned("a"), accepted("b", b"higher"))
    storage.close()
    limited = opened(disk, 3)
    write(limited, accepted("e"))
    assert "e" not in rows(disk), "two are held, so there is room for a third"


def test_large_values_and_terms_of_locks_have_rows(
    storage: MemoryStorage, disk: MemoryDisk
) -> None:
    large, small = bytes(MAX_VALUE_BYTES + 1), bytes(MAX_VALUE_BYTES)
    term = InstanceRecord(Key("$locks/l@1"), accepted("x").instance)
    write(storage, accepted("large", large), accepted("small", small), term)
    assert rows(disk) == ["$locks/l@1", "large"]


def test_the_number_of_held_instances_is_bounded(storage: MemoryStorage, disk: MemoryDisk) -> None:
    write(storage, *(accepted(f"k{number}") for number in range(MAX_INLINE)))
    assert rows(disk) == []
    write(storage, accepted("a"))
    assert rows(disk) == ["a"]
    write(storage, learned("k0"))
    write(storage, accepted("b"))
    assert rows(disk) == ["a", "k0"]


def test_a_scan_has_held_instances_among_the_rows_and_page_by_page(storage: MemoryStorage) -> None:
    write(storage, *(accepted(f"p/{name}") for name in "aceg"))
    write(storage, *(learned(f"p/{name}") for name in "bcd"), accepted("q/a"))
    expected = [accepted("p/a"), *map(learned, ("p/b", "p/c", "p/d")), accepted("p/e")]
    page = storage.scan("p", "", 5, 10_000)
    assert not page.complete
    assert list(page.instances) == [(record.key, record.instance) for record in expected]
    rest = storage.scan("p", "p/e", 5, 10_000)
    assert rest.complete and [key for key, _ in rest.instances] == ["p/g"]
    for max_bytes, count in ((5, 1), (6, 2)):
        inline_alone = storage.scan("p", "p/d", 5, max_bytes)
        assert len(inline_alone.instances) == count, "the bytes of what is held count"


def test_an_instance_that_gets_a_row_during_a_scan_is_returned_once(
    storage: MemoryStorage, disk: MemoryDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(storage, accepted("a"), accepted("b"), accepted("c"))
    each = storage._rows.each

    def meanwhile(within: tuple[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
        write(storage, learned("a"))
        rows = list(each(within))
        write(storage, learned("b"))
        yield from rows

    monkeypatch.setattr(storage._rows, "each", meanwhile)
    shown = storage.scan("", "", 9, 10_000).instances
    assert shown == (
        ("a", learned("a").instance),
        ("b", accepted("b").instance),
        ("c", accepted("c").instance),
    )


def test_no_instance_of_a_failed_batch_is_held(storage: MemoryStorage, disk: MemoryDisk) -> None:
    storage.load([Key("a")])
    disk.fail_writes = 1
    with pytest.raises(Exception, match="told to"):
        storage.write([accepted("a")])
    storage._cache.clear()
    assert found(storage, "a") == [EMPTY]


class Run:
    """A store that goes through random batches and crashes, and what each key must be."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._disk = MemoryDisk()
        self._storage = opened(self._disk, 12)
        self._now: dict[Key, Instance] = {Key(name): EMPTY for name in NAMES}
        self._before: list[dict[Key, Instance]] = []
        self._feed = 0

    def step(self) -> None:
        some = self._chance.sample(NAMES, self._chance.randint(1, 6))
        if self._chance.random() < 0.8:
            self._storage.load([Key(name) for name in some])
        records: list[Record] = [self._change(Key(name)) for name in some]
        self._before.append(self._now.copy())
        self._now.update({r.key: r.instance for r in records if isinstance(r, InstanceRecord)})
        sync = self._chance.random() < 0.5
        self._storage.write(records, sync=sync)
        if sync:
            self._before.clear()
        if self._chance.random() < 0.2:
            self._storage._cache.clear()

    def crash(self) -> None:
        kept = self._chance.randint(0, self._disk.unsynced)
        assert self._disk.unsynced == len(self._before)
        self._now = [*self._before, self._now][kept]
        self._disk.crash(kept)
        self._before.clear()
        self._storage = opened(self._disk, 12)

    def check(self) -> None:
        keys = self._chance.sample(list(self._now), len(self._now))
        assert self._storage.load(keys) == self._now
        listed = {k: i for k, i in self._now.items() if i.accepted or i.learned}
        assert dict(self._storage.scan("", "", 99, 10**6).instances) == listed

    def _change(self, key: Key) -> InstanceRecord:
        """What may become of a key: more and more is known of it."""
        held = self._now[key]
        value = b"v%d" % self._chance.randint(0, 9)
        if held.learned:
            return InstanceRecord(key, held)
        if held.accepted:
            return self._chance.choice([accepted, learned])(key, value)
        return self._chance.choice([promised(key), accepted(key, value), learned(key, value)])


@pytest.mark.parametrize("seed", range(12))
def test_after_any_crash_each_key_has_its_last_durable_instance(
    seed: int,
) -> None:
    run = Run(seed)
    for number in range(120):
        run.step()
        if number % 7 == 6:
            run.crash()
        run.check()
