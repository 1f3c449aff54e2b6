"""``status`` and ``version``."""

import platform
import time
from typing import Any

import pytest
from msgspec.structs import replace

from decreed.client.requests.results import NodeDown
from decreed.registry.errors import Unreachable
from decreed.registry.types import NodeId
from decreed.registry.version import build
from decreed.registry.wire.handshake import VERSION
from decreed.registry.wire.members import Role
from decreed.registry.wire.status import (
    CertificatePart,
    CertificateStatus,
    PeerStatus,
    QuotaUse,
    StatusReport,
)

from ..fakes import Cli, FakeRegistry
from .test_members import report as members
from .test_members import seat

DAY_MS = 24 * 3_600_000


def report(node: str, voting: bool = True, trouble: str = "", decrees: int = 7) -> StatusReport:
    peer = PeerStatus(NodeId("n9"), "127.0.0.1:1", False, "", 3, 4)
    return StatusReport(
        1,
        NodeId(node),
        f"{node}.example:7400",
        "c",
        bytes(16),
        4,
        "0.1.0",
        voting,
        trouble,
        decrees,
        0,
        2,
        2,
        5_000,
        (peer,),
        policy=2,
        newest_policy=2,
    )


def down(node: str) -> NodeDown:
    return NodeDown(NodeId(node), "127.0.0.1:7402", Unreachable("connection refused"))


def test_a_voting_quorum_exits_with_0(cli: Cli, registry: FakeRegistry) -> None:
    registry.nodes = [report("n1"), report("n2"), down("n3")]
    result = cli("status")
    assert result.code == 0
    lines = result.text.splitlines()
    assert lines[0].split()[:4] == ["n1", "voting", "7", "decrees,"]
    assert lines[2].endswith("127.0.0.1:7402: connection refused")


def test_the_address_of_a_node_that_is_down_is_printed_once(
    cli: Cli, registry: FakeRegistry
) -> None:
    said = Unreachable("127.0.0.1:7402: nothing listens there")
    registry.nodes = [NodeDown(NodeId("n3"), "127.0.0.1:7402", said)]
    assert cli("status").text == "n3       down     127.0.0.1:7402: nothing listens there\n"


@pytest.mark.parametrize(("behind", "said"), [(1_200, "1,200 behind"), (None, "may be behind")])
def test_an_observer_is_shown_with_its_lag_and_is_no_part_of_a_quorum(
    cli: Cli, registry: FakeRegistry, behind: int | None, said: str
) -> None:
    observer = replace(report("o1", voting=False), observes=True, behind=behind)
    registry.nodes = [report("n1"), down("n2"), down("n3"), observer]
    result = cli("status")
    assert result.code == 5
    assert f"o1       observes 7 decrees, {said}, 0 unlearned" in result.text
    shown = cli("status", "--json").json["nodes"][-1]
    assert (shown["observes"], shown["behind"], shown["voting"]) == (True, behind, False)


def test_one_decree_is_counted_in_the_singular(cli: Cli, registry: FakeRegistry) -> None:
    registry.nodes = [report("n1", decrees=1)]
    assert "voting   1 decree, 0 unlearned" in cli("status").text


def test_no_quorum_exits_with_5(cli: Cli, registry: FakeRegistry) -> None:
    registry.nodes = [report("n1"), report("n2", voting=False, trouble="disk full"), down("n3")]
    result = cli("status", "--json")
    assert result.code == 5
    document: dict[str, Any] = result.json
    assert document["quorum"] is False
    assert [node["up"] for node in document["nodes"]] == [True, True, False]
    assert document["nodes"][1]["trouble"] == "disk full"
    assert document["nodes"][0]["peers"][0]["address"] == "127.0.0.1:1"


def test_version(cli: Cli) -> None:
    assert cli("version").text.startswith(f"decreed 0.1.0 build {build()} python ")
    document = cli("version", "--json").json
    assert document == {
        "decreed": "0.1.0",
        "build": build(),
        "python": platform.python_version(),
        "protocol": VERSION,
        "format": 6,
    }


def test_keys_that_a_node_withholds_are_counted(cli: Cli, registry: FakeRegistry) -> None:
    registry.nodes = [replace(report("n1"), withheld=2)]
    assert "7 decrees, 0 unlearned, withholds 2 keys, incarnation 4" in cli("status").text
    assert cli("status", "--json").json["nodes"][0]["withheld"] == 2


def test_damage_that_reads_have_met_is_counted_and_named(cli: Cli, registry: FakeRegistry) -> None:
    found = replace(report("n1"), met_damage=3, first_damage="feed from entry 0 on is damaged")
    registry.nodes = [found]
    said = "3 reads met damage since its start, first: feed from entry 0 on is damaged"
    assert said in cli("status").text
    shown = cli("status", "--json").json["nodes"][0]
    assert (shown["met_damage"], shown["first_damage"]) == (3, "feed from entry 0 on is damaged")


