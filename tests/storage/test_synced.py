"""R13, R14: what is asked of RocksDB at each write is a sync, and its refusal is not lost."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from decreed.registry.config import ClusterConfig
from decreed.registry.errors import StorageFailed
from decreed.registry.paxos.instance import EMPTY
from decreed.registry.types import Key
from decreed.storage.continuity import check_directory
from decreed.storage.deferred import DeferredWrites
from decreed.storage.directory import open_directory
from decreed.storage.layout import instance_key
from decreed.storage.rocks import RocksBytes, RocksStorage

from .conftest import NODE
from .samples import accepted, learned


class Overheard:
    """Stands before the database, and remembers how it is written to.

    Attributes:
        synced: of each write, and each sync, whether a sync was asked for.
        logs: for each log but the first, what `synced` was when it was begun.

    Args:
        database: the real one.
        refuses: what to raise instead of writing; empty to write.
    """

    def __init__(self, database: Any, refuses: str = "") -> None:
        self._database = database
        self._refuses = refuses
        self.synced: list[bool] = []
        self.logs: list[list[bool]] = []

    def write(self, batch: Any, options: Any = None) -> None:
        self._note(options is not None and options.sync)
        self._database.write(batch, options)

    def flush_wal(self, sync: bool = False) -> None:
        self._note(sync)
        self._database.flush_wal(sync)

    def flush(self, wait: bool = True) -> None:
        self.logs.append(list(self.synced))
        self._database.flush(wait)

    def _note(self, synced: bool) -> None:
        self.synced.append(synced)
        if self._refuses:
            raise Exception(self._refuses)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


def overheard(data: RocksBytes, refuses: str = "") -> Overheard:
    listener: Any = Overheard(data._db, refuses)
    data._db = listener
    heard: Overheard = listener
    return heard


def test_R13_R14_every_write_asks_for_a_sync_unless_told_otherwise(tmp_path: Path) -> None:
    data = RocksBytes(tmp_path / "db", create=True)
    heard = overheard(data)
    data.write({b"k": b"v"})
    data.write({b"k": None, b"l": b"w"})
    data.write({b"m": b"x"}, sync=False)
    data.sync()
    assert heard.synced == [True, True, False, True]
    assert data.get_many([b"k", b"l", b"m"]) == [None, b"w", b"x"]
    data.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from decreed.storage.rocks import RocksBytes
data = RocksBytes(Path(sys.argv[1]), create=True, log_bytes=10_000)
for number in range(int(sys.argv[2])):
    data.write({b"%d" % number: b"v" * 1_000}, sync=False)
os.kill(os.getpid(), signal.SIGKILL)
"""


