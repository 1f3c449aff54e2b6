"""Folders: mounted ones, links, hidden files, and what cannot be read."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from decreed.cli.importing import folders, sources
from decreed.registry.errors import BadRequest

from ..fakes import Cli, FakeRegistry


def nothing_unwanted(name: str) -> bool:
    return False


def mounted(root: Path, files: dict[str, bytes]) -> Path:
    """A folder as Kubernetes mounts a ConfigMap or a Secret."""
    version = root / "..2026_11_28_04_05_06.123"
    version.mkdir(parents=True)
    for name, data in files.items():
        (version / name).parent.mkdir(exist_ok=True)
        (version / name).write_bytes(data)
        first = name.split("/")[0]
        if not (root / first).is_symlink():
            (root / first).symlink_to(f"..data/{first}")
    (root / "..data").symlink_to(version.name)
    return root


def found(folder: Path, hidden: bool = False) -> dict[str, str]:
    """The result for each name: its value, the reason why it is left out, or its error."""
    items = folders.folder_items(folder, "", hidden, nothing_unwanted)
    return {item.name: item.left_out or str(item.error or item.load().value) for item in items}


def test_a_mounted_folder_is_imported_by_its_visible_names(
    cli: Cli, registry: FakeRegistry, tmp_path: Path
) -> None:
    files = {"ca.crt": b"text\n", "key": b"\xff\x00", "empty": b"", "sub/name": b"x"}
    folder = mounted(tmp_path / "m", files)
    result = cli("import", str(folder), "p")
    assert (result.code, result.text) == (0, "4 frozen, 0 same, 0 lost, 0 failed\n")
    assert {key: decree.value for key, decree in registry.decrees.items()} == {
        f"p/{name}": data for name, data in files.items()
    }


def test_a_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    folder = mounted(tmp_path / "m", {"a": b"1"})
    (tmp_path / "link").symlink_to("m")
    assert found(tmp_path / "link") == found(folder) == {"a": "1"}


def test_a_mounted_folder_that_changes_during_the_import_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mounted(tmp_path / "m", {"a": b"1"})
    (folder / "..new").mkdir()

    def update(self: object) -> list[object]:
        (folder / "..link").symlink_to("..new")
        os.replace(folder / "..link", folder / "..data")
        return []

    monkeypatch.setattr(folders.Folder, "items", update)
    with pytest.raises(BadRequest, match="updated while it was read"):
        found(folder)


def test_links_are_followed_inside_the_folder_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "sub" / "file").write_text("1")
    (tmp_path / "root-beside").write_text("secret")
    for name, target in {
        "inside": "sub/file",
        "twice": "inside",
        "folder": "sub",
        "whole": str(root / "sub" / "file"),
        "beside": "../root-beside",
        "outside": "/etc",
        "nowhere": "gone",
        "self": "self",
        "root": ".",
        "sub/deep/up": "..",
        "through": "beside",
    }.items():
        (root / name).symlink_to(target)
    said = found(root)
    assert {name for name, what in said.items() if what == "1"} == {
        "inside", "twice", "whole", "sub/file", "folder/file",
    }  # fmt: skip
    why = {name: what for name, what in said.items() if what != "1"}
    for name in ("beside", "outside", "root", "through"):
        assert "which is not below the folder" in why.pop(name)
    assert "No such file" in why.pop("nowhere")
    assert "Too many levels" in why.pop("self")
    for name in ("sub/deep/up", "folder/deep/up"):
        assert "which has no end" in why.pop(name)
    assert why == {}


def test_hidden_names_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for name in ("a", ".hidden", ".git/config", "..data"):
        (tmp_path / name).write_text("1")
    assert found(tmp_path) == {"a": "1", ".hidden": "hidden", ".git": "hidden"}
    assert found(tmp_path, hidden=True) == {"a": "1", ".hidden": "1", ".git/config": "1"}


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))


def too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(64 * 2**20 + 1)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (fifo, "not a regular file"),
        (listening, "No such device or address"),
        (too_large, "more than 67108864 bytes"),
    ],
)
def test_a_special_file_is_an_error_and_never_blocks(
    tmp_path: Path, make: Callable[[Path], None], why: str
) -> None:
    make(tmp_path / "x")
    assert found(tmp_path) == {"x": why}


def test_a_device_is_an_error(tmp_path: Path) -> None:
    assert "not a regular file" in found(Path("/dev"))["null"]


def test_a_folder_that_cannot_be_opened_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("1")

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(tmp_path) == {"": "Permission denied"}


def test_a_folder_with_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MOST_ITEMS", 2)
    for name in "abc":
        (tmp_path / name).write_text("1")
    with pytest.raises(BadRequest, match="more than 2 files"):
        found(tmp_path)


def test_links_that_multiply_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each folder has a link to each other: without a bound there are 8! ways through them."""
    monkeypatch.setattr(folders, "MOST_ITEMS", 1_000)
    names = "abcdefgh"
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("1")
    for name in names:
        for other in names:
            (tmp_path / name / f"to-{other}").symlink_to(f"../{other}")
    with pytest.raises(BadRequest, match="more than 1000 files"):
        found(tmp_path)


@pytest.mark.parametrize("option", [["--format", "json"], ["--document", "1"], ["--whole"]])
def test_options_for_a_file_are_refused_for_a_folder(
    cli: Cli, registry: FakeRegistry, tmp_path: Path, option: list[str]
) -> None:
    result = cli("import", str(tmp_path), "p", *option)
    assert (result.code, registry.calls) == (2, [])
    assert "are for a file" in result.err


def test_a_dash_is_shown_as_standard_input() -> None:
    assert sources.ImportSource(Path("-")).shown == "standard input"
