"""A damaged directory gives whatever can be read, names the rest, and is not heard as a voter."""

import shutil
from hashlib import shake_128
from pathlib import Path

import pytest

from decreed.registry.disk import WithheldRecord
from decreed.registry.errors import DecreedError
from decreed.registry.locks.terms import lock_path
from decreed.registry.types import Key, NodeId, decree_digest
from decreed.storage import layout
from decreed.storage.directory import open_directory
from decreed.storage.layout import key_of
from decreed.storage.recovery.old_directory import old_directory
from decreed.storage.recovery.recovering import Findings, Verdict, sources, survey
from decreed.storage.recovery.salvage import Salvage
from decreed.storage.recovery.union import Union

from .leftovers import CONFIG, flip, known, leave, proposed, state, tables
from .samples import decree, forget
from .snapshots import term
from .test_formats import FORMAT_5, FORMAT_6, RIGHT
from .test_recovering import found_in, plan_of, verdicts

FILLER = [
    decree(f"{name}/{at:03}", shake_128(b"%d" % at).digest(700))
    for name in "jl"
    for at in range(40)
]
MIDDLE = [decree(f"k/{at}", shake_128(name.encode()).digest(50)) for at, name in enumerate("xyz")]
ALL = sorted([*FILLER, *MIDDLE], key=lambda each: each.key)


def filled(path: Path) -> Path:
    """A directory with some blocks of a table."""
    return leave(path, known(*ALL))


def keys_in(*paths: Path) -> tuple[set[Key], Findings]:
    plan = plan_of(*paths)
    with sources(plan) as old:
        return {each.key for each in Union(old).decrees()}, survey(plan, old)


