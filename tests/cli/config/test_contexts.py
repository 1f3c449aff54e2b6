"""The config file and its contexts: precedence of settings, and errors."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from decreed.cli.config import contexts
from decreed.cli.config.contexts import chosen_context, config_path, parse_config, read_call
from decreed.registry.errors import ConfigError, DecreedError

from ..fakes import Cli, FakeRegistry

FILE = """\
# of mine
context = "dev"

[contexts.prod]
endpoints = ["10.0.0.1:7400", "[fd00::2]:7400"]
timeout = "1m30s"
claimant = "deploy"

[contexts.dev]
endpoints = "127.0.0.1:7500, 127.0.0.1:7501"

[contexts.bare]
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the config file of this user."""
    path = tmp_path / "decreed" / "config.toml"
    path.parent.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def write(text: str) -> Path:
        path.write_text(text)
        return path

    return write


def used(registry: FakeRegistry) -> tuple[tuple[str, ...], float, str | None]:
    last = registry.connections[-1]
    return last["endpoints"], last["timeout"], last["claimant"]


def test_an_option_counts_before_a_variable_before_the_context_before_the_default(
    cli: Cli, registry: FakeRegistry, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(FILE)
    cli("get", "k")
    assert used(registry) == (("127.0.0.1:7500", "127.0.0.1:7501"), 10.0, None)
    cli("get", "k", "--context", "prod")
    prod = ("10.0.0.1:7400", "[fd00::2]:7400")
    assert used(registry) == (prod, 90.0, "deploy")
    monkeypatch.setenv("DECREED_CONTEXT", "bare")
    cli("get", "k")
    default = ("127.0.0.1:7400", "127.0.0.1:7401", "127.0.0.1:7402")
    assert used(registry) == (default, 10.0, None)
    cli("get", "k", "--context", "prod")
    assert used(registry) == (prod, 90.0, "deploy")
    monkeypatch.setenv("DECREED_TIMEOUT", "7s")
    monkeypatch.setenv("DECREED_ENDPOINTS", "h:1")
    monkeypatch.setenv("DECREED_CLAIMANT", "me")
    cli("get", "k", "--context", "bare")
    assert used(registry) == (("h:1",), 7.0, "me")
    cli("get", "k", "--timeout", "2s", "--endpoints", "h:2")
    assert used(registry) == (("h:2",), 2.0, "me")


@pytest.mark.parametrize("words", [("claim", "k", "v"), ("get", "k")])
def test_a_named_context_and_a_variable_that_disagree_are_refused(
    cli: Cli,
    registry: FakeRegistry,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    write(FILE)
    monkeypatch.setenv("DECREED_ENDPOINTS", "h:1")
    refused = cli(*words, "--context", "prod")
    assert (refused.code, registry.calls) == (2, [])
    assert "--context prod and DECREED_ENDPOINTS lead to different nodes" in refused.err
    cli(*words, "--context", "prod", "--endpoints", "h:2")
    assert used(registry)[0] == ("h:2",)
    monkeypatch.setenv("DECREED_ENDPOINTS", "10.0.0.1:7400,[fd00::2]:7400")
    cli(*words, "--context", "prod")
    assert used(registry)[0] == ("10.0.0.1:7400", "[fd00::2]:7400")


def test_the_claimant_comes_from_option_variable_or_context(
    cli: Cli, registry: FakeRegistry, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(FILE)
    cli("claim", "a", "v", "--context", "prod")
    monkeypatch.setenv("DECREED_CLAIMANT", "me")
    cli("claim", "b", "v", "--context", "prod")
    cli("claim", "c", "v", "--context", "prod", "--claimant", "you")
    claims = [arguments["claimant"] for name, arguments in registry.calls if name == "claim"]
    assert claims == ["deploy", "me", "you"]


def test_settings_are_read_in_the_same_way_without_typer(write: Write) -> None:
    write(FILE)
    environ = {"XDG_CONFIG_HOME": os.environ["XDG_CONFIG_HOME"], "DECREED_TIMEOUT": "7s"}
    call = read_call({"--context": "prod"}, environ)
    assert call[:3] == (("10.0.0.1:7400", "[fd00::2]:7400"), 7.0, "deploy")
    assert read_call({"--timeout": "1h30m", "--endpoints": "h:1"}, environ)[:2] == (("h:1",), 5400)
    with pytest.raises(DecreedError, match=r"^DECREED_TIMEOUT: 'x' is no time"):
        read_call({}, environ | {"DECREED_TIMEOUT": "x"})
    with pytest.raises(DecreedError, match=r"^--endpoints: 'h' is no address"):
        read_call({"--endpoints": "h"}, environ)


def test_reading_contexts_loads_neither_typer_nor_an_event_loop_nor_toml() -> None:
    code = (
        "import sys; from decreed.cli.config import contexts;"
        "contexts.read_call({}, {}); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"typer", "trio", "anyio", "tomllib", "tomlkit"}.isdisjoint(done.stdout.split())


def test_the_place_of_the_config_file() -> None:
    assert config_path({"DECREED_CONFIG": "x", "XDG_CONFIG_HOME": "/y"}) == "x"
    assert config_path({"XDG_CONFIG_HOME": "/y"}) == "/y/decreed/config.toml"
    own = os.path.expanduser("~/.config/decreed/config.toml")
    assert config_path({"XDG_CONFIG_HOME": "relative"}) == config_path({}) == own


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    assert chosen_context(None, {"XDG_CONFIG_HOME": str(tmp_path)}) == contexts.Context()
    missing = str(tmp_path / "none.toml")
    for path, reason in ((missing, "No such file"), (str(tmp_path), "Is a directory")):
        with pytest.raises(ConfigError, match=f"{path}, which DECREED_CONFIG names: {reason}"):
            chosen_context(None, {"DECREED_CONFIG": path})
    with pytest.raises(ConfigError, match=r"no context 'prod' \(DECREED_CONTEXT says 'prod'\)"):
        chosen_context(None, {"XDG_CONFIG_HOME": str(tmp_path), "DECREED_CONTEXT": "prod"})


def test_a_byte_order_mark_and_crlf_are_ignored() -> None:
    data = b"\xef\xbb\xbf" + FILE.replace("\n", "\r\n").encode()
    assert parse_config("f", data).context("prod").timeout == 90


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x =\n", "f, line 1: not TOML: "),
        ("\nx = {a = 1", "f, line 2: not TOML: "),
        ("a = 1\na = 2\n", "f, line 2: not TOML: Cannot overwrite a value, in column 6"),
        ("contxt = 'a'", "f, line 1: contxt is no setting"),
        ("\ncontext = 1", "f, line 2: context is the name of a context"),
        ("contexts = 1", "f, line 1: contexts is a table"),
        ("[contexts]\na = 1", r"f, line 2: contexts.a is a table: write \[contexts.a\]"),
        ("[contexts.a]\nendpoints = []", "f, line 2: contexts.a.endpoints is a list of texts"),
        ("[contexts.a]\nendpoints = [1]", "f, line 2: contexts.a.endpoints is a list of texts"),
        ("[contexts.a]\nendpoints = 'h'", "f, line 2: .*'h' is no address: .*write h:7400"),
        ("[contexts.a]\ntimeout = true", "f, line 2: contexts.a.timeout is a time"),
        ("[contexts.a]\n\ntimeout = '5min'", "f, line 3: contexts.a.timeout is wrong: .*'m'"),
        ("[contexts.a]\nclaimant = 1", "f, line 2: contexts.a.claimant is a text"),
        ("[contexts.a]\nprefer = 1", 'f, line 2: contexts.a.prefer is "home" or "nearest"'),
        (
            "[contexts.a]\nendpoint = 'h:1'",
            "f, line 2: contexts.a.endpoint is no setting; .*endpoints",
        ),
        ("[contexts.a.tls]\nca = 'x'", "f, line 1: contexts.a.tls is no setting; the settings are"),
        ("[contexts.a]\nca = 1", "f, line 2: contexts.a.ca is a text"),
        ("[contexts.b]", "there is no context 'a'; there are: b"),
    ],
)
def test_a_mistake_is_reported_with_file_line_and_correction(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config("f", text.encode()).context("a")


def test_a_config_file_that_is_not_utf8_or_too_large_is_refused() -> None:
    with pytest.raises(ConfigError, match="f, line 2: not UTF-8"):
        parse_config("f", b"# x\ncontext = '\xff'")
    with pytest.raises(ConfigError, match="more than"):
        parse_config("f", b"#" * 2_000_000)


def test_a_mistake_exits_with_2_in_one_line(cli: Cli, registry: FakeRegistry, write: Write) -> None:
    write("[contexts.a]\ntimeout = 'x\\u001b'\n")
    result = cli("get", "k", "--context", "a")
    assert (result.code, result.err.count("\n"), registry.calls) == (2, 1, [])
    assert "line 2: contexts.a.timeout" in result.err and "\x1b" not in result.err


@pytest.mark.parametrize("words", [("context", "list"), ("context", "show"), ("get", "k")])
def test_an_unreadable_config_file_is_reported_with_its_correction(
    cli: Cli, write: Write, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("[contexts.a\n")
    said = cli(*words).err
    assert said.startswith(f"decreed: config: {path}, line 1: not TOML: ")
    assert said.endswith("; correct the file\n")
    monkeypatch.setenv("DECREED_CONFIG", str(path.parent / "none"))
    assert cli(*words).err.endswith(
        "No such file or directory; check the path and its permissions\n"
    )


def test_a_context_may_be_named_before_the_commands_about_contexts(cli: Cli, write: Write) -> None:
    write(FILE)
    for words in (("context", "show"), ("context", "show", "prod")):
        assert cli("--context", "prod", *words).text.splitlines()[0] == "context    prod"
    used = [row["used"] for row in cli("--context", "bare", "--json", "context", "list").rows]
    assert used == [False, False, True]
    before = ("--endpoints", "h:1", "--timeout", "5s", "--claimant", "me", "--context", "prod")
    shown = cli(*before, "context", "show").text.splitlines()
    assert [line.split()[1] for line in shown] == ["prod", "h:1", "5s", "me", "home"]
    refused = cli("--context", "dev", "context", "show", "prod")
    assert refused.code == 2 and "--context names 'dev', and NAME is 'prod'" in refused.err
    assert cli("--context", "none", "context", "show").code == 2


def test_contexts_are_listed_and_shown(cli: Cli, write: Write) -> None:
    none = cli("context", "list")
    assert (none.code, none.out) == (0, b"")
    assert "there is none yet; write [contexts.NAME] into" in none.err
    write(FILE + "tls = {}\n")
    listed = cli("context", "list").text.splitlines()
    assert listed[:2] == [
        "  prod  10.0.0.1:7400,[fd00::2]:7400",
        "* dev  127.0.0.1:7500,127.0.0.1:7501",
    ]
    assert listed[2].startswith("  bare  wrong: ") and "line 13" in listed[2]
    assert [row["used"] for row in cli("context", "list", "--json").rows] == [False, True, False]
    assert cli("context", "show", "prod", "--json").json["timeout"] == 90
    assert cli("context", "show").text.splitlines()[0] == "context    dev"
    assert cli("context", "show", "bare").code == 2


def test_context_use_leaves_the_rest_of_the_file_as_it_is(
    cli: Cli, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("context", "use", "prod").code == 2
    path = write(FILE)
    path.chmod(0o600)
    assert cli("context", "use", "prod").code == 0
    assert path.read_text() == FILE.replace('context = "dev"', 'context = "prod"')
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert cli("context", "use", "none").code == 2
    monkeypatch.setenv("DECREED_CONTEXT", "dev")
    result = cli("context", "use", "prod")
    assert result.code == 2 and "DECREED_CONTEXT: it says 'dev'" in result.err


@pytest.mark.parametrize(
    ("context", "variable", "option", "preferred"),
    [
        ("", "", "", None),
        ('prefer = "nearest"', "", "", "nearest"),
        ('prefer = "home"', "nearest", "", "nearest"),
        ('prefer = "nearest"', "nearest", "home", None),
        ("", "home", "nearest", "nearest"),
    ],
)
def test_where_to_read_from_comes_from_option_variable_or_context(
    cli: Cli,
    registry: FakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    context: str,
    variable: str,
    option: str,
    preferred: str | None,
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'context = "a"\n[contexts.a]\n{context}\n')
    monkeypatch.setenv("DECREED_CONFIG", str(file))
    monkeypatch.setenv("DECREED_PREFER", variable)
    registry.freeze("k", "v")
    told = ("--prefer", option) if option else ()
    for command in (("get", "k"), ("list",), ("wait", "k")):
        assert cli(*command, *told).code == 0
    assert [last.get("prefer") for last in registry.connections] == [preferred] * 3
    assert cli("context", "show", *told, "--json").json["prefer"] == (preferred or "home")
    cli("claim", "other", "v")
    assert "prefer" not in registry.connections[-1]


def test_another_place_to_read_from_is_refused(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "'far' is not home or nearest" in cli("get", "k", "--prefer", "far").err
    monkeypatch.setenv("DECREED_PREFER", "far")
    assert "DECREED_PREFER" in cli("get", "k").err
