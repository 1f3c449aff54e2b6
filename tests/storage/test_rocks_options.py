"""A database opened again has the tables it was made with: its filters, cache and checksums."""

import os
from configparser import ConfigParser
from pathlib import Path

from decreed.registry.config import ClusterConfig
from decreed.storage.directory import open_directory
from decreed.storage.rocks import RocksBytes

from ..support.processes import eventually
from .conftest import NODE


def effective_options(path: Path) -> dict[str, dict[str, str]]:
    """What RocksDB wrote down, when it was opened last, of the column family that we use."""
    newest = max(path.rglob("OPTIONS-*"), key=lambda file: file.name)
    text = ConfigParser(interpolation=None, strict=False)
    text.read_string(newest.read_text())
    ours = [name for name in text.sections() if '"default"' in name]
    return {name: dict(text[name]) for name in ours}


def opened(path: Path, config: ClusterConfig) -> dict[str, dict[str, str]]:
    open_directory(path, config, NODE).close()
    return effective_options(path)


def test_a_restart_keeps_every_option_of_the_first_start(
    tmp_path: Path, config: ClusterConfig
) -> None:
    first = opened(tmp_path, config)
    assert first == opened(tmp_path, config) == opened(tmp_path, config)


def test_tables_have_the_chosen_filters_and_checksums_after_a_restart(
    tmp_path: Path, config: ClusterConfig
) -> None:
    opened(tmp_path, config)
    tables = opened(tmp_path, config)['TableOptions/BlockBasedTable "default"']
    assert tables["filter_policy"] == "bloomfilter"
    assert tables["checksum"] == "kXXH3"


def niceness(thread_name: str) -> set[int]:
    """How far this process's threads of that name step back for others."""
    tasks = [task for task in Path("/proc/self/task").iterdir() if named(task) == thread_name]
    return {os.getpriority(os.PRIO_PROCESS, int(task.name)) for task in tasks}


def named(task: Path) -> str:
    try:
        return (task / "comm").read_text().strip()
    except FileNotFoundError:
        return ""  # it has just ended


def test_compaction_has_low_priority_and_the_flush_of_a_full_log_has_not(
    tmp_path: Path,
) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    data = RocksBytes(tmp_path / "db", create=True)
    data.write({b"key": b"value"})
    database = data._open()
    database.flush(wait=True)
    database.compact_range(None, None)
    # a thread sets its own niceness when it takes up its first work, maybe after we look
    eventually("compaction steps back", lambda: 19 in niceness("rocksdb:low"))
    eventually("a flush does not", lambda: niceness("rocksdb:high") == {ours})
    data.close()
