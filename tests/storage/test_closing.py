"""A recovery closes what it reads before what it makes can be used, wherever it is interrupted."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from decreed.registry.config import ClusterConfig
from decreed.registry.errors import BadRequest, DecreedError, IdentityRefused, StorageFailed
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Key, NodeId
from decreed.storage import marker
from decreed.storage.directory import open_directory
from decreed.storage.durable import replace_text
from decreed.storage.recovery.plan import RecoveredFormation, RecoverPlan
from decreed.storage.recovery.recovering import recover, sources, survey

from .conftest import make_config
from .leftovers import CONFIG, FORMATION, known, leave, proposed, state
from .samples import decree
from .snapshots import term
from .test_recovering import NOW_MS, found_in, plan_of


class Crash(Exception):
    """The machine stops."""


@pytest.fixture
def old(tmp_path: Path) -> Mapping[str, Path]:
    """The directories of two of three nodes."""
    one = leave(tmp_path / "a", [*known(decree("x"), term("jobs", 3)), proposed(decree("y"), 3)])
    return {"a": one, "b": leave(tmp_path / "b", known(decree("x")))}


def plan_into(folder: Path, old: Mapping[str, Path], **changes: Any) -> RecoverPlan:
    data = {NodeId(node): folder / node for node in "abc"}
    return plan_of(*old.values(), data=data, **changes)


def run(plan: RecoverPlan) -> RecoveredFormation:
    with sources(plan) as read:
        return recover(plan, read, survey(plan, read), os.urandom)


def may_be_opened(path: Path, node: str, config: ClusterConfig = CONFIG) -> bool:
    """Whether `serve` would open it; on a copy, since that begins an incarnation."""
    if not (path / marker.MARKER).exists():
        return False
    tried = path.with_name(f"{path.name}.tried")
    shutil.copytree(path, tried)
    try:
        open_directory(tried, config, NodeId(node)).close()
    except IdentityRefused:
        return False
    finally:
        shutil.rmtree(tried)
    return True


def test_what_was_read_is_refused_by_the_names_of_both_formations(
    tmp_path: Path, old: Mapping[str, Path]
) -> None:
    made = run(plan_into(tmp_path / "new", old))
    for node, path in old.items():
        with pytest.raises(IdentityRefused, match="must never start again") as refused:
            open_directory(path, CONFIG, NodeId(node))
        assert made.formation.hex() in str(refused.value)
        assert FORMATION.hex() in str(refused.value)


def test_nothing_but_the_marker_is_changed(tmp_path: Path, old: Mapping[str, Path]) -> None:
    before = state(*old.values())
    run(plan_into(tmp_path / "new", old))
    after = state(*old.values())
    changed = {name.removesuffix(" written") for name in after if after[name] != before.get(name)}
    assert changed == {str(path / marker.MARKER) for path in old.values()}
    assert found_in(*old.values(), again=True).contents.decrees == 2


def _steps(tmp_path: Path, old: Mapping[str, Path]) -> int:
    """How many markers a recovery writes."""
    return len(list(_marked(plan_into(tmp_path, old))))


def _marked(plan: RecoverPlan) -> Iterator[object]:
    yield from plan.data  # restoring
    yield from plan.data  # restored
    yield from plan.sources  # recovered
    yield from plan.data  # ready


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(11))
def test_no_crash_lets_an_old_and_a_new_directory_be_used(
    tmp_path: Path,
    old: Mapping[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    written: bool,
) -> None:
    """Each step of `closing` ends with a marker; the crash is before or after marker `at`."""
    plan = plan_into(tmp_path / "new", old)
    assert _steps(tmp_path / "new", old) == 11
    left = at
    real = replace_text

    def crashing(path: Path, text: str) -> None:
        nonlocal left
        if left == 0 and not written:
            raise Crash
        real(path, text)
        if left == 0:
            raise Crash
        left -= 1

    monkeypatch.setattr(marker, "replace_text", crashing)
    with pytest.raises(Crash):
        run(plan)
    monkeypatch.setattr(marker, "replace_text", real)
    usable = [node for node, path in plan.data.items() if may_be_opened(path, node)]
    still = [node for node, path in old.items() if may_be_opened(path, node)]
    assert not (usable and still), "both formations could decide"

    if len(usable) < 3:
        run(plan)
    assert all(may_be_opened(path, node) for node, path in plan.data.items())
    assert not any(may_be_opened(path, node) for node, path in old.items())
    store = open_directory(plan.data[NodeId("c")], CONFIG, NodeId("c"))
    assert store.load([Key("y")])[Key("y")] == Instance(learned=decree("y"))
    store.close()


def test_a_retry_after_all_was_written_goes_on_with_the_same_formation(
    tmp_path: Path, old: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the tokens of the first one might be given again."""
    plan = plan_into(tmp_path / "new", old)

    def crashing(path: Path, formation: bytes, into: bytes) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr("decreed.storage.recovery.old_directory.mark_recovered", crashing)
        with pytest.raises(Crash):
            run(plan)
    with sources(plan) as read:
        written = survey(plan, read)
        later = plan_into(tmp_path / "new", old, time_ms=NOW_MS + 1_000_000)
        made = recover(later, read, written, os.urandom)
    assert (made.restoration.time_ms, made.locks) == (NOW_MS, 1)
    assert all(may_be_opened(path, node) for node, path in plan.data.items())


