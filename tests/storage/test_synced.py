"""R13, R14: what is asked of RocksDB at each write is a sync, and its refusal is not lost."""

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
        self.synced.append(options is not None and options.sync)
        if self._refuses:
            raise Exception(self._refuses)
        self._database.write(batch, options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


def overheard(data: RocksBytes, refuses: str = "") -> Overheard:
    listener: Any = Overheard(data._db, refuses)
    data._db = listener
    heard: Overheard = listener
    return heard


def test_R13_R14_every_write_asks_for_a_sync(tmp_path: Path) -> None:
    data = RocksBytes(tmp_path / "db", create=True)
    heard = overheard(data)
    data.write({b"k": b"v"})
    data.write({b"k": None, b"l": b"w"})
    assert heard.synced == [True, True]
    assert data.get_many([b"k", b"l"]) == [None, b"w"]
    data.close()


def test_R13_R14_a_write_that_is_refused_is_told(tmp_path: Path) -> None:
    data = RocksBytes(tmp_path / "db", create=True)
    overheard(data, "IO error: no space left")
    with pytest.raises(StorageFailed, match="no space left"):
        data.write({b"k": b"v"})
    data.close()
