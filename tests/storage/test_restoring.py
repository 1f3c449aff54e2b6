"""Restored directories are those of a formation that has formed, and hold all that was saved."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decreed.registry.errors import BadRequest, DecreedError, IdentityRefused, Refused
from decreed.registry.keys import MAX_SLOT, sort_key
from decreed.registry.locks.restored import HOLDER, TERMS_MORE
from decreed.registry.locks.terms import lock_path, term_key, term_of
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Key, NodeId, decree_digest
from decreed.registry.unserved import ForgottenInstance
from decreed.registry.wire.peers import FLOOR_DIGEST
from decreed.storage.directory import open_directory
from decreed.storage.rocks import RocksStorage
from decreed.storage.snapshot.restoring import NOTE, Restored, RestorePlan, restore, survey

from .conftest import make_config
from .samples import decree, forget
from .snapshots import ALL, BEGUN_MS, FORMATION, ID, continued, term, write

CONFIG = make_config()
NOW_MS = BEGUN_MS + 3_600_000
LOCKS = ("jobs", "other")
KEYS = [each for each in ALL if not each.key.startswith("$")]


@pytest.fixture
def full(tmp_path: Path) -> Path:
    return write(tmp_path / "full")


def plan_of(folder: Path, *paths: Path, **changes: Any) -> RestorePlan:
    data = {NodeId(node): folder / node for node in "abc"}
    settings: dict[str, Any] = {"config": CONFIG, "data": data, "time_ms": NOW_MS, "ttl_ms": 500}
    return RestorePlan(paths, **(settings | changes))


def done(plan: RestorePlan) -> Restored:
    return restore(plan, survey(plan), os.urandom)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RocksStorage]]:
    """The storages of all nodes, opened as nodes open them."""
    folder = tmp_path_factory.mktemp("restored")
    plan = plan_of(folder, write(folder / "full"))
    done(plan)
    opened = {node: open_directory(path, CONFIG, node) for node, path in plan.data.items()}
    yield {str(node): store for node, store in opened.items()}
    for store in opened.values():
        store.close()


def test_every_node_has_every_decree(stores: dict[str, RocksStorage]) -> None:
    for store in stores.values():
        found = store.load([each.key for each in KEYS])
        assert found == {each.key: Instance(learned=each) for each in KEYS}


def test_the_nodes_have_formed_and_know_one_another(stores: dict[str, RocksStorage]) -> None:
    found = {node: store.recovered() for node, store in stores.items()}
    assert len({each.identity.formation for each in found.values()}) == 1
    assert len({each.identity.disk_id for each in found.values()}) == 3
    for node, recovered in found.items():
        identity = recovered.identity
        assert identity.formation not in (None, FORMATION)
        assert (identity.node, identity.incarnation, recovered.classes) == (node, 2, ())
        assert recovered.unlearned == ()
        others = [each for each in found if each != node]
        assert [peer.node for peer in recovered.peers] == others
        for peer, cursor in zip(recovered.peers, recovered.cursors, strict=True):
            theirs = found[peer.node]
            assert peer.disk_id == cursor.disk_id == theirs.identity.disk_id
            past = theirs.history.incarnation(peer.incarnation)
            assert past is not None and past.nonce == peer.nonce
            assert cursor.index == theirs.feed_end


def test_the_feeds_have_everything(stores: dict[str, RocksStorage]) -> None:
    for store in stores.values():
        entries, end = store.feed(0, 1_000)
        floors = [entry.key for entry in entries if entry.digest == FLOOR_DIGEST]
        assert floors == [term_key(lock, store.last_slot(lock_path(lock)) - 1) for lock in LOCKS]
        entries = [entry for entry in entries if entry.digest != FLOOR_DIGEST]
        assert end == store.recovered().feed_end == len(KEYS) + 2 * len(LOCKS)
        keys = [entry.key for entry in entries]
        assert keys == sorted(keys, key=sort_key)
        loaded = store.load(keys)
        for entry in entries:
            instance = loaded[entry.key]
            assert isinstance(instance, Instance) and instance.learned is not None
            assert entry.digest == decree_digest(instance.learned)


def test_known_locks_go_on_above_all_tokens_that_may_have_been_given(
    stores: dict[str, RocksStorage],
) -> None:
    for store in stores.values():
        number = store.last_slot(lock_path("jobs"))
        assert number == NOW_MS + 1
        key = term_key("jobs", number)
        instance = store.load([key])[key]
        assert isinstance(instance, Instance) and instance.learned is not None
        assert instance.learned.claimant == HOLDER
        assert instance.learned.note == "what was restored has term 8 of holder"
        assert term_of(instance.learned).secret_hash is None
        old = term_key("jobs", 8)
        assert isinstance(store.load([old])[old], ForgottenInstance)


def test_a_lock_with_more_terms_than_milliseconds_goes_on_a_million_later(tmp_path: Path) -> None:
    latest = NOW_MS + 5
    plan = plan_of(tmp_path, write(tmp_path / "full", [(term("jobs", latest),)]))
    done(plan)
    store = open_directory(plan.data[NodeId("a")], CONFIG, NodeId("a"))
    assert store.last_slot(lock_path("jobs")) == latest + TERMS_MORE
    store.close()


def test_unknown_locks_go_on_above_the_time_of_the_restore(stores: dict[str, RocksStorage]) -> None:
    seen = set[object]()
    for store in stores.values():
        assert store.last_slot(lock_path("new")) == NOW_MS
        keys = [term_key("new", NOW_MS + at) for at in (-1, 0, 1)]
        below, floor, above = (store.load(keys)[key] for key in keys)
        assert isinstance(below, ForgottenInstance) and below.floor == NOW_MS
        assert isinstance(floor, Instance) and floor.learned is not None
        assert floor.learned.key == term_key("new", NOW_MS)
        assert above == Instance()
        seen.add(floor)
    assert len(seen) == 1, "all nodes must hold the same decree"


def test_only_locks_have_a_floor(stores: dict[str, RocksStorage]) -> None:
    store = stores["a"]
    assert store.last_slot("new") == 0
    assert store.load([Key("new@1"), Key("$locks/new")]) == {
        "new@1": Instance(),
        "$locks/new": Instance(),
    }


def test_a_floor_rises_above_that_of_the_formation(stores: dict[str, RocksStorage]) -> None:
    store, series = stores["a"], lock_path("raised")
    end = store.recovered().feed_end
    store.write(forget(series, NOW_MS - 1, end))
    assert store.last_slot(series) == NOW_MS
    store.write(forget(series, NOW_MS + 9, end + 1))
    assert store.last_slot(series) == NOW_MS + 9
    key = term_key("raised", NOW_MS)
    assert isinstance(store.load([key])[key], ForgottenInstance)


def test_restored_terms_last_as_long_as_any_term_of_the_snapshot(tmp_path: Path) -> None:
    page = (term("a", 1, ttl_ms=2_000), term("a", 2, ttl_ms=1_000), term("b", 1, ttl_ms=700))
    path = write(tmp_path / "full", [page])
    assert done(plan_of(tmp_path / "one", path)).restoration.ttl_ms == 2_000
    assert done(plan_of(tmp_path / "two", path, ttl_ms=3_000)).restoration.ttl_ms == 3_000


def test_a_chain_is_restored_as_one(tmp_path: Path, full: Path) -> None:
    more = continued(tmp_path / "more", full, [(term("jobs", 9), decree("z"))])
    plan = plan_of(tmp_path, full, more)
    made = done(plan)
    assert (made.contents.decrees, made.contents.terms, made.locks) == (len(KEYS) + 1, 4, 2)
    with_note = json.loads((plan.data[NodeId("b")] / NOTE).read_text())
    assert with_note["formation"] == made.formation.hex()
    assert with_note["old_formation"] == FORMATION.hex()
    assert with_note["snapshot"] == made.restoration.snapshot.hex() != ID.hex()


def test_two_restores_are_two_formations(tmp_path: Path, full: Path) -> None:
    one, two = (done(plan_of(tmp_path / name, full)) for name in ("one", "two"))
    assert one.formation != two.formation


# ---- refusals, before anything is written ----


def refused(plan: RestorePlan, said: str) -> None:
    before = sorted(plan.data[NodeId("a")].parent.rglob("*"))
    with pytest.raises(DecreedError, match=said):
        survey(plan)
    assert sorted(plan.data[NodeId("a")].parent.rglob("*")) == before


def test_a_directory_in_use_is_not_replaced(tmp_path: Path, full: Path) -> None:
    plan = plan_of(tmp_path, full)
    open_directory(plan.data[NodeId("b")], CONFIG, NodeId("b")).close()
    refused(plan, "is not replaced")


def test_a_folder_with_other_files_is_not_touched(tmp_path: Path, full: Path) -> None:
    plan = plan_of(tmp_path, full)
    plan.data[NodeId("c")].mkdir()
    (plan.data[NodeId("c")] / "precious").write_text("x")
    refused(plan, "is not empty")


def test_all_members_are_restored_together(tmp_path: Path, full: Path) -> None:
    some = {NodeId("a"): tmp_path / "a"}
    refused(plan_of(tmp_path, full, data=some), "no directory is named for b, c")
    more = {NodeId(node): tmp_path / node for node in "abcd"}
    refused(plan_of(tmp_path, full, data=more), "d is no member")
    same = dict.fromkeys([NodeId(node) for node in "abc"], tmp_path / "a")
    refused(plan_of(tmp_path, full, data=same), "the same directory")


def test_a_snapshot_of_another_cluster_is_restored_only_if_that_is_meant(
    tmp_path: Path, full: Path
) -> None:
    other = make_config("c2")
    refused(plan_of(tmp_path, full, config=other), "of cluster 'c1', and the config of 'c2'")
    assert done(plan_of(tmp_path, full, config=other, other_cluster=True)).locks == 2


def test_a_clock_that_is_behind_the_snapshot_is_refused(tmp_path: Path, full: Path) -> None:
    refused(plan_of(tmp_path, full, time_ms=BEGUN_MS - 1), "set the clock")


def test_a_damaged_snapshot_makes_no_directory(tmp_path: Path, full: Path) -> None:
    full.write_bytes(full.read_bytes()[:-1])
    refused(plan_of(tmp_path, full), "the file ends")


def test_a_lock_without_room_for_new_terms_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "full", [(term("jobs", MAX_SLOT),)])
    with pytest.raises(Refused, match="'jobs' is at term"):
        done(plan_of(tmp_path, path))


# ---- interruptions ----


class Interrupted(Exception):
    """Stands for a kill."""


def interrupt(count: int) -> None:
    raise Interrupted


def test_a_restore_that_was_interrupted_is_no_directory_of_a_node(
    tmp_path: Path, full: Path
) -> None:
    plan = plan_of(tmp_path, full)
    with pytest.raises(Interrupted):
        restore(plan, survey(plan), os.urandom, interrupt)
    with pytest.raises(IdentityRefused, match="was not completed: do it again"):
        open_directory(plan.data[NodeId("a")], CONFIG, NodeId("a"))
    assert done(plan).locks == 2
    open_directory(plan.data[NodeId("a")], CONFIG, NodeId("a")).close()


def test_a_file_that_changes_meanwhile_is_found(tmp_path: Path, full: Path) -> None:
    plan = plan_of(tmp_path, full)
    found = survey(plan)
    full.unlink()
    write(full, [ALL[:4]])
    with pytest.raises(Refused, match="changed meanwhile"):
        restore(plan, found, os.urandom)
    with pytest.raises(IdentityRefused):
        open_directory(plan.data[NodeId("a")], CONFIG, NodeId("a"))


def test_the_error_of_a_file_that_is_no_snapshot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    with pytest.raises(BadRequest, match="is no snapshot"):
        survey(plan_of(tmp_path, tmp_path / "file"))
