"""``decreed recover`` on real directories: what it prints, keeps, asks and refuses."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from decreed.registry.errors import Exit, StorageFailed
from decreed.storage.formation import start_with

from ...storage.leftovers import flip, known, leave, met, proposed, state, tables
from ...storage.samples import decree
from ...storage.snapshots import term
from ..fakes import Cli

TOML = """
cluster_id = "c1"
[members]
a = "127.0.0.1:7000"
b = "127.0.0.1:7001"
c = "127.0.0.1:7002"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config and the directories of two of three nodes; it is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.toml").write_text(TOML)
    leave(tmp_path / "a", [*known(decree("x"), term("jobs", 3)), proposed(decree("y"), 3)])
    leave(tmp_path / "b", [*known(decree("x")), *met("a"), *met("c", cursor=7)])
    return tmp_path


FROM_A = ("recover", "--config", "cluster.toml", "--from", "a")
FROM_BOTH = (*FROM_A, "--from", "b")
INTO = ("--data", "a=new/a", "--data", "b=new/b", "--data", "c=new/c")
MADE = (*FROM_BOTH, *INTO, "--gone", "c", "--yes")


def test_a_dry_run_prints_what_is_found_and_writes_nothing(cli: Cli, folder: Path) -> None:
    before = state(folder)
    done = cli(*FROM_BOTH, "--dry-run")
    assert done.code == Exit.DONE
    assert "read a: a, start 1, feed up to 2: sound" in done.out.decode()
    assert "found: 2 decrees, 1 term of locks" in done.out.decode()
    assert "complete: 2 of 3 voters are heard, 2 needed" in done.out.decode()
    assert "uncertain: 1 key" in done.out.decode()
    assert (
        "y: accepted in 3.a#1 at a; it may have been chosen, and is taken as decided"
        in done.out.decode()
    )
    assert state(folder) == before


def test_what_cannot_be_complete_says_what_is_lost(cli: Cli, folder: Path) -> None:
    done = cli("recover", "--config", "cluster.toml", "--from", "b", "--dry-run")
    assert "not complete: 1 of 3 voters are heard, 2 needed" in done.out.decode()
    assert "decided by votes of a, c alone is lost" in done.out.decode()
    assert "of c, everything is here up to entry 7 of its feed" in done.out.decode()


def test_the_list_is_kept_beside_the_new_directories(cli: Cli, folder: Path) -> None:
    done = cli(*MADE)
    assert done.code == Exit.DONE
    kept = json.loads((folder / "new" / "uncertain.json").read_text())
    assert kept["complete"] is True and kept["not_heard"] == ["c"]
    (uncertain,) = kept["uncertain"]
    assert (uncertain["key"], uncertain["verdict"]) == ("y", "maybe")
    assert uncertain["accepted_by"] == {"a": "3.a#1"}
    assert kept["formation"] in done.out.decode()
    assert kept["data"] == {"a": "new/a", "b": "new/b", "c": "new/c"}


def test_the_same_is_printed_as_json(cli: Cli, folder: Path) -> None:
    found = json.loads(cli(*FROM_BOTH, "--dry-run", "--json").out)
    made = json.loads(cli(*MADE, "--json").out)
    assert made == json.loads((folder / "new" / "uncertain.json").read_text())
    assert found["uncertain"] == made["uncertain"] and "formation" not in found


def test_what_was_read_is_marked_and_a_second_recovery_needs_a_word(cli: Cli, folder: Path) -> None:
    done = cli(*MADE)
    assert "marked, so that no node opens them again: a, b" in done.out.decode()
    formation = json.loads((folder / "new" / "uncertain.json").read_text())["formation"]
    told = cli(*FROM_BOTH, "--dry-run").out.decode()
    assert "not certain to be complete: 2 of 3 voters are heard" in told
    assert f"a was recovered into formation {formation} before" in told
    other = [word.replace("new/", "other/") for word in MADE]
    done = cli(*other)
    assert done.code == Exit.BAD_REQUEST and "say --again" in done.err
    assert "the nodes of that one" in done.err and not (folder / "other" / "a").exists()
    assert "complete: 2 of 3" in cli(*other, "--again").out.decode()


def test_copies_stay_as_they_are_and_are_never_everything(cli: Cli, folder: Path) -> None:
    before = state(folder / "a", folder / "b")
    done = cli(*MADE, "--read-only")
    assert done.code == Exit.DONE and state(folder / "a", folder / "b") == before
    told = done.out.decode()
    assert "nothing that was decided is missing" not in told
    assert "b is not marked as recovered (--read-only)" in told
    assert "see to it that none of their nodes starts" in told
    assert json.loads((folder / "new" / "uncertain.json").read_text())["complete"] is False


