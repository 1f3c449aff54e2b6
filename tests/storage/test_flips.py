"""R13, R14 on a disk that flips bytes: a right answer or an error, never a wrong or missing one."""

import shutil
from collections.abc import Callable, Iterator
from hashlib import shake_128
from pathlib import Path

import pytest

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import EpochRecord, InstanceRecord, Record, WithheldRecord
from decreed.registry.errors import Damaged, DecreedError
from decreed.registry.paxos.instance import EMPTY
from decreed.registry.types import Key
from decreed.registry.unserved import DamagedInstance as DamagedValue
from decreed.storage.directory import open_directory
from decreed.storage.rocks import RocksStorage

from .conftest import NODE
from .leftovers import leave, tables
from .samples import accepted, feed_record, learned, promised

KEYS = [Key(f"k/{number}") for number in range(6)]
RECORDS: list[Record] = [
    promised("k/0"),
    accepted("k/1"),
    *(learned(key) for key in KEYS[2:]),
    *(feed_record(index, key) for index, key in enumerate(KEYS[2:])),
    EpochRecord(3, 2, 1),
    WithheldRecord(Key("w"), 3),
]
RIGHT = {record.key: record.instance for record in RECORDS if isinstance(record, InstanceRecord)}

FILLER = [
    learned(f"{name}/{at}", shake_128(b"%d" % at).digest(700)) for name in "jl" for at in range(7)
]
"""Filler before and after the keys, so that they have a block of a table of their own."""


