"""A recovery takes everything that was decided, says what may be lost, and changes nothing old."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from decreed.registry.errors import BadRequest, Disputed, IdentityRefused
from decreed.registry.locks.restored import HOLDER
from decreed.registry.locks.terms import lock_path, term_key
from decreed.registry.members import MembersChange, claim_of
from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import Decree, Key, NodeId
from decreed.storage.directory import open_directory
from decreed.storage.recovery.plan import RecoveredFormation, RecoverPlan
from decreed.storage.recovery.recovering import (
    Findings,
    Verdict,
    recover,
    sources,
    survey,
)

from .conftest import make_config
from .leftovers import (
    CONFIG,
    by_node,
    disk_of,
    known,
    leave,
    met,
    proposed,
    seated,
)
from .samples import BALLOT, decree, forget, promised
from .snapshots import term

NOW_MS = 1_795_000_000_000


def plan_of(*paths: Path, **changes: Any) -> RecoverPlan:
    settings: dict[str, Any] = {"config": CONFIG, "data": {}, "time_ms": NOW_MS, "ttl_ms": 500}
    return RecoverPlan(paths, **(settings | changes))


def found_in(*paths: Path, **changes: Any) -> Findings:
    plan = plan_of(*paths, **changes)
    with sources(plan) as old:
        return survey(plan, old)


def made_of(folder: Path, *paths: Path) -> tuple[RecoveredFormation, Mapping[NodeId, Path]]:
    data = {NodeId(node): folder / node for node in "abc"}
    plan = plan_of(*paths, data=data)
    with sources(plan) as old:
        return recover(plan, old, survey(plan, old), os.urandom), data


def verdicts(found: Findings) -> Mapping[Key, Verdict]:
    return {each.what.decree.key: each.verdict for each in found.uncertain}


# ---- what is taken ----


def test_the_new_formation_has_what_any_directory_had_learned(tmp_path: Path) -> None:
    one = leave(tmp_path / "a", known(decree("x"), decree("only-a")))
    two = leave(tmp_path / "b", known(decree("x"), decree("only-b")))
    _, data = made_of(tmp_path / "new", one, two)
    for node, path in data.items():
        store = open_directory(path, CONFIG, node)
        for key in ("x", "only-a", "only-b"):
            assert store.load([Key(key)])[Key(key)] == Instance(learned=decree(key))
        store.close()


def test_of_what_was_only_accepted_the_highest_ballot_is_taken(tmp_path: Path) -> None:
    low, high = decree("x", b"low"), decree("x", b"high")
    one, two = leave(tmp_path / "a", [proposed(low, 3)]), leave(tmp_path / "b", [proposed(high, 4)])
    _, data = made_of(tmp_path / "new", one, two)
    store = open_directory(data[NodeId("c")], CONFIG, NodeId("c"))
    assert store.load([Key("x")])[Key("x")] == Instance(learned=high)
    store.close()


def test_what_is_learned_counts_more_than_any_ballot(tmp_path: Path) -> None:
    one = leave(tmp_path / "a", known(decree("x")))
    two = leave(tmp_path / "b", [proposed(decree("x"), 9)])
    assert found_in(one, two).uncertain == []


def test_a_promise_alone_is_nothing(tmp_path: Path) -> None:
    assert found_in(leave(tmp_path / "a", [promised("x")])).contents.decrees == 0


def test_changes_of_members_are_not_carried_over(tmp_path: Path) -> None:
    one = leave(tmp_path / "a", [*known(change(1)), seated(1, 1)])
    _, data = made_of(tmp_path / "new", one)
    store = open_directory(data[NodeId("a")], CONFIG, NodeId("a"))
    assert store.recovered().epoch is None and store.last_slot("$members") == 0
    store.close()


# ---- what is known of half-done keys ----


def test_votes_of_an_accept_quorum_in_one_ballot_have_chosen(tmp_path: Path) -> None:
    both = [leave(tmp_path / name, [proposed(decree("x"), 3)]) for name in "ab"]
    assert verdicts(found_in(*both)) == {"x": Verdict.CHOSEN}


def test_one_vote_may_have_been_chosen_with_one_that_is_gone(tmp_path: Path) -> None:
    one, two = leave(tmp_path / "a", [proposed(decree("x"), 3)]), leave(tmp_path / "b")
    assert verdicts(found_in(one, two)) == {"x": Verdict.MAYBE}


def test_one_vote_was_not_chosen_if_all_others_are_heard(tmp_path: Path) -> None:
    one = leave(tmp_path / "a", [proposed(decree("x"), 3)])
    two, three = leave(tmp_path / "b"), leave(tmp_path / "c")
    assert verdicts(found_in(one, two, three)) == {"x": Verdict.NOT_CHOSEN}


def test_votes_for_one_decree_in_two_ballots_may_have_chosen_it(tmp_path: Path) -> None:
    one, two = (leave(tmp_path / n, [proposed(decree("x"), at)]) for n, at in (("a", 3), ("b", 4)))
    assert verdicts(found_in(one, two, leave(tmp_path / "c"))) == {"x": Verdict.MAYBE}


def test_a_vote_after_a_change_of_members_may_be_adopted_so_it_proves_nothing(
    tmp_path: Path,
) -> None:
    for name in "ab":
        leave(tmp_path / name, [*known(change(1)), seated(1, 1), proposed(decree("x"), 3)])
    assert verdicts(found_in(tmp_path / "a", tmp_path / "b")) == {"x": Verdict.MAYBE}


# ---- whether it is everything ----


@pytest.mark.parametrize(
    ("nodes", "sizes", "complete"),
    [
        ("ab", (0, 0), True),
        ("a", (0, 0), False),
        ("a", (1, 3), False),
        ("a", (3, 3), True),
        ("ab", (3, 1), False),
        ("abc", (3, 1), True),
    ],
)
def test_a_seal_quorum_is_everything(
    tmp_path: Path, nodes: str, sizes: tuple[int, int], complete: bool
) -> None:
    config = make_config("c1", "abc", *sizes)
    paths = [leave(tmp_path / node, config=config) for node in nodes]
    assert found_in(*paths, config=config).voters.complete is complete


def test_the_quorums_of_the_old_cluster_are_found_by_their_digest(tmp_path: Path) -> None:
    old = make_config("c1", "abc", 3, 1)
    path = leave(tmp_path / "a", [*met("b"), *met("c")], config=old)
    voters = found_in(path, config=make_config("c1", "x")).voters
    assert voters.epoch is not None and voters.epoch.quorums == old.quorums


def test_unknown_quorums_are_never_everything(tmp_path: Path) -> None:
    path = leave(tmp_path / "a", config=make_config("c1", "abcde"))
    voters = found_in(path).voters
    assert (voters.epoch, voters.complete) == (None, False)


def change(number: int, voters: str = "abc") -> Decree:
    members = tuple(NodeId(node) for node in voters)
    disks = tuple(disk_of(node) for node in voters)
    epochs = [Epoch(at, Quorums.majority(members), disks) for at in (number - 1, number)]
    value = MembersChange(epochs[1], epochs[0], tuple("127.0.0.1:7000" for _ in voters))
    return Decree.of(claim_of(value, "operator", b"change"), BALLOT, 0)


def test_the_last_epoch_counts_also_if_its_change_is_half_done(tmp_path: Path) -> None:
    half = proposed(change(1, "d"), 3)
    paths = [leave(tmp_path / name, [half]) for name in "ab"]
    voters = found_in(*paths).voters
    assert voters.epoch is not None and voters.epoch.nodes == ("d",)
    assert (voters.complete, voters.gone) == (False, ("d",))


def test_voters_that_are_not_ready_are_everything_only_with_those_before(tmp_path: Path) -> None:
    paths = [leave(tmp_path / name, [*known(change(1)), seated(1, 0)]) for name in "ab"]
    assert found_in(*paths).voters.complete
    late = [leave(tmp_path / "late" / n, [*known(change(2)), seated(2, 0)]) for n in "ab"]
    assert not found_in(*late).voters.complete
    ready = [leave(tmp_path / "ready" / n, [*known(change(2)), seated(2, 2)]) for n in "ab"]
    assert found_in(*ready).voters.complete


def test_a_directory_that_joined_is_no_voter_of_the_epoch_in_which_the_first_of_its_name_voted(
    tmp_path: Path,
) -> None:
    """The votes of b's first disk, which has died, are not heard, whatever its second one is called."""
    quorums = Quorums.majority((NodeId("a"), NodeId("b"), NodeId("c")))
    epoch = Epoch(1, quorums, tuple(disk_of(node) for node in "abc"))
    value = MembersChange(epoch, Epoch.formed(quorums), ("127.0.0.1:7000",) * 3)
    told = known(Decree.of(claim_of(value, "operator", b"change"), BALLOT, 0))
    first = leave(tmp_path / "a", [*told, seated(1, 0)])
    second = leave(tmp_path / "b", [*told, seated(1, None)], joins=True)
    assert not found_in(first, second).voters.complete


