"""R13, R14: what is asked of RocksDB at each write is a sync, and its refusal is not lost."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from decreed.registry.errors import StorageFailed
from decreed.storage.rocks import RocksBytes


class Overheard:
    """Stands before the database, and remembers how it is written to.

    Args:
        database: the real one.
        refuses: what to raise instead of writing; empty to write.
    """

    def __init__(self, database: Any, refuses: str = "") -> None:
        self._database = database
        self._refuses = refuses
        self.synced: list[bool] = []

    def write(self, batch: Any, options: Any = None) -> None:
        self._note(options is not None and options.sync)
        self._database.write(batch, options)

    def flush_wal(self, sync: bool = False) -> None:
        self._note(sync)
        self._database.flush_wal(sync)

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


def test_a_killed_process_loses_nothing_that_it_did_not_sync(tmp_path: Path) -> None:
    data = RocksBytes(tmp_path / "db", create=True)
    data.write({b"k": b"v"}, sync=False)
    left = shutil.copytree(tmp_path / "db", tmp_path / "left")
    data.close()
    data = RocksBytes(left, create=False)
    assert data.get(b"k") == b"v"
    data.close()


def test_R13_R14_a_write_that_is_refused_is_told(tmp_path: Path) -> None:
    data = RocksBytes(tmp_path / "db", create=True)
    overheard(data, "IO error: no space left")
    with pytest.raises(StorageFailed, match="no space left"):
        data.write({b"k": b"v"})
    with pytest.raises(StorageFailed, match="no space left"):
        data.sync()
    data.close()