def test_an_interrupted_recovery_goes_on_with_the_same_command(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(paths: object) -> None:
        raise StorageFailed("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("decreed.storage.recovery.recovering.start_with", full)
        done = cli(*MADE)
    assert done.code == Exit.REFUSED and "no space left" in done.err
    assert "a, b marked as recovered" in done.err and "nothing was made" not in done.err
    formation = json.loads((folder / "new" / "uncertain.json").read_text())["formation"]
    done = cli(*MADE)
    assert done.code == Exit.DONE and f"formation {formation}" in done.out.decode()
    assert cli(*MADE).code != Exit.DONE


def test_a_list_is_never_replaced(cli: Cli, folder: Path) -> None:
    (folder / "new").mkdir()
    (folder / "new" / "uncertain.json").write_text("{}")
    done = cli(*MADE)
    assert done.code == Exit.BAD_REQUEST and "is not replaced" in done.err
    assert cli(*MADE, "--uncertain", "other.json").code == Exit.DONE
    assert (folder / "other.json").exists()


def test_every_voter_that_is_not_read_must_be_named(cli: Cli, folder: Path) -> None:
    done = cli(*FROM_BOTH, *INTO, "--yes")
    assert done.code == Exit.BAD_REQUEST
    assert "no directory of c is read" in done.err and "--gone c" in done.err
    done = cli(*MADE, "--gone", "a")
    assert done.code == Exit.BAD_REQUEST and "a is not gone" in done.err
    assert not (folder / "new").exists()


def test_the_clock_is_asked_for(cli: Cli, folder: Path) -> None:
    done = cli(*FROM_BOTH, *INTO, "--gone", "c")
    assert done.code == Exit.BAD_REQUEST and "say --yes" in done.err
    assert not (folder / "new").exists()


def test_damage_is_named(cli: Cli, folder: Path) -> None:
    path = leave(folder / "c", known(*(decree(f"k/{at:03}", b"%d" % at * 300) for at in range(90))))
    table = max(tables(path), key=lambda each: each.stat().st_size)
    flip(table, table.stat().st_size // 3)
    done = cli(*FROM_BOTH, "--from", "c", "--dry-run")
    assert done.code == Exit.DONE
    assert "read c: c, start 1, feed up to 90: damaged" in done.out.decode()
    assert "instances from 'k/" in done.out.decode()
    assert "unreadable: " in done.out.decode()


def test_contradictions_end_with_exit_7(cli: Cli, folder: Path) -> None:
    leave(folder / "c", known(decree("x", b"other")))
    done = cli(*FROM_BOTH, "--from", "c", *INTO, "--yes")
    assert done.code == Exit.REFUSED
    assert (
        "in conflict: 1 key" in done.out.decode() and "have different decrees for 'x'" in done.err
    )
    assert not (folder / "new").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--from: it needs the directories"),
        (("--from", "a"), "--config: it needs the cluster.toml"),
        (FROM_A[1:], "--data: it needs the new directory of each member"),
        ((*FROM_A[1:], "more"), "only --compare takes an argument"),
        (("--compare", "a"), "it needs OLD and NEWER"),
        (("--compare", "a", "nowhere"), "No such file"),
        (("--compare", "a", "b/../a"), "are the same"),
        ((*FROM_A[1:], *INTO[:2]), "no directory is named for b, c"),
        ((*FROM_A[1:], "--data", "a=a", *INTO[2:]), "is not replaced"),
    ],
)
def test_a_wrong_line_is_explained(
    cli: Cli, folder: Path, words: tuple[str, ...], said: str
) -> None:
    before = state(folder)
    done = cli("recover", *words)
    assert done.code in (Exit.BAD_REQUEST, Exit.REFUSED)
    assert said in done.err
    assert state(folder) == before


def test_compare_lists_key_by_key(cli: Cli, folder: Path) -> None:
    assert cli("recover", "--compare", "b", "a").out.decode().splitlines() == [
        "lacks    $locks/jobs@3, claimed by holder at 2026-09-21T14:13:20.000+00:00",
        "may lack y, claimed by me at 1970-01-01T00:28:20.000+00:00",
    ]
    done = cli("recover", "--compare", "b", "a", "--json")
    rows = [json.loads(row) for row in done.out.splitlines()]
    assert [row["difference"] for row in rows] == ["lacks", "may_lack"]
    assert rows[1]["newer"]["value"] == "value" and rows[1]["older"] is None
    assert cli("recover", "--compare", "a", "b").out == b"a lacks nothing that b has\n"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("survey", "nothing was made, and nothing of the old directories was changed"),
        ("new_formation", "nothing was made, and nothing of the old directories was changed"),
        ("filled_before", "nothing was made, and nothing of the old directories was changed"),
        ("start_with", "a, b marked as recovered, and as before otherwise"),
    ],
)
def test_an_interrupt_says_what_was_done_and_how_to_go_on(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, said: str
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"decreed.storage.recovery.recovering.{step}", interrupted)
        done = cli(*MADE)
    assert done.code == 130
    assert f"decreed: recover: interrupted; {said}" in done.err
    assert "give the same command again" in done.err
    assert cli(*MADE).code == Exit.DONE


