"""What ``decreed snapshot`` says of files that are damaged: each is named once, with the way out."""

from pathlib import Path

import pytest

from decreed.cli.snapshots.saving import SavePlan
from decreed.registry.errors import Damaged, Exit, Unreachable

from ...storage.snapshots import write
from ..fakes import Cli


@pytest.fixture
def cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A snapshot without its end, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = write(Path("cut.snapshot"))
    path.write_bytes(path.read_bytes()[:-20])
    return path


@pytest.mark.parametrize("words", [("verify",), ("show",)])
def test_a_damaged_file_is_named_once(cli: Cli, cut: Path, words: tuple[str, ...]) -> None:
    done = cli("snapshot", *words, str(cut))
    assert done.code == Exit.REFUSED
    assert done.err.startswith("decreed: cut.snapshot: block 4, at byte ")
    assert done.err.count("cut.snapshot") == 1
    assert cli("snapshot", *words, str(cut), "--json").error["thing"] == "cut.snapshot"


def test_of_several_files_the_damaged_one_is_named(cli: Cli, cut: Path) -> None:
    done = cli("snapshot", "verify", str(cut), str(cut))
    assert done.err.count("cut.snapshot") <= 1


def test_a_file_that_is_there_already_is_named_once(cli: Cli, cut: Path) -> None:
    done = cli("snapshot", "save", str(cut))
    assert done.code == Exit.BAD_REQUEST
    assert done.err.startswith("decreed: cut.snapshot is there already")
    assert done.err.count("cut.snapshot") == 1


@pytest.mark.parametrize("name", [".", "/", ""])
def test_a_folder_is_no_name_for_a_snapshot(cli: Cli, cut: Path, name: str) -> None:
    done = cli("snapshot", "save", name)
    assert done.code == Exit.BAD_REQUEST
    assert done.err.startswith(f"decreed: {name or '.'} is there already, and no snapshot is over")


def saving(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save writes a part of its file, and fails."""

    async def fail(plan: SavePlan, show: object) -> None:
        Path("new.snapshot.partial").write_bytes(b"some")
        raise error

    monkeypatch.setattr("decreed.cli.snapshots.saving.save", fail)


def test_a_save_since_a_damaged_snapshot_does_not_advise_to_go_on_with_it(
    cli: Cli, cut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving(Damaged("cut.snapshot: the file ends after block 3"), monkeypatch)
    done = cli("snapshot", "save", "new.snapshot", "--since", str(cut))
    assert done.code == Exit.REFUSED
    assert done.err == (
        "decreed: cut.snapshot: the file ends after block 3; take another copy of cut.snapshot and go"
        " on with --resume, or remove new.snapshot.partial and save without --since\n"
    )


def test_a_save_that_the_cluster_ended_can_be_continued(
    cli: Cli, cut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving(Unreachable("no node answers"), monkeypatch)
    done = cli("snapshot", "save", "new.snapshot", "--since", str(cut))
    assert "new.snapshot.partial has what was saved so far: go on with --resume" in done.err