def test_an_old_copy_is_read_and_not_heard(tmp_path: Path) -> None:
    old = leave(tmp_path / "a", known(decree("x")))
    for said, records in (
        ("has met start 2 of a", met("a", 2)),
        ("has read more of its feed", met("a", 1, cursor=2)),
    ):
        other = leave(tmp_path / said / "b", records)
        found = found_in(old, other)
        assert said in found.old_copies[old]
        assert (found.voters.heard, found.voters.complete) == (("b",), False)
        assert found.contents.decrees == 1


def test_a_voter_is_heard_though_an_earlier_member_remembers_another_disk_of_its_name(
    tmp_path: Path,
) -> None:
    """The disk of a was replaced while c was away; the change of members names the new one."""
    told = [*known(change(1)), seated(1, 1)]
    voters = [leave(tmp_path / name, told) for name in "ab"]
    away = leave(tmp_path / "c", met("a", 7, disk_id=b"the first disk a"))
    found = found_in(*voters, away)
    assert (found.voters.heard, found.voters.complete) == (("a", "b", "c"), True)
    assert not found.old_copies
    # without a decree that names it, nobody can tell which of the two is the node's
    unnamed = found_in(leave(tmp_path / "formed" / "a"), away)
    assert list(unnamed.old_copies) == [tmp_path / "formed" / "a"]


