"""Fixtures: a command line to run, a registry in memory that it talks to, and nodes that it starts."""

from pathlib import Path
from typing import Any, cast

import pytest

from decreed.cli.commands import dev, serve
from decreed.cli.commands.serve import ServerParts
from decreed.cli.config.cluster_secret import beside
from decreed.cli.config.new_secret import keep_secret
from decreed.cli.config.settings_text import config_text

from .fakes import Cli, FakeRegistry
from .server_parts import Parts


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    """The registry that commands find at every endpoint."""
    fake = FakeRegistry()
    monkeypatch.setattr("decreed.cli.options.connection.ask", fake.ask)
    monkeypatch.setattr("decreed.cli.options.connection.members_of", fake.members_of)
    for module in ("options.connection", "commands.dev"):
        monkeypatch.setattr(f"decreed.cli.{module}.connect", fake.connect)
    return fake


@pytest.fixture
def cli(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs command lines."""
    return Cli(capsysbinary, monkeypatch)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    fake = Parts()
    # these nodes never vote
    monkeypatch.setattr(dev, "FORMING_SECONDS", 0.05)
    for module in (serve, dev):
        monkeypatch.setattr(
            module,
            "server_parts",
            lambda: ServerParts(
                cast(Any, fake.open_directory), cast(Any, fake.open_seed), fake.serve_node
            ),
        )
    return fake


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.toml"
    path.write_text(config_text("c", {"n1": "127.0.0.1:7400"}))
    keep_secret(beside(path))
    return path
