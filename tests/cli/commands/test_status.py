"""``status`` and ``version``."""

import platform
from typing import Any

from decreed.client.requests.results import NodeDown
from decreed.registry.errors import Unreachable
from decreed.registry.types import NodeId
from decreed.registry.version import build
from decreed.registry.wire.handshake import VERSION
from decreed.registry.wire.status import PeerStatus, StatusReport

from ..fakes import Cli, FakeRegistry


def report(node: str, voting: bool = True, trouble: str = "", decrees: int = 7) -> StatusReport:
    peer = PeerStatus(NodeId("n9"), "127.0.0.1:1", False, "", 3, 4)
    return StatusReport(
        1,
        NodeId(node),
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
