"""R13: every file that is found by its name was made durable together with that name.

The content of a file is durable once the file is synced, its name once the folder is. Here every sync
and every renaming is recorded, so that the tests know what a power cut would leave at any moment.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from decreed.registry.config import ClusterConfig
from decreed.storage import directory, durable, high_water
from decreed.storage.directory import open_directory
from decreed.storage.high_water import HighWater
from decreed.storage.marker import MARKER
from decreed.storage.rocks import RocksBytes

from .conftest import NODE


class PowerCut:
    """Knows what has been synced.

    Attributes:
        torn: files that took another's place before what they hold was durable.
    """

    def __init__(self) -> None:
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self.torn: list[Path] = []

    def synced(self, descriptor: int) -> None:
        """A file or a folder was synced, as it is now."""
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            self._names[found.st_ino] = _names(Path(f"/proc/self/fd/{descriptor}"))
        else:
            self._contents[found.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    def replaces(self, source: Path) -> None:
        """A file takes the place of another."""
        if self._contents.get(source.stat().st_ino) != source.read_bytes():
            self.torn.append(source)

    def leaves(self, path: Path) -> bool:
        """Whether a power cut leaves the name of `path`, and what it holds if it is a file."""
        found, folder = path.stat(), path.parent.stat().st_ino
        if self._names.get(folder, {}).get(path.name) != found.st_ino:
            return False
        return path.is_dir() or self._contents.get(found.st_ino) == path.read_bytes()


def _names(folder: Path) -> dict[str, int]:
    return {entry.name: entry.inode() for entry in os.scandir(folder)}


@pytest.fixture
def power_cut(monkeypatch: pytest.MonkeyPatch) -> Iterator[PowerCut]:
    watcher = PowerCut()
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def watched_fsync(descriptor: int) -> None:
        fsync(descriptor)
        watcher.synced(descriptor)

    def watched_replace(source: Path, target: Path) -> None:
        watcher.replaces(Path(source))
        replace(source, target)

    def watched_rename(source: Path, target: Path) -> None:
        watcher.replaces(Path(source))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    monkeypatch.setattr(os, "rename", watched_rename)
    yield watcher
    assert watcher.torn == []


def test_a_text_is_durable_before_it_replaces_another_and_its_name_afterwards(
    tmp_path: Path, power_cut: PowerCut
) -> None:
    path = tmp_path / "text.txt"
    for text in ("old", "new"):
        durable.replace_text(path, text)
        assert path.read_text() == text
        assert power_cut.leaves(path)


def test_a_new_mark_of_the_logs_is_durable(tmp_path: Path, power_cut: PowerCut) -> None:
    for log in (1, 2):
        high_water.note(tmp_path, HighWater(log, 10 * log))
        assert power_cut.leaves(tmp_path / high_water.NAME)


def test_a_directory_that_was_made_is_found_after_a_power_cut(
    tmp_path: Path, config: ClusterConfig, power_cut: PowerCut
) -> None:
    """Its parents too: a node must not start empty beside a directory with its promises."""
    data = tmp_path / "srv" / "decreed" / "n1"
    open_directory(data, config, NODE).close()
    for made in (data.parent.parent, data.parent, data):
        assert power_cut.leaves(made), made.name
    for name in (MARKER, directory.DATABASE):
        assert power_cut.leaves(data / name), name
    assert "ready" in (data / MARKER).read_text()
    assert power_cut.leaves(data / directory.DATABASE / high_water.NAME)


@pytest.mark.parametrize("name", ["srv", "decreed", "n1"])
def test_a_start_makes_names_durable_that_a_killed_start_did_not(
    tmp_path: Path,
    config: ClusterConfig,
    power_cut: PowerCut,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    data = tmp_path / "srv" / "decreed" / "n1"
    sync_names = durable.sync_names
    folder = next(made.parent for made in (data, *data.parents) if made.name == name)

    def killed(path: Path) -> None:
        if path == folder:
            raise KeyboardInterrupt
        sync_names(path)

    with monkeypatch.context() as patch:
        patch.setattr(directory, "sync_names", killed)
        with pytest.raises(KeyboardInterrupt):
            open_directory(data, config, NODE)
    open_directory(data, config, NODE).close()
    for made in (data.parent.parent, data.parent, data):
        assert power_cut.leaves(made), made.name


def test_a_directory_is_marked_before_anything_is_in_it(
    tmp_path: Path, config: ClusterConfig, power_cut: PowerCut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut during the first start leaves a directory that says so, or none."""
    data, marked = tmp_path / "data", list[bool]()

    class Noting(RocksBytes):
        def __init__(self, path: Path, *, create: bool, log_bytes: int) -> None:
            marker = data / MARKER
            marked.append("making" in marker.read_text() and power_cut.leaves(marker))
            super().__init__(path, create=create, log_bytes=log_bytes)

    monkeypatch.setattr(directory, "RocksBytes", Noting)
    open_directory(data, config, NODE).close()
    assert marked == [True]


def test_each_note_of_how_far_the_logs_have_come_is_durable_before_a_log_ends(
    tmp_path: Path, config: ClusterConfig, power_cut: PowerCut, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted, left = high_water.note, list[bool]()

    def watched(folder: Path, mark: HighWater) -> None:
        noted(folder, mark)
        left.append(power_cut.leaves(folder / high_water.NAME))

    monkeypatch.setattr("decreed.storage.rocks.note", watched)
    storage = open_directory(tmp_path / "data", config, NODE)
    storage.close()
    assert len(left) >= 2 and all(left)
