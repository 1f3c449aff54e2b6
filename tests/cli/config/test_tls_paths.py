"""Where a command takes the files of TLS from: options, variables, the context, in this order."""

from pathlib import Path

import pytest

from decreed.cli.config.contexts import read_call
from decreed.cli.config.tls_paths import NO_TLS, TlsPaths
from decreed.client import Tls

from ..fakes import Cli, FakeRegistry

FILE = """
[contexts.prod]
endpoints = "127.0.0.1:1"
ca = "ca.pem"
cert = "/etc/alice.crt"
cluster = "prod"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "decreed" / "config.toml"
    path.parent.mkdir()
    path.write_text(FILE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return path.parent


def test_options_count_before_variables_and_these_before_the_context(
    cli: Cli, registry: FakeRegistry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, cert = str(folder / "ca.pem"), "/etc/alice.crt"
    context = ("--context", "prod", "--json")

    def told(*words: str) -> object:
        return cli("context", "show", *context, *words).json["tls"]

    assert told() == {"ca": ca, "cert": cert, "key": None, "cluster": "prod"}
    monkeypatch.setenv("DECREED_TLS_CA", "env.pem")
    monkeypatch.setenv("DECREED_TLS_KEY", "env.key")
    assert told() == {"ca": "env.pem", "cert": cert, "key": "env.key", "cluster": "prod"}
    options = ("--ca", "a", "--cert", "b", "--key", "c")
    assert told(*options) == {"ca": "a", "cert": "b", "key": "c", "cluster": "prod"}
    assert cli(*options, "context", "show", *context).json["tls"]["ca"] == "a"


def test_every_call_gets_the_tls_of_its_command(cli: Cli, registry: FakeRegistry) -> None:
    cli("get", "k", "--ca", "ca.pem", "--cert", "a.crt", "--key", "a.key")
    cli("watch", "k", "--ca", "system", "--timeout", "10ms")
    cli("get", "k")
    assert [settings.get("tls") for settings in registry.connections] == [
        Tls("ca.pem", "a.crt", "a.key"),
        Tls(),
        None,
    ]


def test_without_typer_it_is_the_same(folder: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(folder.parent), "DECREED_TLS_KEY": "k"}
    call = read_call({"--context": "prod"}, environ)
    assert call.tls == TlsPaths(str(folder / "ca.pem"), "/etc/alice.crt", "k", "prod")
    assert read_call({}, {}).tls == NO_TLS and NO_TLS.to_tls() is None
