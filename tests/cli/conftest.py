"""Fixtures: a command line to run, and a registry in memory that it talks to."""

import pytest

from .fakes import Cli, FakeRegistry


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    """The registry that commands find at every endpoint."""
    fake = FakeRegistry()
    monkeypatch.setattr("decreed.cli.options.connection.ask", fake.ask)
    for module in ("options.connection", "commands.dev"):
        monkeypatch.setattr(f"decreed.cli.{module}.connect", fake.connect)
    return fake


@pytest.fixture
def cli(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs command lines."""
    return Cli(capsysbinary, monkeypatch)