KILLED_WHILE_WAITING = """
import os, signal, sys
from pathlib import Path
from decreed.storage.directory import open_directory
from tests.storage.conftest import NODE, make_config
from tests.storage.samples import accepted, learned
storage = open_directory(Path(sys.argv[1]), make_config(), NODE)
storage.write([learned("rode")], sync=False)
storage.write([accepted("synced")])
storage.write([learned("given")], sync=False)
storage.write_deferred()
storage.write([learned("waits")], sync=False)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path: Path, writes: int) -> None:
    """A database into which a process wrote without a sync until it was killed."""
    done = subprocess.run([sys.executable, "-c", KILLED, path, str(writes)])
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("writes", [1, 5, 500])
def test_a_kill_takes_nothing_that_rocksdb_has_and_its_logs_are_short(
    tmp_path: Path, writes: int
) -> None:
    path = tmp_path / "db"
    killed(path, writes)
    assert sum(log.stat().st_size for log in path.glob("*.log")) < 60_000
    check_directory(path)
    data = RocksBytes(path, create=False)
    assert None not in data.get_many([b"%d" % number for number in range(writes)])
    data.close()


def test_R13_R14_a_log_is_begun_only_when_the_one_before_is_synced(tmp_path: Path) -> None:
    data = RocksBytes(tmp_path / "db", create=True, log_bytes=10_000)
    heard = overheard(data)
    for number in range(100):
        data.write({b"%d" % number: b"v" * 1_000}, sync=False)
    assert len(heard.logs) == 9
    assert all(synced[-1] for synced in heard.logs)
    data.close()


def test_rocksdb_begins_no_log_of_its_own(tmp_path: Path) -> None:
    data = RocksBytes(tmp_path / "db", create=True, log_bytes=1_000_000)
    heard = overheard(data)
    (first,) = (tmp_path / "db").glob("*.log")
    written = size = 0
    while not heard.logs:
        # rows much shorter than what a write buffer takes for each
        size = first.stat().st_size
        data.write({b"%d" % row: b"" for row in range(written, written + 100)}, sync=False)
        written += 100
        assert heard.logs or list((tmp_path / "db").glob("*.log")) == [first]
    assert 100_000 < size < 1_000_000
    data.close()


def test_R13_R14_a_write_that_is_refused_is_told(tmp_path: Path) -> None:
    data = RocksBytes(tmp_path / "db", create=True)
    overheard(data, "IO error: no space left")
    with pytest.raises(StorageFailed, match="no space left"):
        data.write({b"k": b"v"})
    with pytest.raises(StorageFailed, match="no space left"):
        data.sync()
    data.close()


def test_R13_R14_a_sync_without_records_makes_durable_what_was_written_before(
    tmp_path: Path, config: ClusterConfig
) -> None:
    storage = open_directory(tmp_path / "data", config, NODE)
    heard = overheard(rocks_of(storage))
    storage.write([learned("k")], sync=False)
    storage.write([], sync=True)
    assert heard.synced == [True]
    storage.write([learned("l")], sync=False)
    storage.write([learned("m")], sync=False)
    storage.sync()
    assert heard.synced == [True, True]
    storage.write([learned("n")], sync=False)
    storage.write_deferred()
    storage.sync()
    assert heard.synced[2:] == [False, True]
    storage.close()


def test_R13_R14_what_asks_for_no_sync_rides_with_the_next_batch_that_does(
    tmp_path: Path, config: ClusterConfig
) -> None:
    storage = open_directory(tmp_path / "data", config, NODE)
    heard = overheard(rocks_of(storage))
    storage.write([learned("k")], sync=False)
    storage.write([learned("l")], sync=False)
    assert heard.synced == [], "neither is a write of its own"
    storage.write([accepted("m")])
    assert heard.synced == [True]
    assert rocks_of(storage).get_many([instance_key(Key(name)) for name in "kl"]).count(None) == 0
    storage.close()


def test_R13_R14_a_kill_takes_what_waits_and_nothing_that_was_synced(
    tmp_path: Path, config: ClusterConfig
) -> None:
    """What a kill may take is what a power cut may take: what was written without a sync."""
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WAITING, tmp_path / "data"])
    assert done.returncode == -signal.SIGKILL
    storage = open_directory(tmp_path / "data", config, NODE)
    assert storage.load([Key("rode")])[Key("rode")] == learned("rode").instance
    assert storage.load([Key("synced")])[Key("synced")] == accepted("synced").instance
    assert storage.load([Key("given")])[Key("given")] == learned("given").instance
    assert storage.load([Key("waits")])[Key("waits")] == EMPTY
    storage.close()


def test_what_is_durable_already_is_not_synced_again(tmp_path: Path, config: ClusterConfig) -> None:
    storage = open_directory(tmp_path / "data", config, NODE)
    heard = overheard(rocks_of(storage))
    storage.write([learned("k")])
    storage.write([], sync=True)
    storage.write([])
    storage.sync()
    assert heard.synced == [True]
    storage.close()


def rocks_of(storage: RocksStorage) -> RocksBytes:
    data = storage._data
    assert isinstance(data, DeferredWrites)
    assert isinstance(data.below, RocksBytes)
    return data.below
