"""A database opened again has the tables it was made with: its filters, cache and checksums."""

from configparser import ConfigParser
from pathlib import Path

from decreed.registry.config import ClusterConfig
from decreed.storage.directory import open_directory

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


def test_tables_have_filters_and_checksums_of_our_choice_behind_a_restart(
    tmp_path: Path, config: ClusterConfig
) -> None:
    opened(tmp_path, config)
    tables = opened(tmp_path, config)['TableOptions/BlockBasedTable "default"']
    assert tables["filter_policy"] == "bloomfilter"
    assert tables["checksum"] == "kXXH3"