def test_a_flipped_byte_in_a_table_costs_the_block_alone(tmp_path: Path) -> None:
    path = filled(tmp_path / "a")
    table = max(tables(path), key=lambda each: each.stat().st_size)
    flip(table, table.stat().st_size // 3)
    before = state(path)
    keys, found = keys_in(path)
    lost = {each.key for each in ALL} - keys
    assert 0 < len(lost) < 20
    with sources(plan_of(path)) as old:
        survey(plan_of(path), old)
        assert all(str(table) in text for text in old[0].damage)
    assert set(found.lost[path]) == lost
    assert (found.voters.heard, found.voters.complete) == ((), False)
    assert state(path) == before


def test_several_damaged_blocks_cost_those_blocks_alone(tmp_path: Path) -> None:
    path = filled(tmp_path / "a")
    table = max(tables(path), key=lambda each: each.stat().st_size)
    for fifth in (1, 2, 3):
        flip(table, table.stat().st_size * fifth // 5)
    keys, found = keys_in(path)
    lost = {each.key for each in ALL} - keys
    assert 3 <= len(lost) < 40
    assert set(found.lost[path]) == lost


def test_rows_that_a_search_passed_over_are_read_by_their_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path / "a")
    leave(path, [proposed(decree("zz/half-done", b"v" * 5_000), 3)])
    table = max(tables(path), key=lambda each: each.stat().st_size)
    flip(table, table.stat().st_size // 3)
    before, _ = keys_in(path)
    monkeypatch.setattr(Salvage, "_behind", lambda self, start, end: end)  # pyright: ignore
    keys, found = keys_in(path)
    assert keys == before and "zz/half-done" in keys
    assert set(found.lost[path]) == {each.key for each in ALL} - keys


def test_what_one_directory_has_lost_another_gives(tmp_path: Path) -> None:
    path = filled(tmp_path / "a")
    table = max(tables(path), key=lambda each: each.stat().st_size)
    flip(table, table.stat().st_size // 3)
    keys, found = keys_in(path, filled(tmp_path / "b"))
    assert keys == {each.key for each in ALL}
    assert list(found.lost[path]) == []
    assert found.voters.heard == ("b",)


def test_what_enough_others_have_accepted_is_not_lost(tmp_path: Path) -> None:
    path = filled(tmp_path / "a")
    table = max(tables(path), key=lambda each: each.stat().st_size)
    flip(table, table.stat().st_size // 3)
    two = leave(tmp_path / "b", [proposed(each, 3) for each in ALL])
    keys, found = keys_in(path, two)
    assert keys == {each.key for each in ALL} and found.lost[path]
    keys, found = keys_in(path, two, leave(tmp_path / "c"))
    assert found.voters.complete and not found.lost[path]


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST*", "high-water.txt"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_damaged_files_of_rocksdb_give_what_the_tables_have(
    tmp_path: Path, name: str, how: str
) -> None:
    path = filled(tmp_path / "a")
    victim = next((path / "db").glob(name))
    if how == "flipped":
        flip(victim, 3)
    elif how == "cut":
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    else:
        victim.unlink()
    keys, found = keys_in(path)
    assert keys == {each.key for each in ALL}
    assert found.voters.heard == ()


@pytest.mark.parametrize("how", ["cut", "gone", "empty"])
def test_a_table_that_is_lost_costs_what_is_in_it_alone(tmp_path: Path, how: str) -> None:
    path = filled(tmp_path / "a")
    victim = max(tables(path), key=lambda each: each.stat().st_size)
    leave(path, known(decree("later"))[:1])
    assert victim.exists() and len(tables(path)) > 1
    if how == "gone":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2 if how == "cut" else 0])
    keys, found = keys_in(path)
    assert keys == {"later"}
    with sources(plan_of(path)) as old:
        assert any(str(victim) in text for text in old[0].damage)
    assert not found.voters.complete


def test_a_log_that_was_cut_or_flipped_gives_its_other_records(tmp_path: Path) -> None:
    path = tmp_path / "a"
    storage = open_directory(leave(path), CONFIG, NodeId("a"))
    for at in range(20):
        storage.write(known(decree(f"k/{at:02}"))[:1])
    left = shutil.copytree(path, tmp_path / "left" / "a")
    storage.close()
    log = max((left / "db").glob("*.log"), key=lambda each: each.stat().st_size)
    flip(log, log.stat().st_size // 2)
    keys, found = keys_in(left)
    assert 5 <= len(keys) < 20
    with sources(plan_of(left)) as old:
        assert "is damaged at byte" in old[0].damage[0]
    assert found.voters.heard == ()


def test_a_directory_that_does_not_say_whose_it_is_cannot_be_used(tmp_path: Path) -> None:
    path = leave(tmp_path / "a")
    for table in tables(path):
        table.write_bytes(b"")
    for log in (path / "db").glob("*.log"):
        log.write_bytes(b"")
    with pytest.raises(DecreedError, match="a"):
        found_in(path)


def test_directories_of_earlier_builds_are_read(tmp_path: Path) -> None:
    path = shutil.copytree(FORMAT_5, tmp_path / "5")
    with old_directory(path) as found:
        assert {key_of(stored): one for stored, one in found.instances()} == RIGHT
        assert (found.node, found.feed_end, found.damage) == ("a", 2, [])
    with old_directory(shutil.copytree(FORMAT_6, tmp_path / "6")) as found:
        assert len(found.floors) == 2 and found.is_sound


# ---- records that are gone without a trace ----


def without_rows(path: Path, *keys: str) -> Path:
    """Delete records as a disk may that forgets them; nothing shows it but what names their keys."""
    storage = open_directory(path, CONFIG, NodeId(path.name))
    storage._data.write({layout.instance_key(Key(key)): None for key in keys})
    storage.close()
    return path


def test_a_decree_whose_record_is_gone_is_unreadable_and_its_directory_damaged(
    tmp_path: Path,
) -> None:
    """The feed names it. Without a look at that, a recovery would say that nothing is missing."""
    one = leave(tmp_path / "a", known(decree("x"), decree("y")))
    found = found_in(without_rows(one, "x"), leave(tmp_path / "b"), leave(tmp_path / "c"))
    assert found.lost == {one: ["x"]}
    assert found.voters.heard == ("b", "c") and found.contents.decrees == 1


def test_it_is_taken_from_a_directory_that_has_it(tmp_path: Path) -> None:
    one = without_rows(leave(tmp_path / "a", known(decree("x"))), "x")
    found = found_in(one, leave(tmp_path / "b", known(decree("x"))))
    assert found.lost == {one: []} and found.contents.decrees == 1


def test_a_vote_whose_record_is_gone_is_not_heard(tmp_path: Path) -> None:
    """b may have accepted what c has: then that was chosen."""
    long = decree("x", bytes(9_000))  # it has a row of its own
    two = without_rows(leave(tmp_path / "b", [proposed(long, 4)]), "x")
    found = found_in(leave(tmp_path / "a"), two, leave(tmp_path / "c", [proposed(long, 4)]))
    assert found.voters.gone == ("b",)
    assert verdicts(found) == {"x": Verdict.MAYBE}


def test_a_decree_that_a_node_withholds_is_unreadable_unless_it_holds_it_itself(
    tmp_path: Path,
) -> None:
    digests = {key: decree_digest(decree(key)) for key in "xyz"}
    held = [proposed(decree("y"), 3), proposed(decree("z", b"other"), 3)]
    withheld = [WithheldRecord(Key(key), 0, digest, True) for key, digest in digests.items()]
    one = leave(leave(tmp_path / "a", held), withheld)
    found = found_in(one)
    assert found.lost == {one: ["x", "z"]}
    assert verdicts(found) == {}
    assert found.contents.decrees == 1


def test_what_is_forgotten_or_told_as_a_floor_is_not_gone(tmp_path: Path) -> None:
    terms = [term("l", number) for number in (1, 2, 3)]
    one = leave(leave(tmp_path / "a", known(*terms)), forget(lock_path("l"), 3, 3))
    assert found_in(one).lost == {}
