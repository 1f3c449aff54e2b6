"""The feed in runs: few rows, readable from any entry as if each had a row of its own."""

import random
from collections.abc import Iterator

import pytest

from decreed.registry.disk import FeedEntry, FeedRecord, Record
from decreed.registry.types import Key
from decreed.registry.wire.peers import FLOOR_DIGEST
from decreed.storage import layout
from decreed.storage.layout import Table
from decreed.storage.memory import MemoryDisk, MemoryStorage, open_memory
from decreed.storage.runs import MAX_RUN

from .conftest import NODE, make_config
from .samples import feed_record, forget

SERIES = "$locks/l"


def opened(disk: MemoryDisk) -> MemoryStorage:
    return open_memory(disk, make_config(), NODE, lambda count: b"m" * count)


def rows(disk: MemoryDisk) -> list[int]:
    """Where the runs on a disk begin."""
    return [layout.feed_index(key) for key in sorted(disk.values) if key[:1] == Table.FEED.value]


def batch(*names: str, start: int = 0) -> list[Record]:
    return [feed_record(start + at, name) for at, name in enumerate(names)]


def test_the_entries_of_one_batch_are_one_row() -> None:
    disk = MemoryDisk()
    storage = opened(disk)
    storage.write(batch("a", "b", "c"))
    storage.write(batch("d", "e", start=3))
    assert rows(disk) == [0, 3]


def test_a_term_of_a_lock_has_a_row_of_its_own_since_it_may_be_deleted() -> None:
    disk = MemoryDisk()
    opened(disk).write(batch("a", "b", f"{SERIES}@1", f"{SERIES}@2", "c", "d"))
    assert rows(disk) == [0, 2, 3, 4]


def test_an_entry_that_tells_a_floor_has_a_row_of_its_own_and_no_position() -> None:
    disk = MemoryDisk()
    opened(disk).write([*batch("a"), *forget(SERIES, 5, 1), *batch("b", "c", start=2)])
    assert rows(disk) == [0, 1, 2]
    assert not any(key[:1] == Table.TERMS.value for key in disk.values)


def test_a_run_is_bounded() -> None:
    disk = MemoryDisk()
    opened(disk).write(batch(*(f"k{number}" for number in range(2 * MAX_RUN + 1))))
    assert rows(disk) == [0, MAX_RUN, 2 * MAX_RUN]


@pytest.mark.parametrize("count", [1, 2, MAX_RUN, MAX_RUN + 1])
def test_the_end_of_the_feed_is_found_in_its_last_run(count: int) -> None:
    disk = MemoryDisk()
    storage = opened(disk)
    storage.write(batch(*(f"k{number}" for number in range(count))))
    storage.close()
    assert opened(disk).recovered().feed_end == count


class Model:
    """A feed that is written in random batches, with terms that are forgotten, and what it must be."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.disk = MemoryDisk()
        self.storage = opened(self.disk)
        self.entries: list[FeedEntry] = []
        self._term = self._floor = self._end = 0

    def grow(self) -> None:
        records: list[Record] = [*self._portions(self._chance.choice((1, 3, 40, 300)))]
        if self._chance.random() < 0.3 and self._term > self._floor:
            self._floor = self._chance.randint(self._floor + 1, self._term)
            records += forget(SERIES, self._floor, self._end)
            gone = {Key(f"{SERIES}@{number}") for number in range(self._floor)}
            self.entries = [entry for entry in self.entries if entry.key not in gone]
            last = Key(f"{SERIES}@{self._floor - 1}")
            self.entries.append(FeedEntry(self._end, last, FLOOR_DIGEST))
            self._end += 1
        self.storage.write(records)

    def reopen(self) -> None:
        self.storage.close()
        self.storage = opened(self.disk)
        assert self.storage.recovered().feed_end == self._end

    def check(self) -> None:
        start, limit = self._chance.randint(0, self._end + 1), self._chance.choice((1, 7, 500))
        expected = [entry for entry in self.entries if entry.index >= start][:limit]
        following = expected[-1].index + 1 if expected else start
        assert self.storage.feed(start, limit) == (expected, following)

    def check_known(self) -> None:
        """What is told above a mark, and of reserved keys below it, is as without one."""
        start, limit = self._chance.randint(0, self._end + 1), self._chance.choice((1, 7, 500))
        mark = self._chance.randint(0, self._end)
        told, at = list[FeedEntry](), start
        for _ in range(10_000):
            some, following = self.storage.feed(at, limit, mark)
            assert len(some) <= limit and following >= at
            assert all(at <= entry.index < following for entry in some)
            told += some
            if following == at:
                break
            at = following
        assert at >= self._end or at == start
        needed = [
            e for e in self.entries if e.index >= start and (e.index >= mark or e.key[0] == "$")
        ]
        assert [entry for entry in told if entry in set(needed)] == needed
        assert set(told) <= set(self.entries), "what is told besides is true"

    def _portions(self, count: int) -> Iterator[FeedRecord]:
        """`count` entries, several in a record."""
        while count > 0:
            some = [self._entry() for _ in range(min(count, self._chance.choice((1, 5, 70))))]
            keys = tuple(key for record in some for key in record.keys)
            yield FeedRecord(some[0].index, keys, b"".join(record.digests for record in some))
            count -= len(some)

    def _entry(self) -> FeedRecord:
        name = f"k{self._end}"
        if self._chance.random() < 0.1:
            self._term += 1
            name = f"{SERIES}@{self._term}"
        record = feed_record(self._end, name)
        self.entries.append(FeedEntry(record.index, record.keys[0], record.digests))
        self._end += 1
        return record


@pytest.mark.parametrize("seed", range(20))
def test_a_feed_in_any_runs_is_read_from_any_entry(seed: int) -> None:
    model = Model(seed)
    for _ in range(12):
        model.grow()
        for _ in range(20):
            model.check()
            model.check_known()
        model.reopen()
