"""Increments: a chain is read as one snapshot, and a wrong chain is named."""

from pathlib import Path

import pytest

from decreed.registry.errors import BadRequest, Damaged, Disputed
from decreed.registry.keys import sort_key
from decreed.registry.types import Decree
from decreed.storage.snapshot.increment import KnownDecrees

from .samples import decree
from .snapshots import ALL, ID, continued, head, read, term, write

NEW = (term("jobs", 9), decree("a@3"), decree("z"))
LATER = bytes(range(1, 17))


@pytest.fixture
def full(tmp_path: Path) -> Path:
    return write(tmp_path / "full")


@pytest.fixture
def more(tmp_path: Path, full: Path) -> Path:
    return continued(tmp_path / "more", full, [NEW])


def test_a_chain_is_read_as_one(tmp_path: Path, full: Path, more: Path) -> None:
    last = continued(tmp_path / "last", more, [(decree("aa"),)], LATER)
    everything = sorted([*ALL, *NEW, decree("aa")], key=lambda each: sort_key(each.key))
    assert read(full, more, last) == everything


def test_an_increment_needs_what_it_continues(more: Path) -> None:
    with pytest.raises(BadRequest, match=f"name the snapshot {ID.hex()} before it"):
        read(more)


def test_the_order_of_a_chain_counts(full: Path, more: Path) -> None:
    with pytest.raises(BadRequest, match="is an increment"):
        read(more, full)


def test_a_full_snapshot_continues_no_other(tmp_path: Path, full: Path) -> None:
    with pytest.raises(BadRequest, match="continues no other"):
        read(full, write(tmp_path / "other", of=head(LATER)))


def test_an_increment_of_another_snapshot_is_named(tmp_path: Path, more: Path) -> None:
    other = write(tmp_path / "other", of=head(LATER))
    with pytest.raises(BadRequest, match=f"continues the snapshot {ID.hex()}, not {LATER.hex()}"):
        read(other, more)


def test_a_missing_link_is_named(tmp_path: Path, full: Path, more: Path) -> None:
    last = continued(tmp_path / "last", more, [], LATER)
    with pytest.raises(BadRequest, match="last continues the snapshot"):
        read(full, last)


def test_a_base_with_other_contents_is_found(tmp_path: Path, more: Path) -> None:
    """The id alone proves nothing: a save that was interrupted and continued has the same."""
    changed = write(tmp_path / "changed", [ALL[:1]])
    with pytest.raises(Damaged, match="it was changed"):
        read(changed, more)


def test_an_increment_of_another_formation_is_named(tmp_path: Path, full: Path) -> None:
    from decreed.storage.snapshot.contents import SnapshotBase

    other = head(LATER, SnapshotBase(ID, head().begun_ms), bytes(16))
    with pytest.raises(BadRequest, match="another formation"):
        read(full, write(tmp_path / "other", of=other, base_whole=1))


def test_a_key_is_in_one_file_of_a_chain_only(tmp_path: Path, full: Path) -> None:
    with pytest.raises(Damaged, match="two of the files have the key 'a'"):
        read(full, continued(tmp_path / "more", full, [(decree("a"),)]))


# ---- what an increment has ----


def lacking(known: list[Decree], *pages: list[Decree], after: str = "") -> list[Decree]:
    found = KnownDecrees(known, after)
    new = [each for page in pages for each in found.lacking(page)]
    found.finish()
    return new


def test_an_increment_has_what_the_chain_lacks() -> None:
    a, b, c, d = (decree(key) for key in "abcd")
    assert lacking([b, c], [a, b], [], [c, d]) == [a, d]
    assert lacking([], [a]) == [a]
    assert lacking([a], [a]) == []


def test_old_terms_may_be_forgotten_meanwhile() -> None:
    terms = [term("jobs", number) for number in range(1, 6)]
    assert lacking(terms[:3], [terms[3]]) == [terms[3]]
    assert lacking([*terms[:3], decree("a")], [*terms[2:], decree("a")]) == terms[3:]


def test_a_key_that_the_cluster_has_lost_is_an_alarm() -> None:
    with pytest.raises(Damaged, match="the cluster has lost 'b'"):
        lacking([decree("a"), decree("b")], [decree("a"), decree("c")])
    with pytest.raises(Damaged, match="the cluster has lost 'b'"):
        lacking([decree("a"), decree("b")], [decree("a")])


def test_another_decree_for_a_known_key_is_an_alarm() -> None:
    with pytest.raises(Disputed, match="'a' has another decree"):
        lacking([decree("a")], [decree("a", b"other")])


def test_what_was_saved_before_an_interruption_is_not_looked_for_again() -> None:
    known = [decree(key) for key in "abc"]
    assert lacking(known, [decree("c"), decree("d")], after="b") == [decree("d")]