def test_M19_a_directory_that_joined_under_a_voters_name_is_read_and_not_heard(
    tmp_path: Path,
) -> None:
    """The disk of c died, and an empty one joined as c. No decree names it, so it has no vote."""
    one = leave(tmp_path / "a", known(decree("x")))
    empty = leave(tmp_path / "c", known(decree("y")), joins=True)
    found = found_in(one, empty)
    assert (found.voters.heard, found.voters.complete) == (("a",), False)
    assert (found.voters.gone, found.contents.decrees) == (("b", "c"), 2)


def test_what_an_earlier_member_has_learned_is_taken_and_its_votes_do_not_count(
    tmp_path: Path,
) -> None:
    """c was removed, and d votes in its place; c has a decree that the directory of d had."""
    quorums = Quorums.majority(tuple(map(NodeId, "abd")))
    epoch = Epoch(1, quorums, tuple(map(disk_of, "abd")))
    formed = Epoch.formed(Quorums.majority(tuple(map(NodeId, "abc"))))
    value = MembersChange(epoch, formed, ("127.0.0.1:7000",) * 3)
    told = known(Decree.of(claim_of(value, "operator", b"change"), BALLOT, 0))
    one = leave(tmp_path / "a", [*told, seated(1, 1)])
    gone = leave(tmp_path / "c", known(decree("y")))
    found = found_in(one, gone)
    assert (found.voters.heard, found.voters.gone) == (("a",), ("b", "d"))
    assert found.contents.decrees == 1 and not found.voters.complete


def test_the_newer_of_two_copies_is_heard(tmp_path: Path) -> None:
    old = leave(tmp_path / "a", known(decree("x")))
    new = shutil.copytree(old, tmp_path / "a-new")
    leave(new, starts=1)
    found = found_in(old, new, leave(tmp_path / "b"))
    assert "newer copy" in found.old_copies[old]
    assert (found.voters.heard, found.voters.complete) == (("a", "b"), True)


# ---- locks ----


def slots_of(data: Mapping[NodeId, Path], *locks: str) -> list[int]:
    store = open_directory(data[NodeId("b")], CONFIG, NodeId("b"))
    found = [store.last_slot(lock_path(lock)) for lock in locks]
    store.close()
    return found


def test_tokens_go_on_above_all_that_may_have_been_given(tmp_path: Path) -> None:
    one = leave(tmp_path / "a", known(term("jobs", 7), term("jobs", 8)))
    two = leave(tmp_path / "b", [proposed(term("fresh", 1), 3), *forget(lock_path("old"), 5, 0)])
    made, data = made_of(tmp_path / "new", one, two)
    assert made.locks == 3
    assert slots_of(data, "jobs", "fresh", "old", "never") == [NOW_MS + 1] * 3 + [NOW_MS]
    store = open_directory(data[NodeId("a")], CONFIG, NodeId("a"))
    key = term_key("jobs", NOW_MS + 1)
    found = store.load([key])[key]
    assert isinstance(found, Instance) and found.learned is not None
    assert found.learned.claimant == HOLDER
    assert store.recovered().identity.formation == made.formation
    store.close()