def test_quotas_are_shown_when_hardly_anything_is_left_and_all_of_them_as_json(
    cli: Cli, registry: FakeRegistry
) -> None:
    uses = (
        QuotaUse("prod/app", "token/ci", 950, 1_000, 7, None, False),
        QuotaUse("prod", "client/bob", 5, None, 100, 1_000, True),
    )
    registry.nodes = [replace(report("n1"), quotas=uses)]
    text = cli("status").text
    assert "token/ci has 950 of 1,000 keys on 'prod/app'" in text and "client/bob" not in text
    shown = cli("status", "--json").json["nodes"][0]["quotas"]
    assert [each["of"] for each in shown] == ["token/ci", "client/bob"]
    assert shown[1]["counting"] is True and shown[1]["max_keys"] is None


GUEST = {"role": Role.GUEST, "ready": None, "votes": False}


def test_nodes_that_join_are_shown_with_their_lag(cli: Cli, registry: FakeRegistry) -> None:
    registry.nodes = [replace(report("n1"), guests=1)]
    joiner = seat("n4", **GUEST, behind=1_200, trouble="n1 cannot read its feed")
    registry.members.reports = [members(seat("n1"), joiner)]
    result = cli("status")
    last = result.text.splitlines()[-1]
    assert (
        last == f"n4       joins    up, 1,200 behind, at {joiner.address}; n1 cannot read its feed"
    )
    [shown] = cli("status", "--json").json["guests"]
    assert (shown["node"], shown["behind"], shown["up"]) == ("n4", 1_200, True)


def test_members_are_not_asked_about_others_if_nobody_joins(
    cli: Cli, registry: FakeRegistry
) -> None:
    registry.nodes = [report("n1"), report("n2")]
    registry.members.reports = []
    assert cli("status", "--json").json["guests"] == []


def test_a_voter_that_takes_over_is_shown_with_its_lag(cli: Cli, registry: FakeRegistry) -> None:
    registry.nodes = [replace(report("n1", voting=False), behind=30)]
    assert "silent   7 decrees, 30 behind, 0 unlearned" in cli("status").text


def test_why_a_node_refuses_a_peer_is_said(cli: Cli, registry: FakeRegistry) -> None:
    [peer] = report("n1").peers
    registry.nodes = [replace(report("n1"), peers=(replace(peer, refused="it has no\nproof"),))]
    assert "version 0.1.0, policy 2; of n9: it has no" in cli("status").text
    assert len(cli("status").text.splitlines()) == 1


def test_s17_whose_certificate_expires_within_30_days_is_shown(
    cli: Cli, registry: FakeRegistry
) -> None:
    now_ms = int(time.time() * 1000)
    marks = ("sha256:" + 64 * "a", "serial:5")

    def of(part: CertificatePart, whose: str, days: int) -> CertificateStatus:
        return CertificateStatus(part, whose, max(0, now_ms + days * DAY_MS), marks, 2)

    shown = (
        of(CertificatePart.OWN, "node/n1", 29),
        of(CertificatePart.CA, "commonName=old", 7),
        of(CertificatePart.PEER, "node/n2", 31),
        of(CertificatePart.CLIENT, "client/alice", 1),
        of(CertificatePart.CLIENT, "client/bob", -1),
    )
    registry.nodes = [replace(report("n1"), tls_expires_ms=1, certificates=shown)]
    assert (
        cli("status")
        .text.strip()
        .endswith(
            "; the certificate of node/n1 expires in 29 days; the CA commonName=old expires in 7 days;"
            " the certificate of client/alice expires in 1 days;"
            " the certificate of client/bob has expired"
        )
    )
    told = cli("status", "--json").json["nodes"][0]["certificates"]
    assert [each["whose"] for each in told] == [each.whose for each in shown]
    assert told[2] == {
        "part": "peer",
        "whose": "node/n2",
        "expires_ms": now_ms + 31 * DAY_MS,
        "marks": list(marks),
        "connections": 2,
    }
    registry.nodes = [
        replace(report("n1"), certificates=12 * (of(CertificatePart.CLIENT, "client/c", 1),))
    ]
    assert cli("status").text.strip().endswith("; and 4 more expire")


def test_a_fault_of_tls_and_an_expiry_within_30_days_are_shown(
    cli: Cli, registry: FakeRegistry
) -> None:
    day_ms, now_ms = DAY_MS, int(time.time() * 1000)
    registry.nodes = [
        replace(report("n1"), tls_expires_ms=now_ms + 12 * day_ms),
        replace(report("n2"), tls_expires_ms=now_ms + 31 * day_ms),
        replace(report("n3"), tls_fault="there is no TLS"),
    ]
    first, second, third = cli("status").text.splitlines()
    assert first.endswith("; a certificate expires in 12 days")
    assert "expires" not in second
    assert third.endswith("; there is no TLS")
    shown = cli("status", "--json").json["nodes"]
    assert [node["tls_fault"] for node in shown] == ["", "", "there is no TLS"]
    assert shown[1]["tls_expires_ms"] == now_ms + 31 * day_ms