def test_an_interrupt_while_the_new_directories_are_filled_leaves_the_old_ones_alone(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    before = state(folder / "a", folder / "b")
    with monkeypatch.context() as patched:
        patched.setattr("decreed.storage.formation.NewFormation.fill", interrupted)
        done = cli(*MADE)
    assert done.code == 130
    assert "not complete, and nothing of the old directories was changed" in done.err
    assert state(folder / "a", folder / "b") == before
    assert cli(*MADE).code == Exit.DONE


def test_an_interrupt_after_all_was_made_says_that_nodes_may_start(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_and_interrupted(paths: Iterable[Path]) -> None:
        start_with(paths)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("decreed.storage.recovery.recovering.start_with", made_and_interrupted)
        done = cli(*MADE)
    assert done.code == 130
    assert "recover: interrupted; the recovery is complete: start every node" in done.err
    again = cli(*MADE)
    assert again.code == Exit.REFUSED
    assert "nothing was made now: a, b recovered before" in again.err
    assert "not complete" not in again.err


def test_the_directory_of_a_node_in_the_place_of_a_new_one_is_not_called_half_made(
    cli: Cli, folder: Path
) -> None:
    done = cli(*["a=a" if word.startswith("a=") else word for word in MADE])
    assert done.code == Exit.REFUSED and "a is the data directory of a node already" in done.err
    assert done.err.endswith("; nothing was made\n")


def test_an_interrupt_before_anything_is_read_says_so(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("decreed.cli.commands.recover.load_config", interrupted)
    assert cli(*MADE).err == "decreed: recover: interrupted; nothing was made or changed\n"


def test_an_interrupted_dry_run_says_that_it_only_read(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("decreed.storage.recovery.recovering.survey", interrupted)
    assert "it only read, and nothing was changed" in cli(*FROM_BOTH, "--dry-run").err


@pytest.mark.parametrize(
    "words", [(*MADE, "--gone", "C"), (*FROM_BOTH, "--dry-run", "--gone", "C")]
)
def test_a_name_that_was_no_voter_is_not_gone(cli: Cli, folder: Path, words: tuple[str]) -> None:
    before = state(folder)
    done = cli(*words)
    assert done.code == Exit.BAD_REQUEST and state(folder) == before
    assert "--gone names C, and the voters were a b c: correct the name" in done.err


def test_what_an_observer_has_learned_is_taken_and_it_counts_for_no_voter(
    cli: Cli, folder: Path
) -> None:
    leave(folder / "o", known(decree("seen"), decree("x")), joins=True)
    done = cli("recover", "--config", "cluster.toml", "--from", "b", "--from", "o", "--dry-run")
    assert done.code == Exit.DONE
    assert "read o: o, start 1, feed up to 2: sound" in done.text
    assert "found: 2 decrees" in done.text
    assert "not complete: 1 of 3 voters are heard" in done.text
    words = ["o" if word == "a" else word for word in MADE]
    done = cli(*words, "--gone", "a")
    assert done.code == Exit.DONE, done.err
    assert "marked, so that no node opens them again: o, b" in done.text


def test_a_recovery_is_told_to_the_audit_log(cli: Cli, folder: Path) -> None:
    assert cli(*MADE, "--audit", "audit.jsonl", "--json").code == Exit.DONE
    [told] = map(json.loads, Path("audit.jsonl").read_text().splitlines())
    assert (told["event"], told["outcome"], told["names"]) == ("recovered", "done", ["a", "b", "c"])
    assert told["identity"].startswith("local/") and len(told["formation"]) == 32


def test_a_recovery_that_cannot_be_told_makes_nothing_if_it_must_be(cli: Cli, folder: Path) -> None:
    Path("cluster.toml").write_text(f"{TOML}[audit]\nrequired = true\n")
    before = state(folder)
    assert cli(*MADE).code == Exit.BAD_REQUEST
    assert cli(*MADE, "--audit", "missing/audit.jsonl").code == Exit.REFUSED
    assert state(folder) == before
