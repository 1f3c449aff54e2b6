"""The command line as a whole: usage errors, endings, endpoints, times, help and completion."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from decreed.cli import commands, options
from decreed.cli.main import run
from decreed.registry.errors import ERRORS, Exit, Unreachable

from .fakes import Cli, FakeRegistry

COMMANDS = [
    "bench", "claim", "dev", "elect", "get", "import", "init", "latest", "leader", "list", "next",
    "once", "serve", "status", "version", "wait", "watch",
]  # fmt: skip


def test_these_are_the_commands() -> None:
    assert sorted(entry.name for entry in commands.COMMANDS) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_json_and_timeout(cli: Cli, command: str) -> None:
    result = cli(command, "--help")
    assert result.code == 0
    _, _, examples = result.text.partition("Examples:\n")
    assert f"decreed {command}" in examples
    assert "--json" in result.text
    assert "--timeout" in result.text


@pytest.mark.parametrize("command", ["break", "history", "list", "run", "show"])
def test_every_command_about_locks_has_help_too(cli: Cli, command: str) -> None:
    result = cli("lock", command, "--help")
    assert result.code == 0
    assert f"decreed lock {command}" in result.text.partition("Examples:\n")[2]
    assert "--json" in result.text and "--timeout" in result.text


def test_the_bare_command_shows_help_and_is_bad_usage(cli: Cli) -> None:
    result = cli()
    assert result.code == 2
    assert "Exit codes: 0 done" in result.text


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["get"], ["get", "a", "b"], ["get", "k", "--nonsense"], ["get", "--timeout"]],
)
def test_bad_usage_is_2_in_one_line(cli: Cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
    assert result.err.startswith("decreed: usage: ")


def test_bad_usage_as_json(cli: Cli) -> None:
    error = cli("get", "--json").error
    assert (error["exit_code"], error["kind"], error["thing"]) == (2, "BadRequest", "usage")


def test_json_behind_the_separator_is_an_argument(cli: Cli, registry: FakeRegistry) -> None:
    registry.failures = [Unreachable("x")]
    assert cli("claim", "--", "k", "--json").err.startswith("decreed: k: x")


def test_every_error_of_the_table_ends_with_its_exit_code(cli: Cli, registry: FakeRegistry) -> None:
    for kind in ERRORS.values():
        registry.failures = [kind("why")]
        assert cli("get", "k").code == kind.exit_code
        registry.failures = [kind("why")]
        error = cli("get", "k", "--json").error
        assert (error["code"], error["message"]) == (kind.code, "why")


def test_an_error_inside_groups_is_told_bare(cli: Cli, registry: FakeRegistry) -> None:
    inner = ExceptionGroup("inner", [Unreachable("no quorum")])
    registry.failures = [BaseExceptionGroup("outer", [inner])]
    assert cli("get", "k").code == 5
    registry.failures = [BaseExceptionGroup("two", [Unreachable("x"), KeyboardInterrupt()])]
    assert cli("get", "k").code == 130


def test_the_unexpected_is_1_in_one_line(
    cli: Cli, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.failures = [RuntimeError("a\nb")]
    result = cli("get", "k")
    assert result.code == 1
    assert result.err.startswith("decreed: unexpected: RuntimeError: a b; DECREED_DEBUG=1")
    monkeypatch.setenv("DECREED_DEBUG", "1")
    registry.failures = [RuntimeError("a")]
    assert "Traceback" in cli("get", "k").err


def test_an_interrupt_is_130(cli: Cli, registry: FakeRegistry) -> None:
    registry.failures = [KeyboardInterrupt()]
    result = cli("get", "k")
    assert (result.code, result.err) == (130, "")


def test_a_reader_that_went_away_is_not_reported() -> None:
    command = "import sys; from decreed.cli.main import run; sys.exit(run(['version']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", command], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_endpoints_come_from_the_option_the_environment_or_the_default(
    cli: Cli, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("get", "k")
    monkeypatch.setenv("DECREED_ENDPOINTS", "a:1, b:2,")
    cli("get", "k")
    cli("get", "k", "--endpoints", "[::1]:3", "--timeout", "2s")
    assert [c["endpoints"] for c in registry.connections] == [
        ("127.0.0.1:7400", "127.0.0.1:7401", "127.0.0.1:7402"),
        ("a:1", "b:2"),
        ("[::1]:3",),
    ]
    assert [c["timeout"] for c in registry.connections] == [10.0, 10.0, 2.0]


@pytest.mark.parametrize("endpoints", ["", ",", "host", "host:", ":1", "host:70000"])
def test_bad_endpoints_are_bad_usage(cli: Cli, endpoints: str) -> None:
    assert cli("get", "k", "--endpoints", endpoints).code == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("10s", 10), ("2m", 120), ("1h", 3600), ("3", 3), ("0.25", 0.25)],
)
def test_times(text: str, seconds: float) -> None:
    assert options.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "0", "2h", "1 s", "1d", "nan", "1e3", "٣s"])
def test_bad_times_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        options.parse_duration(text)


def test_python_m_decreed_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "decreed", "version"], cwd=tmp_path, capture_output=True
    )
    assert (done.returncode, done.stderr) == (Exit.DONE, b"")
    assert done.stdout.startswith(b"decreed ")


def test_run_never_raises() -> None:
    assert run(["get", "a b"]) == 2
