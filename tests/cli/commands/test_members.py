"""``member list`` and ``member file``."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from decreed.cli.config.settings_text import config_text
from decreed.registry.config import parse_config
from decreed.registry.errors import Unreachable
from decreed.registry.types import NodeId
from decreed.registry.wire.members import MemberSeat, MembersReport, Role

from ..fakes import Cli, FakeRegistry


def seat(name: str, **facts: Any) -> MemberSeat:
    """A voter of epoch 0 that is up."""
    node, disk = NodeId(name), name.encode().ljust(16, b".")
    found = MemberSeat(node, Role.VOTER, disk, f"{name}.example:7400", True, True, 0, 0, 0)
    return replace(found, **facts)


DOWN: dict[str, Any] = {"up": False, "votes": False, "known": None, "ready": None, "behind": None}


def report(*seats: MemberSeat, epoch: int = 0, prepare: int = 2, accept: int = 2) -> MembersReport:
    """What a member says of all of them."""
    seal = 2 if epoch else 0
    return MembersReport(1, NodeId("n1"), "c", bytes(16), epoch, prepare, accept, seal, (), seats)


@pytest.fixture(autouse=True)
def one_of_three_is_down(registry: FakeRegistry) -> None:
    silent = seat("n2", votes=False, address="[::1]:7400")
    registry.members.reports = [
        report(seat("n1"), silent, seat("n3", **DOWN, address="127.0.0.1:7402"))
    ]


def test_members_are_listed_with_address_and_state(cli: Cli) -> None:
    assert cli("member", "list").text.splitlines() == [
        "epoch 0: n1 n2 n3 (2 of 3 needed, 1 voting: no quorum)",
        "n1       n1.example:7400          up, voting",
        "n2       [::1]:7400               up, silent",
        "n3       127.0.0.1:7402           down",
    ]


def test_after_a_change_the_list_says_who_is_ready_who_is_behind_and_who_has_left(
    cli: Cli, registry: FakeRegistry
) -> None:
    seats = [
        seat("n1", known=3, ready=3),
        seat("n3", known=3, ready=3),
        seat("n4", **DOWN | {"known": 3, "ready": 2}),
        seat("n2", role=Role.EARLIER, known=3, ready=2, votes=False),
        seat("n5", role=Role.GUEST, ready=None, votes=False, behind=12_034),
        seat("n4", role=Role.GUEST, ready=None, votes=False, disk_id=bytes(16)),
    ]
    under_way = (NodeId("n1"), NodeId("n4"), NodeId("n5"))
    registry.members.reports = [replace(report(*seats, epoch=3), under_way=under_way)]
    lines = cli("member", "list").text.splitlines()
    assert lines[0] == "epoch 3: n1 n3 n4 (2 of 3 needed, 2 voting: 0 may fail)"
    assert [line.split(maxsplit=2)[2] for line in lines[1:7]] == [
        *("up, voting, ready", "up, voting, ready", "down, not ready"),
        *("up, left, may be switched off", "up, no vote, 12,034 behind"),
        "up, no vote, caught up, another directory: 'decreed member replace n4'",
    ]
    assert lines[7].startswith("a change to n1 n4 n5 may be decided: propose just that again")


@pytest.mark.parametrize(
    ("ready", "known", "said"),
    [(2, 3, "left, still needed"), (3, 3, "left, may be switched off"), (3, 2, "left, not told")],
)
def test_the_list_says_whether_a_node_that_left_is_needed(
    cli: Cli, registry: FakeRegistry, ready: int, known: int, said: str
) -> None:
    voters = [seat("n1", known=3, ready=3), seat("n4", known=3, ready=ready)]
    gone = seat("n2", **DOWN | {"role": Role.EARLIER, "known": known, "ready": 2})
    registry.members.reports = [report(*voters, gone, epoch=3)]
    assert cli("member", "list").text.splitlines()[-1].endswith(f"down, {said}")


def test_the_list_says_who_withholds_keys(cli: Cli, registry: FakeRegistry) -> None:
    seats = (seat("n1", known=1, ready=1), seat("n2", known=1, ready=1, withheld=3), seat("n3"))
    registry.members.reports = [report(*seats, epoch=1)]
    lines = cli("member", "list").text.splitlines()
    assert lines[2].endswith("up, voting, ready, withholds 3 keys")


def test_the_list_as_json(cli: Cli) -> None:
    document = cli("member", "list", "--json").json
    assert (document["cluster_id"], document["epoch"], document["accept_quorum"]) == ("c", 0, 2)
    assert document["others"] == document["under_way"] == []
    first, silent, gone = document["members"]
    assert first == {
        **{"id": "n1", "disk_id": b"n1..............".hex(), "address": "n1.example:7400"},
        **{"role": "voter", "up": True, "voting": True, "known": 0, "ready": 0, "behind": 0},
        "withheld": 0,
        "trouble": "",
    }
    assert (silent["up"], silent["voting"]) == (True, False)
    assert (gone["up"], gone["ready"], gone["behind"]) == (False, None, None)


def test_the_file_has_the_members_as_they_are_now(cli: Cli) -> None:
    config = parse_config(tomllib.loads(cli("member", "file").text))
    assert dict(config.addresses) == {
        "n1": "n1.example:7400", "n2": "[::1]:7400", "n3": "127.0.0.1:7402",
    }  # fmt: skip
    assert (config.cluster_id, config.quorums.prepare, config.quorums.accept) == ("c", 2, 2)


def test_sizes_that_are_no_majority_are_written_out(cli: Cli, registry: FakeRegistry) -> None:
    registry.members.reports = [report(seat("n1"), seat("n2"), seat("n3"), prepare=3, accept=1)]
    document = cli("member", "file", "--json").json
    assert (document["prepare"], document["accept"]) == (3, 1)
    assert "prepare = 3\naccept = 1" in document["file"]


def test_a_file_keeps_what_the_cluster_does_not_know(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    before = config_text("c", {"n1": "a:1", "n2": "a:2", "n4": "a:4"})
    path.write_text(before.replace("suspect_ms = 250", "suspect_ms = 500  # a slow network"))
    text = cli("member", "file", "--config", str(path)).text
    assert "suspect_ms = 500  # a slow network" in text
    assert list(tomllib.loads(text)["members"]) == ["n1", "n2", "n3"]
    assert 'n2 = "[::1]:7400"\nn3 = "127.0.0.1:7402"\n\n# How many' in text, "next to the others"
    assert path.read_text().count("n4"), "the file itself stays"


def test_the_file_of_another_cluster_is_refused(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(config_text("another", {"n1": "a:1"}))
    result = cli("member", "file", "--config", str(path))
    assert result.code == 2
    assert f"{path}: it belongs to cluster 'another', not to 'c'" in result.err


@pytest.mark.parametrize("command", ["list", "file"])
def test_without_any_member_nothing_is_printed(
    cli: Cli, registry: FakeRegistry, command: str
) -> None:
    registry.members.reports = [Unreachable("no answer in time (connection refused)")]
    result = cli("member", command)
    assert (result.code, result.out) == (5, b"")
    assert f"member {command}: no answer in time (connection refused)" in result.err
