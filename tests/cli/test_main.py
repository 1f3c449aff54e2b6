"""The command line as a whole: usage errors, endings, endpoints, times, help and completion."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from decreed.cli import table
from decreed.cli.main import run
from decreed.cli.options import types
from decreed.registry.errors import ERRORS, Exit, Unreachable

from ..storage.leftovers import leave
from .fakes import Cli, FakeRegistry

COMMANDS = [
    "bench", "claim", "dev", "elect", "get", "import", "init", "latest", "leader", "list", "next",
    "once", "recover", "scrub", "serve", "status", "version", "wait", "watch",
]  # fmt: skip
SERVE = "serve --config cluster.toml --node n1 --data d"
ASKING_NOBODY = ("init", "recover", "version")


def test_these_are_the_commands() -> None:
    assert sorted(entry.name for entry in table.COMMANDS) == COMMANDS


@pytest.mark.parametrize(
    "words", [("get",), ("claim",), ("wait",), ("list",), ("next",), ("latest",)]
)
def test_an_error_about_a_name_leads_to_help_that_says_what_is_allowed(
    cli: Cli, words: tuple[str, ...]
) -> None:
    refused = cli(*words, "a b", *(["v"] if words[0] in ("claim", "next") else []))
    assert refused.err.endswith(f"see 'decreed {words[0]} --help'\n")
    text = "".join(cli(*words, "--help").text.split())
    assert "letters,digits,marksand_-.+=:,~()" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_json_and_timeout(cli: Cli, command: str) -> None:
    result = cli(command, "--help")
    assert result.code == 0
    _, _, examples = result.text.partition("Examples:\n")
    assert f"decreed {command}" in examples
    assert "--json" in result.text
    assert ("--timeout" in result.text) == (command not in ASKING_NOBODY)


@pytest.mark.parametrize("command", ASKING_NOBODY)
def test_every_command_accepts_a_timeout(cli: Cli, tmp_path: Path, command: str) -> None:
    old, other = (str(leave(tmp_path / node)) for node in "ab")
    needs = {
        "init": (str(tmp_path / "new"), "--node", "n1=h:1"),
        "recover": ("--compare", old, other),
    }
    assert cli(command, *needs.get(command, ()), "--timeout", "1s").code == 0


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


def test_the_help_has_every_exit_code(cli: Cli) -> None:
    said = " ".join(cli("--help").text.split()).partition("Exit codes: ")[2].partition(". ")[0]
    codes = [int(number) for number in re.findall(r"(?:^|, )(\d+) ", said)]
    assert codes == [code.value for code in Exit]


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["get"], ["get", "a", "b"], ["get", "k", "--nonsense"], ["get", "--timeout"]],
)
def test_bad_usage_exits_with_2_in_one_line(cli: Cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
    assert result.err.startswith("decreed: usage: ")


def test_bad_usage_as_json(cli: Cli) -> None:
    error = cli("get", "--json").error
    assert (error["exit_code"], error["kind"], error["thing"]) == (2, "BadRequest", "usage")


def test_json_after_the_separator_is_an_argument(cli: Cli, registry: FakeRegistry) -> None:
    registry.failures = [Unreachable("x")]
    assert cli("claim", "--", "k", "--json").err.startswith("decreed: k: x")


def test_every_error_of_the_table_ends_with_its_exit_code(cli: Cli, registry: FakeRegistry) -> None:
    for kind in ERRORS.values():
        registry.failures = [kind("why")]
        assert cli("get", "k").code == kind.exit_code
        registry.failures = [kind("why")]
        error = cli("get", "k", "--json").error
        assert (error["code"], error["message"]) == (kind.code, "why")


def test_an_error_in_exception_groups_exits_with_its_own_code(
    cli: Cli, registry: FakeRegistry
) -> None:
    inner = ExceptionGroup("inner", [Unreachable("no quorum")])
    registry.failures = [BaseExceptionGroup("outer", [inner])]
    assert cli("get", "k").code == 5
    registry.failures = [BaseExceptionGroup("two", [Unreachable("x"), KeyboardInterrupt()])]
    assert cli("get", "k").code == 130


def test_an_unexpected_error_exits_with_1_in_one_line(
    cli: Cli, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.failures = [RuntimeError("a\nb")]
    result = cli("get", "k")
    assert result.code == 1
    assert result.err.startswith("decreed: unexpected: RuntimeError: a b; DECREED_DEBUG=1")
    monkeypatch.setenv("DECREED_DEBUG", "1")
    registry.failures = [RuntimeError("a")]
    assert "Traceback" in cli("get", "k").err


def test_an_interrupt_exits_with_130(cli: Cli, registry: FakeRegistry) -> None:
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


@pytest.mark.parametrize(
    ("text", "said"),
    [("5min", "'min' is written 'm'"), ("1w", "the units are d, h, m"), ("10S", "'s'")],
)
def test_a_bad_time_is_reported_with_its_fault(cli: Cli, text: str, said: str) -> None:
    result = cli("get", "a b", "--timeout", text)
    assert said in result.err


@pytest.mark.parametrize("endpoints", ["", ",", "host", "host:", ":1", "host:70000"])
def test_bad_endpoints_are_bad_usage(cli: Cli, endpoints: str) -> None:
    assert cli("get", "k", "--endpoints", endpoints).code == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DECREED_ENDPOINTS", "http://h:1"), ("DECREED_TIMEOUT", "soon"), ("DECREED_JSON", "maybe"),
        ("DECREED_CONTEXT", "nowhere"), ("DECREED_CONFIG", "/no/such/file"),
    ],
)  # fmt: skip
def test_an_error_in_a_variable_names_the_variable(
    cli: Cli, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    result = cli("get", "k")
    assert (result.code, result.err.count("\n"), registry.calls) == (2, 1, [])
    assert name in result.err and "--" not in result.err.partition(name)[0]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DECREED_TTL", "1ms", "lock run l -- true"), ("DECREED_WAIT", "soon", "lock run l -- true"),
        ("DECREED_PATIENCE", "x", "wait k"), ("DECREED_CLAIMANT", "x" * 257, "claim k v"),
        ("DECREED_CONTENT_TYPE", "x" * 129, "claim k v"), ("DECREED_RAW", "2", "get k"),
        ("DECREED_IMPORT_FORMAT", "xml", "import . p"), ("DECREED_IMPORT_TIMEOUT", "x", "import . p"),
        ("DECREED_BENCH_PREFIX", "a b", "bench"), ("DECREED_BENCH_DURATION", "x", "bench"),
        ("DECREED_DEV_PORT", "x", "dev"), ("DECREED_SERVE_TIMEOUT", "x", "dev"),
        ("DECREED_LOG", "x", SERVE), ("DECREED_LOG_LEVEL", "x", SERVE),
        ("DECREED_LISTEN", "tcp://h:1", SERVE), ("DECREED_CLUSTER_CONFIG", "/no/such", "serve"),
        ("DECREED_NODE", "n9", "serve --config cluster.toml --data d"),
    ],
)  # fmt: skip
def test_every_variable_is_named_when_it_is_wrong(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    cli("init", ".", "--node", "n1=127.0.0.1:1")
    for required in ("DECREED_NODE", "DECREED_DATA"):
        monkeypatch.setenv(required, "n1")
    monkeypatch.setenv(name, value)
    result = cli(*words.split())
    assert result.code in (2, 125) and result.err.startswith(f"decreed: {name}: "), result
    assert result.err.count("\n") == 1


def test_an_option_takes_precedence_over_its_variable(
    cli: Cli, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECREED_TIMEOUT", "soon")
    monkeypatch.setenv("DECREED_RAW", "1")
    registry.freeze("k", "v")
    assert cli("get", "k", "--timeout", "2s").out == b"v"
    assert cli("get", "k", "--timeout", "2s", "--json").json["value"] == "v"
    result = cli("get", "k", "--timeout", "later")
    assert "DECREED_TIMEOUT" not in result.err and "--timeout" in result.err


def test_json_by_a_variable_is_for_errors_too(
    cli: Cli, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECREED_JSON", "1")
    assert cli("get", "a b").error["exit_code"] == 2
    monkeypatch.setenv("DECREED_JSON", "0")
    assert cli("get", "a b").err.startswith("decreed: a b")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("2m", 120),
        ("1h", 3600),
        ("3", 3),
        ("0.25", 0.25),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1.5h", 5400),
        ("1d2h3m4s5ms", 93_784.005),
        (" 5s ", 5),
        ("365d", 31_536_000),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert types.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "-1s",
        "0",
        "1 s",
        "nan",
        "1e3",
        "٣s",
        "1h30",
        "2h1d",
        "1h1h",
        "366d",
        "1.5h30m",
        "0.5ms",
    ],
)
def test_bad_times_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        types.parse_duration(text)


def test_python_m_decreed_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "decreed", "version"], cwd=tmp_path, capture_output=True
    )
    assert (done.returncode, done.stderr) == (Exit.DONE, b"")
    assert done.stdout.startswith(b"decreed ")


def test_run_never_raises() -> None:
    assert run(["get", "a b"]) == 2
