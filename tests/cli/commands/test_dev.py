"""``dev``: a cluster in one process, made once and found again."""

from pathlib import Path

import pytest

from decreed.cli.commands import dev
from decreed.cli.shell.failures import CommandFailed
from decreed.client.requests.results import NodeDown
from decreed.registry.errors import StorageFailed, Unreachable
from decreed.registry.types import NodeId

from ..fakes import Cli, FakeRegistry
from ..server_parts import Parts


@pytest.mark.usefixtures("registry")
def test_dev_makes_a_cluster_and_finds_it_again(cli: Cli, parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / "dev"
    arguments = ("dev", "--data", str(folder), "--timeout", "20ms")
    result = cli(*arguments, "--port", "7500")
    assert result.code == 0
    assert "export DECREED_ENDPOINTS=127.0.0.1:7500,127.0.0.1:7501,127.0.0.1:7502" in result.text
    assert [path for path, _ in parts.opened] == [folder / "n1", folder / "n2", folder / "n3"]
    assert parts.closed == 3
    first = (folder / "cluster.toml").read_text()
    assert cli(*arguments, "--json").json["endpoints"][0] == "127.0.0.1:7500"
    assert (folder / "cluster.toml").read_text() == first
    cli(*arguments, "--port", "7600")
    assert (folder / "cluster.toml").read_text() == first.replace("127.0.0.1:75", "127.0.0.1:76")


def test_dev_moves_a_cluster_whose_file_was_edited_by_hand(tmp_path: Path) -> None:
    path = dev.prepare(tmp_path, 7500).config_path
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert dev.prepare(tmp_path, 7600).endpoints[0] == "127.0.0.1:7600"
    path.write_text("members = [")
    with pytest.raises(CommandFailed, match="not TOML") as caught:
        dev.prepare(tmp_path, 7700)
    assert (caught.value.thing, path.read_text()) == (str(path), "members = [")


@pytest.mark.usefixtures("registry")
def test_dev_on_the_usual_ports_needs_no_endpoints(
    cli: Cli, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("dev", "--timeout", "20ms")
    assert "DECREED_ENDPOINTS" not in result.text
    assert (tmp_path / ".decreed" / "cluster.toml").exists()


def test_dev_waits_only_for_a_while_until_the_nodes_vote(
    cli: Cli, parts: Parts, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "FORMING_SECONDS", 0.05)
    registry.nodes = [NodeDown(NodeId("n1"), "127.0.0.1:7400", Unreachable("silent"))]
    result = cli("dev", "--data", str(tmp_path), "--timeout", "20ms")
    assert result.code == 0 and result.text.startswith("three nodes run at")
    assert registry.calls


def test_dev_refuses_ports_that_do_not_exist(cli: Cli, parts: Parts) -> None:
    assert cli("dev", "--port", "65534").code == 2
    assert cli("dev", "--port", "0").code == 2


def test_a_node_of_dev_that_fails_stops_all(cli: Cli, parts: Parts, tmp_path: Path) -> None:
    parts.fault = StorageFailed("disk full")
    result = cli("dev", "--data", str(tmp_path))
    assert (result.code, parts.closed) == (7, 3)
    assert "disk full" in result.err


def test_the_demo_freezes_a_key_and_reads_it_back(
    cli: Cli, parts: Parts, registry: FakeRegistry
) -> None:
    result = cli("dev", "--demo")
    assert result.code == 0
    assert "won   demo/greeting = hello, forever" in result.text
    assert "lost  demo/greeting = hello, forever" in result.text
    assert result.text.endswith("hello, forever\n")
    assert parts.closed == 3
    assert not parts.opened[0][0].parent.exists()


def test_the_demo_as_json(cli: Cli, parts: Parts, registry: FakeRegistry) -> None:
    won, lost, read = cli("dev", "--demo", "--json").rows
    assert (won["outcome"], lost["outcome"], read["value"]) == ("won", "lost", "hello, forever")
