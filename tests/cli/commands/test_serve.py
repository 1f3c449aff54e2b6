"""``serve`` and ``dev``: their arguments, what is checked first, and the parts they are given."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from decreed.cli.commands import dev, serve
from decreed.cli.commands.serve import ServerParts
from decreed.cli.config.formation_marker import marker_path, write_marker
from decreed.cli.config.settings_text import config_text
from decreed.cli.shell.failures import CommandFailed
from decreed.client.requests.results import NodeDown
from decreed.registry.config import ClusterConfig
from decreed.registry.errors import StorageFailed, Unreachable
from decreed.registry.types import NodeId

from ..fakes import Cli, FakeRegistry


class Parts:
    """Stands in for the extra ``server``: nodes that do nothing until they are stopped."""

    def __init__(self) -> None:
        self.opened: list[tuple[Path, str]] = []
        self.closed = 0
        self.served: list[str | None] = []
        self.formation: bytes | None = None
        self.fault: Exception | None = None

    def open_directory(self, path: Path, config: ClusterConfig, node: NodeId) -> "Parts":
        self.opened.append((path, node))
        return self

    def close(self) -> None:
        self.closed += 1

    def recovered(self) -> Any:
        return SimpleNamespace(identity=SimpleNamespace(formation=self.formation))

    async def serve_node(
        self,
        config: ClusterConfig,
        storage: Any,
        stop: trio.Event,
        *,
        listen_on: str | None,
        on_formed: Callable[[bytes], None],
        started: Callable[[], None],
    ) -> None:
        self.served.append(listen_on)
        if self.fault:
            raise self.fault
        started()
        on_formed(b"f" * 16)
        await stop.wait()


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    fake = Parts()
    # these nodes never vote
    monkeypatch.setattr(dev, "FORMING_SECONDS", 0.05)
    for module in (serve, dev):
        monkeypatch.setattr(
            module,
            "server_parts",
            lambda: ServerParts(cast(Any, fake.open_directory), fake.serve_node),
        )
    return fake


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.toml"
    path.write_text(config_text("c", {"n1": "127.0.0.1:7400"}))
    return path


def test_serve_runs_a_node(cli: Cli, parts: Parts, config_path: Path) -> None:
    data = config_path.parent / "d"
    arguments = ("--config", str(config_path), "--node", "n1", "--data", str(data))
    result = cli("serve", *arguments, "--timeout", "20ms", "--listen", "0.0.0.0:9", "--json")
    assert result.code == 0
    assert (parts.opened, parts.served) == ([(data, "n1")], ["0.0.0.0:9"])
    assert result.json["listen"] == "0.0.0.0:9"


def test_a_node_that_fails_ends_the_process_with_its_code(
    cli: Cli, parts: Parts, config_path: Path
) -> None:
    parts.fault = StorageFailed("disk full")
    arguments = ("--config", str(config_path), "--node", "n1", "--data", "d")
    result = cli("serve", *arguments)
    assert result.code == 7
    assert result.err == "decreed: node n1: disk full\n"


@pytest.mark.parametrize(
    ("changed", "thing"),
    [
        (["--node", "n9"], "--node"),
        (["--listen", "nowhere"], "--listen"),
        (["--log", "x"], "usage"),
    ],
)
def test_bad_arguments_exit_with_2(
    cli: Cli, parts: Parts, config_path: Path, changed: list[str], thing: str
) -> None:
    arguments = ["--config", str(config_path), "--node", "n1", "--data", "d", *changed]
    result = cli("serve", *arguments)
    assert (result.code, parts.opened) == (2, [])
    assert result.err.startswith(f"decreed: {thing}: ")


def test_a_node_that_forms_is_remembered(cli: Cli, parts: Parts, config_path: Path) -> None:
    arguments = ("--config", str(config_path), "--node", "n1", "--data", "d", "--timeout", "20ms")
    cli("serve", *arguments)
    marker = marker_path(config_path)
    assert json.loads(marker.read_text())["formation"] == (b"f" * 16).hex()
    marker.unlink()
    parts.formation = b"g" * 16
    cli("serve", *arguments)
    assert json.loads(marker.read_text().splitlines()[0])["formation"] == (b"g" * 16).hex()


def test_a_new_formation_is_made_only_on_request(cli: Cli, parts: Parts, config_path: Path) -> None:
    write_marker(config_path, "c", NodeId("n1"), bytes(16))
    data = str(config_path.parent / "d")
    arguments = ("--config", str(config_path), "--node", "n1", "--data", data)
    assert cli("serve", *arguments).code == 7
    assert cli("serve", *arguments, "--new-formation", "--timeout", "20ms").code == 0


def test_a_missing_extra_is_named(config_path: Path) -> None:
    code = (
        "import sys; sys.modules['rocksdict'] = None; from decreed.cli.main import run;"
        f"sys.exit(run(['serve', '--config', {str(config_path)!r}, '--node', 'n1', '--data', 'd']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 7
    assert "rocksdict" in done.stderr
    assert "pip install 'decreed[server]'" in done.stderr


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


OPEN_FILES = """
import resource, sys
from decreed.cli.commands.serve import allow_open_files
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
try:
    allow_open_files(connections)
except Exception as error:
    print(type(error).__name__, error.error.exit_code, error.way_out)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def open_files(soft: int, hard: int, connections: int) -> list[str]:
    """What a process with these limits reports about a node with `connections` connections."""
    numbers = map(str, (soft, hard, connections))
    done = subprocess.run(
        [sys.executable, "-c", OPEN_FILES, *numbers], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes() -> None:
    assert open_files(256, 3_000, 1_024) == ["3000"]


def test_too_few_open_files_are_refused_with_the_way_out() -> None:
    failure, _ = open_files(256, 512, 1_024)
    assert failure.startswith("CommandFailed 7 raise 'ulimit -Hn'")
