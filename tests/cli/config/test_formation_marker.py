"""The marker of formed nodes: which nodes are refused on an empty directory, and faults of the file."""

import json
from pathlib import Path

import pytest

from decreed.cli.config.formation_marker import (
    check_not_formed_before,
    is_fresh,
    marker_path,
    write_marker,
)
from decreed.cli.config.new_secret import keep_secret
from decreed.cli.config.settings import load_config
from decreed.cli.config.settings_text import config_text
from decreed.registry.config import ClusterConfig
from decreed.registry.errors import IdentityRefused
from decreed.registry.types import NodeId

from ..fakes import Cli

N1, N2 = NodeId("n1"), NodeId("n2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    members = {f"n{number}": f"127.0.0.1:{number}" for number in (1, 2, 3)}
    (tmp_path / "cluster.toml").write_text(config_text("c", members))
    keep_secret(tmp_path / "cluster.secret")
    return tmp_path / "cluster.toml"


@pytest.fixture
def config(path: Path) -> ClusterConfig:
    return load_config(path)


def test_a_node_that_never_formed_may_start_empty(path: Path, config: ClusterConfig) -> None:
    write_marker(path, "c", N2, bytes(16))
    write_marker(path, "another", N1, bytes(16))
    check_not_formed_before(path, config, N1, path.parent / "data")


def test_a_node_that_formed_may_not_start_empty(path: Path, config: ClusterConfig) -> None:
    write_marker(path, "c", N1, bytes(16))
    data = path.parent / "data"
    with pytest.raises(IdentityRefused, match="--new-formation"):
        check_not_formed_before(path, config, N1, data)
    data.mkdir()
    with pytest.raises(IdentityRefused):
        check_not_formed_before(path, config, N1, data)
    (data / "CURRENT").write_text("")
    check_not_formed_before(path, config, N1, data)


def test_the_marker_says_who_and_when(path: Path) -> None:
    write_marker(path, "c", N1, b"\xab" * 16)
    write_marker(path, "c", N1, b"\xab" * 16)
    write_marker(path, "c", N1, b"\xcd" * 16)
    assert marker_path(path).name == "cluster.toml.formed"
    lines = [json.loads(line) for line in marker_path(path).read_text().splitlines()]
    assert [line["formation"] for line in lines] == ["ab" * 16, "cd" * 16]
    assert all(line["time"].endswith("+00:00") for line in lines)


def test_a_truncated_line_of_the_marker_does_not_hide_the_next(
    path: Path, config: ClusterConfig
) -> None:
    marker_path(path).write_bytes(b'{"cluster_id": "c", "no')
    write_marker(path, "c", N1, bytes(16))
    with pytest.raises(IdentityRefused):
        check_not_formed_before(path, config, N1, path.parent / "data")


def test_a_marker_that_cannot_be_written_is_only_a_warning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marker_path(path).mkdir()
    write_marker(path, "c", N1, bytes(16))
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("WARNING", "marker not written")
    ]


def test_a_fresh_directory(tmp_path: Path) -> None:
    assert is_fresh(tmp_path / "none")
    assert is_fresh(tmp_path)
    (tmp_path / "lost+found").mkdir()
    assert is_fresh(tmp_path)
    (tmp_path / "x").mkdir()
    assert not is_fresh(tmp_path)


def test_serve_refuses_with_7(cli: Cli, path: Path) -> None:
    write_marker(path, "c", N1, bytes(16))
    data = str(path.parent / "data")
    result = cli("serve", "--config", str(path), "--node", "n1", "--data", data)
    assert result.code == 7
    assert result.err.startswith("decreed: node n1: n1 has formed before")