class Bench:
    """A closed directory, and a copy of it to damage."""

    def __init__(self, place: Path, config: ClusterConfig) -> None:
        self.sound = place / "sound"
        self.copy = place / "copy"
        self._config = config

    def open(self, path: Path) -> RocksStorage:
        return open_directory(path, self._config, NODE)

    def files(self, pattern: str) -> list[str]:
        return sorted(path.name for path in (self.sound / "db").glob(pattern))

    def damaged(self, name: str, change: Callable[[bytes], bytes]) -> RocksStorage:
        """Open a fresh copy with one file changed."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.sound, self.copy)
        victim = self.copy / "db" / name
        victim.write_bytes(change(victim.read_bytes()))
        return self.open(self.copy)

    def killed(self, records: list[Record], path: Path) -> None:
        """Write records one by one, and leave the directory as a killed process does."""
        storage = self.open(path)
        for record in records:
            storage.write([record])
        shutil.rmtree(self.sound, ignore_errors=True)
        shutil.copytree(path, self.sound)
        storage.close()


@pytest.fixture
def bench(tmp_path: Path, config: ClusterConfig) -> Bench:
    """Records of every kind in the write-ahead log."""
    made = Bench(tmp_path, config)
    made.killed(RECORDS, tmp_path / "live")
    return made


@pytest.fixture
def settled(bench: Bench) -> Bench:
    """The same records in tables, among others: a storage that is closed leaves an empty log."""
    storage = bench.open(bench.sound)
    storage.write([*RECORDS, *FILLER])
    storage.close()
    return bench


def flip(position: int, mask: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        return data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]

    return change


def truncation(size: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:size]


def positions(bench: Bench, name: str, step: int, tail: int = 0) -> Iterator[tuple[int, int]]:
    """Places to flip, each with a mask of its own, so that all bits have their turn.

    The last `tail` bytes are sampled ten times as densely.
    """
    size = (bench.sound / "db" / name).stat().st_size
    assert size
    dense = range(max(0, size - tail), size, max(1, step // 10))
    for position in sorted({*range(0, size, step), *dense}):
        yield position, 1 << position % 8


def survives(bench: Bench, name: str, position: int, mask: int) -> bool:
    """Flip one byte; whether all answers are right. If not, errors must have said so."""
    try:
        storage = bench.damaged(name, flip(position, mask))
    except DecreedError:
        return False
    try:
        return all([check(storage) for check in (right_keys, right_scan, right_feed, right_start)])
    finally:
        storage.close()


def right_keys(storage: RocksStorage) -> bool:
    found = storage.load(KEYS)
    for key, instance in found.items():
        assert isinstance(instance, DamagedValue) or instance == RIGHT[key]
    return found == RIGHT


def right_scan(storage: RocksStorage) -> bool:
    try:
        page = storage.scan("k", "", 100, 10**9)
    except DecreedError:
        return False
    assert page.complete
    assert page.instances == tuple((key, RIGHT[key]) for key in KEYS[1:])
    return True


def right_feed(storage: RocksStorage) -> bool:
    try:
        entries, following = storage.feed(0, 100)
    except DecreedError:
        return False
    assert ([entry.key for entry in entries], following) == (KEYS[2:], 4)
    return True


def right_start(storage: RocksStorage) -> bool:
    recovered = storage.recovered()
    assert (recovered.unlearned, recovered.epoch) == (("k/1", "w"), EpochRecord(3, 2, 1))
    withheld = storage.load([Key("w")])[Key("w")]
    assert isinstance(withheld, DamagedValue), "it is never taken for a blank key"
    assert (recovered.feed_end, recovered.identity.incarnation > 1) == (4, True)
    return True


def test_the_undamaged_copy_is_right(bench: Bench, settled: Bench) -> None:
    storage = settled.damaged("CURRENT", lambda data: data)
    assert all([check(storage) for check in (right_keys, right_scan, right_feed, right_start)])
    storage.close()


def test_R13_R14_every_flipped_byte_of_the_log_stops_the_node(bench: Bench) -> None:
    (log,) = bench.files("*.log")
    for position, mask in positions(bench, log, 1):
        with pytest.raises(DecreedError, match="must not vote"):
            bench.damaged(log, flip(position, mask))


@pytest.mark.parametrize("start", ["bench", "settled"])
def test_every_flipped_byte_of_the_manifest_stops_the_node(
    start: str, request: pytest.FixtureRequest
) -> None:
    made: Bench = request.getfixturevalue(start)
    (manifest,) = made.files("MANIFEST-*")
    for position, mask in positions(made, manifest, 1):
        with pytest.raises(DecreedError, match="must not vote"):
            made.damaged(manifest, flip(position, mask))


def test_no_flipped_byte_of_a_table_gives_a_wrong_answer(settled: Bench) -> None:
    for table in settled.files("*.sst"):
        outcomes = [
            survives(settled, table, *place) for place in positions(settled, table, 90, 800)
        ]
        assert not all(outcomes)


@pytest.mark.parametrize(
    ("pattern", "step"),
    [("CURRENT", 1), ("IDENTITY", 1), ("rocksdict-config.json", 1), ("OPTIONS-*", 997)],
)
def test_no_flipped_byte_of_another_file_gives_a_wrong_answer(
    settled: Bench, pattern: str, step: int
) -> None:
    for name in settled.files(pattern):
        for position, mask in positions(settled, name, step):
            survives(settled, name, position, mask)


def test_a_log_cut_in_its_last_record_opens_with_all_records_before_it(bench: Bench) -> None:
    (log,) = bench.files("*.log")
    last = Key("k/last")
    whole = len((bench.sound / "db" / log).read_bytes())
    bench.killed([*RECORDS, learned(last)], bench.sound.with_name("longer"))
    size = len((bench.sound / "db" / log).read_bytes())
    assert size > whole
    for cut in range(whole, size):
        storage = bench.damaged(log, truncation(cut))
        assert storage.load(KEYS) == RIGHT
        assert storage.load([last])[last] == EMPTY
        storage.close()


def test_a_damaged_table_names_key_and_file(settled: Bench) -> None:
    messages: list[str] = []
    for table in settled.files("*.sst"):
        for position, mask in positions(settled, table, 150):
            try:
                storage = settled.damaged(table, flip(position, mask))
            except DecreedError:
                continue
            found = storage.load(KEYS).values()
            messages += [item.message for item in found if isinstance(item, DamagedValue)]
            storage.close()
    assert any("key 'k/3'" in message and ".sst" in message for message in messages)


@pytest.mark.parametrize("size", [1, 6, 7, 100, 40_000])
def test_a_log_with_preallocated_space_at_its_end_opens_with_all_records(
    bench: Bench, size: int
) -> None:
    (log,) = bench.files("*.log")
    storage = bench.damaged(log, lambda data: data + b"\0" * size)
    assert storage.load(KEYS) == RIGHT
    storage.close()


@pytest.mark.parametrize("at", [20, 9_000])
def test_a_table_that_keeps_a_node_from_starting_names_the_way_out(tmp_path: Path, at: int) -> None:
    path = leave(tmp_path / "a", FILLER, starts=2)
    table = tables(path)[0]
    table.write_bytes(flip(at, 0xFF)(table.read_bytes()))
    with pytest.raises(Damaged, match=" on in ") as caught:
        leave(path)
    assert str(caught.value).count("Move this directory away") == 1