def test_what_was_filled_from_other_directories_is_not_gone_on_with(
    tmp_path: Path, old: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_into(tmp_path / "new", old)
    monkeypatch.setattr("decreed.storage.recovery.recovering.start_with", lambda paths: None)
    run(plan)
    monkeypatch.undo()
    only = {"b": old["b"]}
    with pytest.raises(BadRequest, match="were filled from other directories"):
        run(plan_into(tmp_path / "new", only, again=True))
    smaller = plan_of(
        *old.values(), data={NodeId("a"): tmp_path / "new" / "a"}, config=make_config("c1", "a")
    )
    with pytest.raises(BadRequest, match="for another config"):
        run(smaller)


# ---- what cannot be closed ----


def test_a_copy_that_is_not_marked_is_never_everything(
    tmp_path: Path, old: Mapping[str, Path]
) -> None:
    plan = plan_into(tmp_path / "new", old, read_only=True)
    before = state(*old.values())
    with sources(plan) as read:
        found = survey(plan, read)
        recover(plan, read, found, os.urandom)
    assert found.voters.complete and not found.complete
    assert set(found.open) == set(old.values())
    assert state(*old.values()) == before


def test_what_cannot_be_written_is_refused_before_anything_is_made(
    tmp_path: Path, old: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "decreed.storage.recovery.old_directory.may_be_marked", lambda path: path != old["b"]
    )
    with pytest.raises(BadRequest, match=r"b cannot be written.*--read-only"):
        run(plan_into(tmp_path / "new", old))
    assert not (tmp_path / "new").exists()
    assert may_be_opened(old["a"], "a")
    found = found_in(*old.values())
    assert list(found.open) == [old["b"]] and not found.complete


def test_a_mark_that_fails_leaves_nothing_that_can_be_used(
    tmp_path: Path, old: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path, formation: bytes, into: bytes) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("decreed.storage.recovery.old_directory.mark_recovered", failing)
    plan = plan_into(tmp_path / "new", old)
    with pytest.raises(StorageFailed, match="cannot be marked"):
        run(plan)
    assert not any(may_be_opened(path, node) for node, path in plan.data.items())


# ---- a second recovery ----


def test_a_second_recovery_of_the_same_directories_needs_a_word(
    tmp_path: Path, old: Mapping[str, Path]
) -> None:
    first = run(plan_into(tmp_path / "new", old))
    found = found_in(*old.values())
    assert not found.complete and first.formation.hex() in found.open[old["a"]]
    second = plan_into(tmp_path / "second", old)
    with pytest.raises(BadRequest, match=f"recovered into formation {first.formation.hex()}"):
        run(second)
    assert not (tmp_path / "second").exists()
    again = plan_into(tmp_path / "second", old, again=True, time_ms=NOW_MS + 1)
    assert run(again).formation != first.formation
    assert found_in(*old.values(), again=True).complete


def test_a_marker_of_a_recovered_directory_keeps_its_format(tmp_path: Path) -> None:
    text = "decreed data directory, format 5, ready\n"
    (tmp_path / marker.MARKER).write_text(text)
    marker.mark_recovered(tmp_path, b"o" * 16, b"n" * 16)
    found = marker.read_marker(tmp_path)
    assert found == marker.Marker(5, marker.DirectoryState.RECOVERED, b"o" * 16, b"n" * 16)
    assert found is not None
    with pytest.raises(DecreedError, match=(b"n" * 16).hex()):
        marker.check_not_recovered(tmp_path, found)
