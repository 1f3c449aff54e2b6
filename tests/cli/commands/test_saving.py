"""In which order a save asks: for marks before the first page, and again after the last one."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from decreed.cli.options.types import Call
from decreed.cli.snapshots import saving
from decreed.cli.snapshots.saving import SavePlan
from decreed.client.requests.exporting import ExportedPage
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import ClientWelcome
from decreed.registry.wire.marks import FeedMark
from decreed.registry.wire.packed import pack_decrees
from decreed.storage.snapshot.chain import SnapshotChain
from decreed.storage.snapshot.reader import SnapshotReader

from ...storage.samples import decree

FORMATION = bytes(range(16))
MARKS = (FeedMark(NodeId("n1"), b"d" * 16, 3, 77), FeedMark(NodeId("n2"), b"e" * 16, 1, 5))


class Source:
    """A cluster of two pages. The marks that it tells are taken from `told`, in turn."""

    pages: tuple[str, ...] = ("a", "b")
    asked: list[str]
    told: list[tuple[FeedMark, ...]]

    def __init__(self, sender: object, after: str, timeout: float | None) -> None:
        self._after = after

    async def meet(self) -> ClientWelcome:
        return ClientWelcome(1, "c1", FORMATION, NodeId("n1"), (), 1, 1, 1)

    async def marks(self) -> tuple[FeedMark, ...]:
        self.asked.append("marks")
        return self.told.pop(0)

    async def __aiter__(self) -> AsyncIterator[ExportedPage]:
        for keys in self.pages:
            if keys > self._after:
                self.asked.append(keys)
                decrees = tuple(map(decree, keys))
                yield ExportedPage(decrees, pack_decrees(decrees))
                if self.told == []:
                    raise RuntimeError("interrupted")


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> type[Source]:
    monkeypatch.setattr(Source, "asked", [], raising=False)
    monkeypatch.setattr(saving, "Exporting", Source)
    return Source


async def saved(
    path: Path, *, resume: bool = False, since: SnapshotChain | None = None
) -> tuple[FeedMark, ...]:
    """Save, and return the marks in the end of the file."""
    plan = SavePlan(Call.of(None, 1.0, False), path, 1.0, resume, ())
    with ExitStack() as files:
        await saving._save_from(object(), plan, since, files, lambda _: None)  # type: ignore[arg-type]
    with path.open("rb") as file:
        reader = SnapshotReader(file)
        reader.check_blocks()
        assert reader.end is not None
        return reader.end.marks


@pytest.mark.trio
async def test_marks_are_from_before_the_first_page_and_confirmed_after_the_last(
    tmp_path: Path, source: type[Source]
) -> None:
    later = tuple(FeedMark(*(one.node, one.disk_id, one.incarnation), 999) for one in MARKS)
    source.told = [MARKS, later, ()]
    assert await saved(tmp_path / "full") == MARKS
    assert source.asked == ["marks", "a", "b", "marks"]


@pytest.mark.trio
async def test_a_save_in_which_a_node_tells_no_mark_any_more_has_none(
    tmp_path: Path, source: type[Source]
) -> None:
    source.told = [MARKS, MARKS[:1], ()]
    assert await saved(tmp_path / "full") == ()


@pytest.mark.trio
async def test_a_save_that_goes_on_keeps_the_marks_from_its_beginning(
    tmp_path: Path, source: type[Source]
) -> None:
    source.told = [MARKS]
    with pytest.raises((RuntimeError, ExceptionGroup)):
        await saved(tmp_path / "full")
    source.told = [MARKS, ()]
    assert await saved(tmp_path / "full", resume=True) == MARKS
    assert source.asked == ["marks", "a", "b", "marks"], "what was saved is not asked for again"


@pytest.mark.trio
async def test_an_increment_has_the_part_of_a_page_that_it_lacks(
    tmp_path: Path, source: type[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    full, more = tmp_path / "full", tmp_path / "more"
    monkeypatch.setattr(Source, "pages", ("b",))
    source.told = [(), (), (), (), ()]
    await saved(full)
    monkeypatch.setattr(Source, "pages", ("abc", "d"))
    with SnapshotChain([full]) as chain:
        await saved(more, since=chain)
    with SnapshotChain([full, more]) as chain:
        assert [each.key for each in chain.decrees()] == ["a", "b", "c", "d"]
    with more.open("rb") as file:
        assert [[each.key for each in page] for page in SnapshotReader(file).pages()] == [
            *(["a", "c"], ["d"]),
        ]
