"""Changes of members by commands, with real processes: what an operator does, from end to end."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from decreed.registry.errors import Exit

from ..support.operators import (
    Load,
    change,
    join,
    lose_disk,
    member,
    read_back_alone,
    seats,
)
from ..support.processes import PATIENCE_S, Processes, decreed, running


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Processes]:
    with running(tmp_path / "cluster") as cluster:
        yield cluster


def test_sizes_change_then_two_of_three_leave_and_every_decree_stays(cluster: Processes) -> None:
    with cluster.client() as registry:
        registry.claim("kept", "value")
    code, outcome = member(cluster, "quorums", "--prepare", "1", "--accept", "3")
    assert (code, outcome["epoch"]) == (0, 1) and len(outcome["ready"]) >= 3
    assert member(cluster, "quorums", "--prepare", "1", "--accept", "3", "--epoch", "0")[0] == 0
    code, failed = member(cluster, "quorums", "--prepare", "3", "--accept", "1", "--epoch", "0")
    assert code == 7 and "another change came first" in failed["error"]["message"]
    words = ("remove", "n2", "n3", "--prepare", "1", "--accept", "1")
    code, outcome = member(cluster, *words)
    assert (code, outcome["voters"], outcome["ready"]) == (0, ["n1"], ["n1"])
    assert outcome["may_be_switched_off"] == ["n2", "n3"]
    for node in ("n2", "n3"):
        assert cluster.exit_code(node) == 0, "it is not needed any more"
        assert "votes no more; it is still needed, until 1 of n1 are ready" in cluster.log(node)
        assert "not needed any more; its directory may be deleted" in cluster.log(node)
    with cluster.alone("n1") as registry:
        kept = registry.get("kept")
        assert kept is not None and kept.value == b"value"
        assert registry.claim("after", "change").won
    code, report = member(cluster, "list")
    assert (code, report["epoch"]) == (0, 2)
    assert [seat["id"] for seat in report["members"]] == ["n1"]


def test_without_a_quorum_nothing_is_proposed(cluster: Processes) -> None:
    cluster.kill("n2", "n3")
    code, failed = member(cluster, "remove", "n2", "n3")
    assert code == 5
    assert "no quorum: 1 of 3 up, 2 needed to agree and to seal" in failed["error"]["message"]
    assert failed["error"]["way_out"] == "nothing was proposed"


@pytest.mark.chaos
def test_a_disk_dies_under_load_and_its_name_gets_the_vote_back(cluster: Processes) -> None:
    """The two steps that every refusal of a lost directory names."""
    with Load(cluster).running() as load:
        lose_disk(cluster, "n2")
        cluster.start("n2")
        assert cluster.exit_code("n2") == int(Exit.REFUSED)
        assert "--join HOST:PORT and run 'decreed member replace n2'" in cluster.log("n2")
        code, failed = member(cluster, "replace", "n2")
        assert code == 7 and "n2 is down, and no other" in failed["error"]["message"]
        join(cluster, "n2", "n1")
        assert not seats(cluster)["n2"]["up"], "its first directory is the voter"
        outcome = change(cluster, "replace", "n2")
        assert (outcome["voters"], outcome["not_told"]) == (["n1", "n2", "n3"], ["n2"])
    read_back_alone(cluster, load, "n1", "n2", "n3")


def test_a_name_whose_first_directory_is_up_is_not_replaced_by_itself(cluster: Processes) -> None:
    code, failed = member(cluster, "replace", "n2")
    assert code == 7
    assert "n2 is up with the directory that votes" in failed["error"]["message"]
    code, failed = member(cluster, "replace", "n22")
    assert code == 7 and "n22 is no voter of epoch 0" in failed["error"]["message"]
    assert failed["error"]["way_out"] == "nothing was proposed"


@pytest.mark.chaos
def test_a_node_that_slept_through_three_changes_comes_back(cluster: Processes) -> None:
    cluster.kill("n3")
    code, failed = member(cluster, "quorums", "--prepare", "2", "--accept", "3")
    assert code == 7 and "n3 is not up" in failed["error"]["message"]
    for _ in range(3):
        change(cluster, "quorums", "--prepare", "2", "--accept", "2")
    cluster.start("n3")
    cluster.await_voting("n1", "n2", "n3")
    assert {seat["ready"] for seat in seats(cluster).values()} == {3}


@pytest.mark.chaos
def test_two_join_and_vote_then_two_of_the_first_leave_under_load(cluster: Processes) -> None:
    with Load(cluster).running() as load:
        join(cluster, "n4", "n1")
        join(cluster, "n5", "n2")
        assert change(cluster, "add", "n4", "n5")["voters"] == ["n1", "n2", "n3", "n4", "n5"]
        load.until_more()
        outcome = change(cluster, "remove", "n1", "n2")
        assert outcome["may_be_switched_off"] == ["n1", "n2"]
        for node in ("n1", "n2"):
            assert cluster.exit_code(node) == 0
    read_back_alone(cluster, load, "n3", "n4", "n5")


@pytest.mark.chaos
def test_all_disks_are_replaced_one_by_one_under_load(cluster: Processes) -> None:
    with Load(cluster).running() as load:
        for node, other in (("n1", "n2"), ("n2", "n3"), ("n3", "n1"), ("n1", "n3")):
            lose_disk(cluster, node)
            join(cluster, node, other)
            change(cluster, "replace", node)
            load.until_more()
    assert {seat["ready"] for seat in seats(cluster).values()} == {4}
    read_back_alone(cluster, load, "n1", "n2", "n3")


@pytest.mark.chaos
def test_all_nodes_are_replaced_by_others_one_by_one_under_load(cluster: Processes) -> None:
    with Load(cluster).running() as load:
        for old, new, other in (("n1", "n4", "n2"), ("n2", "n5", "n4"), ("n3", "n6", "n5")):
            join(cluster, new, other)
            change(cluster, "replace", old, new)
            assert cluster.exit_code(old) == 0
            load.until_more()
    read_back_alone(cluster, load, "n4", "n5", "n6")


@pytest.mark.chaos
def test_of_two_operators_one_wins_and_the_other_is_told_who(cluster: Processes) -> None:
    join(cluster, "n4", "n1")
    join(cluster, "n5", "n1")
    both = [
        subprocess.Popen(
            decreed(
                "member", "replace", "n3", new, "--epoch", "0", "--endpoints", cluster.endpoints
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for new in ("n4", "n5")
    ]
    said = [process.communicate(timeout=PATIENCE_S)[1].decode() for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 7], said
    winner = ("n4", "n5")[codes.index(0)]
    told = said[codes.index(7)]
    assert "another change came first" in told and "had epoch 1 decided" in told
    assert f"its voters are n1 n2 {winner}" in told
    assert cluster.exit_code("n3") == 0


@pytest.mark.chaos
def test_the_first_directory_of_a_name_ends_when_it_comes_back(
    cluster: Processes, tmp_path: Path
) -> None:
    cluster.kill("n2")
    kept = cluster.data("n2").rename(tmp_path / "kept")
    join(cluster, "n2", "n1")
    change(cluster, "replace", "n2")
    assert cluster.stop("n2") == 0
    cluster.data("n2").rename(tmp_path / "fresh")
    kept.rename(cluster.data("n2"))
    cluster.start("n2")
    assert cluster.exit_code("n2") == int(Exit.REFUSED)
    assert "its place was given to another directory (epoch 1)" in cluster.log("n2")


@pytest.mark.chaos
def test_a_removed_node_that_slept_ends_when_it_hears_of_it(cluster: Processes) -> None:
    join(cluster, "n4", "n1")
    cluster.kill("n3")
    outcome = change(cluster, "replace", "n3", "n4")
    assert (outcome["may_be_switched_off"], outcome["not_told"]) == ([], ["n3"])
    cluster.start("n3")
    assert cluster.exit_code("n3") == 0
    assert "this node is not needed any more" in cluster.log("n3")
    cluster.start("n3")
    assert cluster.exit_code("n3") == 0, "and so at each start"