def test_a_floor_above_all_terms_is_the_latest_term(tmp_path: Path) -> None:
    floor = NOW_MS + 50
    one = leave(tmp_path / "a", forget(lock_path("jobs"), floor, 0))
    _, data = made_of(tmp_path / "new", one)
    assert slots_of(data, "jobs") == [floor + 1_000_000]


def test_a_second_recovery_of_one_copy_gives_other_tokens(tmp_path: Path) -> None:
    one = leave(tmp_path / "a", known(term("jobs", 7)))
    first, data = made_of(tmp_path / "new", one)
    with pytest.raises(BadRequest, match="set the clock"):
        found_in(data[NodeId("a")], time_ms=NOW_MS)
    found = found_in(data[NodeId("a")], time_ms=NOW_MS + 1)
    assert (found.contents.terms, found.ttl_ms) == (1, first.restoration.ttl_ms)


# ---- what is refused ----


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    path = leave(tmp_path / "a")
    storage = open_directory(path, CONFIG, NodeId("a"))
    with pytest.raises(IdentityRefused, match="in use by another process"):
        found_in(path)
    storage.close()
    with sources(plan_of(path)), pytest.raises(IdentityRefused, match="in use"):
        open_directory(path, CONFIG, NodeId("a"))


def test_directories_of_two_clusters_or_formations_are_refused(tmp_path: Path) -> None:
    one = leave(tmp_path / "a")
    for name, said, settings in (
        ("cluster", "of cluster 'c2'", {"config": make_config("c2")}),
        ("formation", "of formation", {"formation": bytes(16)}),
        ("blank", "had not formed", {"formation": None}),
    ):
        other: dict[str, Any] = settings
        with pytest.raises(BadRequest, match=said):
            found_in(one, leave(tmp_path / name / "b", **other))


def test_a_config_of_another_cluster_needs_a_word(tmp_path: Path) -> None:
    path, other = leave(tmp_path / "a", known(decree("x"))), make_config("c2")
    with pytest.raises(BadRequest, match="--other-cluster"):
        found_in(path, config=other)
    assert found_in(path, config=other, other_cluster=True).contents.decrees == 1


def test_contradictions_are_named_and_nothing_is_made_of_them(tmp_path: Path) -> None:
    one = leave(tmp_path / "a", known(decree("x", b"1"), decree("y")))
    two = leave(tmp_path / "b", known(decree("x", b"2"), decree("y")))
    found = found_in(one, two)
    assert [each.key for each in found.conflicts] == ["x"]
    with pytest.raises(Disputed, match="different decrees for 'x'"):
        made_of(tmp_path / "new", one, two)
    assert not (tmp_path / "new").exists()


def test_two_values_in_one_ballot_contradict_each_other(tmp_path: Path) -> None:
    values = by_node(decree("x"), "one"), by_node(decree("x"), "two")
    paths = [leave(tmp_path / n, [proposed(v, 3)]) for n, v in zip("ab", values, strict=True)]
    assert [each.key for each in found_in(*paths).conflicts] == ["x"]


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    leave(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(IdentityRefused, match="no data directory that a node has used"):
            found_in(tmp_path / name)
    with pytest.raises(BadRequest, match="named twice"):
        found_in(tmp_path / "a", tmp_path / "b" / ".." / "a")


def test_the_list_is_kept_before_a_node_can_open_what_is_made(tmp_path: Path) -> None:
    one = leave(tmp_path / "a", known(decree("x")))
    data = {NodeId(node): tmp_path / "new" / node for node in "abc"}
    plan = plan_of(one, data=data)

    def keep(made: RecoveredFormation) -> None:
        raise OSError("no space left")

    with sources(plan) as old, pytest.raises(OSError, match="no space"):
        recover(plan, old, survey(plan, old), os.urandom, keep=keep)
    with pytest.raises(IdentityRefused, match="was not completed"):
        open_directory(data[NodeId("a")], CONFIG, NodeId("a"))
