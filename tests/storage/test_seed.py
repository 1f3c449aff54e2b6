"""A snapshot as a seed for a node that joins: all of it is checked before any of it is used."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from decreed.registry.errors import BadRequest, Damaged
from decreed.registry.types import Decree, NodeId
from decreed.registry.wire.marks import FeedMark
from decreed.storage.snapshot import seed as seeds
from decreed.storage.snapshot.chain import SnapshotChain
from decreed.storage.snapshot.contents import SnapshotBase, confirmed
from decreed.storage.snapshot.seed import SnapshotSeed
from decreed.storage.snapshot.writer import SnapshotWriter

from ..support.world import config
from .samples import decree
from .snapshots import ALL, FORMATION, PAGES, continued, head, write

CONFIG = config()
HEAD = replace(head(), cluster_id=CONFIG.cluster_id)


def seed(*paths: Path) -> SnapshotSeed:
    return SnapshotSeed(paths, CONFIG)


def full(tmp_path: Path) -> Path:
    return write(tmp_path / "full", PAGES, HEAD)


def test_a_seed_tells_all_decrees_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeds, "PAGE_DECREES", 3)
    found = seed(full(tmp_path))
    assert found.formation == FORMATION
    pages = list(found.pages())
    assert [each for page in pages for each in page] == list(ALL)
    assert [len(page) for page in pages] == [3, 3, 1, 3], "those of a block that has too many"


def test_a_seed_of_another_cluster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="this node joins"):
        seed(write(tmp_path / "other"))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.97])
def test_a_seed_that_was_cut_is_refused_before_any_of_it_is_used(
    tmp_path: Path, kept: float
) -> None:
    path = full(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(Damaged, match="full"):
        seed(path)


def test_a_seed_that_was_cut_between_two_blocks_is_refused(tmp_path: Path) -> None:
    path = full(tmp_path)
    whole = path.read_bytes()
    for size in range(len(whole) - 1, 0, -1):
        path.write_bytes(whole[:size])
        with pytest.raises((Damaged, BadRequest)):
            seed(path)


def test_a_changed_byte_is_found_before_any_of_it_is_used(tmp_path: Path) -> None:
    path = full(tmp_path)
    whole = path.read_bytes()
    for at in range(len(whole) // 2, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Damaged):
            seed(path)


def test_an_increment_needs_what_it_continues(tmp_path: Path) -> None:
    first = write(tmp_path / "full", PAGES[:2], HEAD)
    second = continued(tmp_path / "more", first, PAGES[2:])
    with pytest.raises(BadRequest, match="is an increment"):
        seed(second)


def test_a_seed_that_was_replaced_meanwhile_is_told_no_further(tmp_path: Path) -> None:
    path = full(tmp_path)
    found = seed(path)
    path.unlink()
    write(path, [(decree("z"),)], replace(HEAD, id=bytes(16)))
    with pytest.raises(Damaged, match="replaced"):
        list(found.pages())


MARKS = (FeedMark(NodeId("a"), b"d" * 16, 3, 77), FeedMark(NodeId("b"), b"e" * 16, 1, 5))


def marked(
    path: Path,
    marks: tuple[FeedMark, ...],
    pages: Sequence[tuple[Decree, ...]] = PAGES,
    base: Path | None = None,
) -> Path:
    """A snapshot whose save was begun with all marks, and ended with some."""
    of, whole = replace(HEAD, marks=MARKS), None
    if base is not None:
        with SnapshotChain([base]) as chain:
            chain.check_blocks()
            whole, before = chain.whole, chain.head
        of = replace(of, id=path.name.ljust(16).encode(), base=SnapshotBase(before.id, 0))
    with SnapshotWriter.begin(path, of) as writer:
        for page in pages:
            writer.add(page)
        writer.end(1, whole, marks)
    return path


def test_a_seed_has_the_marks_that_were_confirmed_at_its_end_and_its_count(tmp_path: Path) -> None:
    found = seed(marked(tmp_path / "full", MARKS))
    assert (found.marks, found.count) == (MARKS, len(ALL))
    assert seed(marked(tmp_path / "unsure", ())).marks == ()
    assert seed(write(tmp_path / "old", PAGES, HEAD)).marks == (), "none are in older files"


def test_the_marks_of_the_last_file_count_and_all_decrees_are_counted(tmp_path: Path) -> None:
    first = marked(tmp_path / "full", MARKS, PAGES[:2])
    for name, marks in (("more", MARKS[:1]), ("less", ())):
        second = marked(tmp_path / name, marks, PAGES[2:], first)
        found = seed(first, second)
        assert (found.marks, found.count) == (marks, len(ALL))


def test_an_end_that_has_other_marks_than_the_head_is_damaged(tmp_path: Path) -> None:
    other = (replace(MARKS[0], index=MARKS[0].index + 1),)
    with pytest.raises(Damaged, match="marks that its first one has not"):
        seed(marked(tmp_path / "full", other))


def test_a_chain_with_a_file_that_was_saved_again_is_refused_before_any_of_it_is_used(
    tmp_path: Path,
) -> None:
    """The second is the same snapshot by its id, and has other bytes."""
    first = marked(tmp_path / "full", MARKS, PAGES[:2])
    second = marked(tmp_path / "more", MARKS, PAGES[2:], first)
    first.unlink()
    marked(first, MARKS, PAGES[:1])
    with pytest.raises(Damaged, match="full is not the file that the next one continues"):
        seed(first, second)


@pytest.mark.parametrize(
    ("after", "counts"),
    [
        (MARKS, True),
        ([replace(mark, index=999) for mark in MARKS], True),
        (MARKS[:1], False),
        ((), False),
        ([MARKS[0], replace(MARKS[1], incarnation=2)], False),
        ([MARKS[0], replace(MARKS[1], disk_id=bytes(16))], False),
    ],
)
def test_marks_count_if_each_node_that_told_one_tells_one_after_the_save(
    after: Sequence[FeedMark], counts: bool
) -> None:
    assert confirmed(MARKS, after) == (MARKS if counts else ())
