"""What a newer directory or snapshot has that an older one lacks, key by key."""

import os
from pathlib import Path

import pytest

from decreed.registry.errors import BadRequest, Damaged, DecreedError
from decreed.registry.types import NodeId
from decreed.storage.recovery.comparing import Difference, Unlike, check_sound, compare, opened
from decreed.storage.snapshot.restoring import RestorePlan, restore, survey

from .conftest import make_config
from .leftovers import CONFIG, flip, known, leave, proposed, tables
from .samples import decree
from .snapshots import ALL, BEGUN_MS, term, write


def differences(older: Path, newer: Path) -> list[tuple[str, Unlike]]:
    with opened(older) as old, opened(newer) as new:
        found: list[Difference] = list(compare(old, new))
        check_sound(old, new)
    return [(each.newer.key, each.kind) for each in found]


def test_a_snapshot_lacks_what_a_directory_has_learned_since(tmp_path: Path) -> None:
    full = write(tmp_path / "full")
    new = leave(tmp_path / "a", known(term("jobs", 9), *ALL[3:], decree("b/new"), decree("z")))
    assert differences(full, new) == [
        ("$locks/jobs@9", Unlike.LACKS),
        ("b/new", Unlike.LACKS),
        ("z", Unlike.LACKS),
    ]
    assert differences(full, full) == []


def test_a_key_that_was_decided_otherwise_is_told_apart(tmp_path: Path) -> None:
    one = leave(tmp_path / "one" / "a", known(decree("x", b"1"), decree("y")))
    two = leave(tmp_path / "two" / "a", known(decree("x", b"2"), decree("y")))
    with opened(one) as old, opened(two) as new:
        (found,) = compare(old, new)
    assert (found.kind, found.newer.value) == (Unlike.DIFFERS, b"2")
    assert found.older is not None and found.older.value == b"1"


def test_what_is_half_done_may_be_lacked(tmp_path: Path) -> None:
    half = leave(tmp_path / "half" / "a", [proposed(decree("x"), 3), proposed(term("jobs", 2), 3)])
    none = leave(tmp_path / "none" / "a", known(term("jobs", 1)))
    some = leave(tmp_path / "some" / "a", known(decree("x", b"other"), term("jobs", 2)))
    assert differences(none, half) == [("$locks/jobs@2", Unlike.MAY_LACK), ("x", Unlike.MAY_LACK)]
    assert differences(some, half) == []
    assert differences(half, some) == [("x", Unlike.LACKS)]


def test_a_restored_formation_lacks_no_term_since_its_tokens_are_above(tmp_path: Path) -> None:
    data = {NodeId(node): tmp_path / "restored" / node for node in "abc"}
    plan = RestorePlan([write(tmp_path / "full")], CONFIG, data, BEGUN_MS + 1, 500)
    restore(plan, survey(plan), os.urandom)
    newer = leave(tmp_path / "a", known(term("jobs", 9), term("unknown", 3), decree("z")))
    assert differences(data[NodeId("b")], newer) == [("z", Unlike.LACKS)]


def test_two_clusters_are_not_compared(tmp_path: Path) -> None:
    other = leave(tmp_path / "a", config=make_config("c2"))
    with pytest.raises(BadRequest, match="nothing to compare"):
        differences(write(tmp_path / "full"), other)


def test_damage_is_an_error_when_all_that_can_be_read_was_compared(tmp_path: Path) -> None:
    path = leave(
        tmp_path / "a", known(*(decree(f"k/{at:03}", os.urandom(500)) for at in range(60)))
    )
    table = max(tables(path), key=lambda each: each.stat().st_size)
    flip(table, table.stat().st_size // 3)
    empty = leave(tmp_path / "empty" / "a")
    with opened(empty) as old, opened(path) as new:
        assert 30 < len(list(compare(old, new))) < 60
        with pytest.raises(Damaged, match="this is not all"):
            check_sound(old, new)


def test_a_file_that_is_neither_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    with pytest.raises(DecreedError, match="is no snapshot"):
        differences(tmp_path / "file", tmp_path / "file")
