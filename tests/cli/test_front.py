"""The front door: help anywhere, dashes, typos, global options, and what is loaded for it."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest

from decreed.cli import table
from decreed.cli.declared import parameters_of
from decreed.cli.entry import Entry, first_sentence
from decreed.cli.front import ANSWERS, GLOBALS, find
from decreed.cli.shell.deferred import typer
from decreed.cli.summaries import SUMMARIES

from .fakes import Cli, FakeRegistry

INNER = [(group, entry) for group, entries in table.GROUPS.items() for entry in entries]
ENTRIES = [*table.COMMANDS, *(entry for _, entry in INNER)]
PATHS = [
    *([entry.name] for entry in table.COMMANDS),
    *([group, entry.name] for group, entry in INNER),
]


def loaded(*arguments: str) -> set[str]:
    """The modules that a fresh interpreter has loaded when a command line ends."""
    code = f"from decreed.cli.main import run; run({arguments!r}); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("word", ["-h", "--help"])
@pytest.mark.parametrize("path", [[], *PATHS, ["lock"], ["context"]], ids=" ".join)
def test_help_is_shown_wherever_it_stands(cli: Cli, path: list[str], word: str) -> None:
    result = cli(*path, word)
    assert (result.code, result.err) == (0, "")
    assert result.text.startswith(f"Usage: {' '.join(['decreed', *path])} [OPTIONS]")


@pytest.mark.parametrize(
    "words",
    [["k", "-h"], ["-h", "k", "v"], ["k", "v", "--note", "-h"], ["--no-such", "-h"], ["k", "-x", "-h"]],
)  # fmt: skip
def test_help_is_never_frozen(cli: Cli, registry: FakeRegistry, words: list[str]) -> None:
    result = cli("claim", *words)
    assert (result.code, registry.calls) == (0, [])
    assert "Usage: decreed claim" in result.text


def test_help_after_the_separator_is_an_argument(cli: Cli, registry: FakeRegistry) -> None:
    assert cli("claim", "k", "--", "-h").code == 0
    assert registry.decrees["k"].value == b"-h"


@pytest.mark.parametrize("path", [*PATHS, ["lock"], ["context"], []], ids=" ".join)
def test_help_is_a_command_too(cli: Cli, path: list[str]) -> None:
    assert cli("help", *path).out == cli(*path, "--help").out
    assert cli("help", *path).code == 0


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_the_usage_shows_arguments_without_braces(cli: Cli, path: list[str]) -> None:
    usage = cli(*path, "--help").text.splitlines()[0]
    assert usage.startswith(f"Usage: decreed {' '.join(path)} [OPTIONS]")
    assert "{" not in usage and "[[" not in usage and "..." not in usage


@pytest.mark.parametrize("words", [["help", "stauts"], ["help", "lock", "sho"], ["lock", "sho"]])
def test_help_for_an_unknown_command_is_bad_usage(cli: Cli, words: list[str]) -> None:
    result = cli(*words)
    assert (result.code, result.out) == (2, b"")
    assert "No such command" in result.err and "Did you mean" in result.err


@pytest.mark.parametrize("words", [["--version"], ["-V"], ["--json", "-V"], ["-V", "--json"]])
def test_the_version_is_printed(cli: Cli, words: list[str]) -> None:
    result = cli(*words)
    assert result.code == 0
    assert result.out == cli("version", *(["--json"] if "--json" in words else [])).out


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
@pytest.mark.parametrize("word", ["-x", "-json", "--jsn", "--no-such=1", "-5x", "--", "-1s"])
def test_a_word_with_a_dash_is_an_option_or_an_error(
    cli: Cli, registry: FakeRegistry, path: list[str], word: str
) -> None:
    result = cli(*path, *(["k", word] if word != "--" else ["k", "--x", "--"]))
    assert (result.code in (2, 125), result.out, registry.calls) == (True, b"", [])
    assert "has no option" in result.err
    # a command without arguments has no argument that could begin with a dash
    hint = "write -- before" if takes_arguments(path) else f"see 'decreed {' '.join(path)} --help'"
    assert hint in result.err


def takes_arguments(path: list[str]) -> bool:
    found = find(path)
    assert not isinstance(found, int)
    return not all(each.is_option for each in parameters_of(found.entry.load()))


@pytest.mark.parametrize(
    "number", ["-5", "-0", "-5.25", "-.5", "-1e9", "-1E-9", "-5.", "-99999999999999999999"]
)
def test_numbers_and_a_single_dash_are_arguments(
    cli: Cli, registry: FakeRegistry, number: str
) -> None:
    assert cli("claim", f"k{number}", number).code == 0
    assert registry.decrees[f"k{number}"].value == number.encode()
    assert cli("claim", "stdin", "-", stdin=b"in").code == 0
    assert registry.decrees["stdin"].value == b"in"


def test_the_value_of_an_option_may_begin_with_a_dash_after_an_equals_sign(
    cli: Cli, registry: FakeRegistry
) -> None:
    assert cli("claim", "k", "v", "--note=-x", "--claimant=--json", "--claim-id", "-1").code == 0
    call = registry.calls[0][1]
    assert (call["note"], call["claimant"], call["claim_id"]) == ("-x", "--json", b"-1")
    result = cli("claim", "k", "v", "--note", "-x")
    assert (result.code, len(registry.calls)) == (2, 1)
    assert "write --note=-x" in result.err


@pytest.mark.parametrize("words", [["--note"], ["--note", "--", "x"], ["--json=1"], ["--claim-id"]])
def test_an_option_with_a_missing_or_surplus_value_is_bad_usage(
    cli: Cli, registry: FakeRegistry, words: list[str]
) -> None:
    assert (cli("claim", "k", "v", *words).code, registry.calls) == (2, [])


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["stauts"], "status"),
        (["clam", "k", "v"], "claim"),
        (["lokc", "run"], "lock"),
        (["get", "k", "--jsn"], "--json"),
        (["claim", "k", "v", "--exclusiv"], "--exclusive"),
        (["--jsno", "get", "k"], "--json"),
        (["lock", "lst"], "list"),
        (["get", "k", "--claimat", "me"], None),
        (["list", "--limit", "3"], None),
        (["status", "--verbose"], None),
    ],
)
def test_typos_get_a_suggestion(cli: Cli, words: list[str], meant: str | None) -> None:
    result = cli(*words)
    assert (result.code, result.out) == (2, b"")
    if meant is None:
        assert "has no option" in result.err and "Did you mean" not in result.err
    else:
        assert f"Did you mean {meant}?" in result.err


@pytest.mark.parametrize("word", [*ANSWERS, "put", "set", "rm", "delete", "del", "unset", "update"])
def test_commands_of_other_stores_that_change_or_delete_get_an_explanation(
    cli: Cli, registry: FakeRegistry, word: str
) -> None:
    result = cli(word, "k", "v")
    assert (result.code, result.out, registry.calls) == (2, b"", [])
    assert "nothing is ever changed or deleted" in result.err
    assert "decreed claim" in result.err or "decreed next" in result.err
    assert cli("--json", word, "k").error["exit_code"] == 2


def test_no_existing_command_gets_that_explanation() -> None:
    """In a group, such as ``member add``, none of these words is explained."""
    assert not {entry.name for entry in table.COMMANDS} & set(ANSWERS)


def test_global_options_may_come_before_the_command(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("k", "v")
    assert cli("--json", "get", "k").out == cli("get", "k", "--json").out
    cli("--endpoints", "a:1", "--timeout=2s", "get", "k")
    cli("--endpoints=a:1", "get", "k", "--endpoints", "b:2")
    *_, first, second = registry.connections
    assert (first["endpoints"], first["timeout"]) == (("a:1",), 2.0)
    assert second["endpoints"] == ("b:2",)  # options after the command take precedence
    cli("--claimant", "me", "claim", "k2", "v")
    assert registry.calls[-1][1]["claimant"] == "me"


def test_a_global_option_that_a_command_does_not_use_is_ignored(
    cli: Cli, registry: FakeRegistry
) -> None:
    registry.freeze("k", "v")
    assert cli("--claimant", "me", "get", "k").code == 0
    assert cli("--endpoints", "a:1", "version").code == 0


def test_a_command_without_contexts_refuses_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get(
        key: Annotated[str, typer.Argument()],
        endpoints: Annotated[str, typer.Option("--endpoints")] = "",
    ) -> int:
        asked.append(key)
        return 0

    monkeypatch.setattr("decreed.cli.commands.read.get", get)
    result = cli("--context", "prod", "get", "k")
    assert (result.code, asked) == (2, [])
    assert "'get' has no option --context" in result.err
    assert (cli("--endpoints", "a:1", "get", "k").code, asked) == (0, ["k"])


@pytest.mark.parametrize("word", ["list", "use"])
def test_commands_about_contexts_refuse_endpoints_and_another_context(cli: Cli, word: str) -> None:
    result = cli("--endpoints", "a:1", "context", word)
    assert (result.code, result.out) == (2, b"")
    assert f"'context {word}' has no option --endpoints; leave it out" in result.err
    result = cli("--context", "prod", "context", "use", "dev")
    assert (result.code, result.out) == (2, b"")
    assert "write 'decreed context use NAME'" in result.err


def test_a_forgotten_separator_is_reported_before_help_and_other_options(cli: Cli) -> None:
    for words in (["once", "k", "ls", "--help"], ["lock", "run", "n", "ls", "--json"]):
        result = cli(*words)
        assert (result.code, result.out) == (125, b"")
        assert "comes after the command, with no -- before it" in result.text + result.err


def _options(entry: Entry) -> list[tuple[str, ...]]:
    return [each.options for each in parameters_of(entry.load())]


def test_options_alone_are_no_command(cli: Cli) -> None:
    result = cli("--json")
    assert (result.code, result.out, result.error["exit_code"]) == (2, b"", 2)


@pytest.mark.parametrize("words", [["--raw", "get", "k"], ["-x"], ["--note", "x"], ["--json=1"]])
def test_other_options_before_the_command_are_bad_usage(cli: Cli, words: list[str]) -> None:
    result = cli(*words)
    assert (result.code, result.out) == (2, b"")
    assert "before the command" in result.err


def test_json_before_the_command_is_for_errors_too(cli: Cli, registry: FakeRegistry) -> None:
    assert cli("--json", "get", "k").error["exit_code"] == 4
    assert cli("--json", "lock", "run", "n", "x", "--no").error["exit_code"] == 125


def test_the_global_options_are_options_of_commands() -> None:
    ours = {name for entry in ENTRIES for names in _options(entry) for name in names}
    assert set(GLOBALS) - {"--context"} <= ours


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_the_table_of_commands_has_the_summary_of_each_function(entry: Entry) -> None:
    assert SUMMARIES[entry.where] == entry.summary == first_sentence(entry.load())


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_every_parameter_has_help_and_a_known_type(entry: Entry) -> None:
    for parameter in parameters_of(entry.load()):
        assert parameter.setting("help") and parameter.kind is not None


def test_the_help_of_the_program_shows_all_commands_with_a_line_each(cli: Cli) -> None:
    _, _, listed = cli("--help").text.partition("Commands:\n")
    lines = [line.split(maxsplit=1) for line in listed.splitlines()]
    assert [name for name, _ in lines] == [*(e.name for e in table.COMMANDS), *table.GROUPS]


def test_a_command_loads_only_its_own_module() -> None:
    own = {
        entry.name: f"decreed.cli.commands.{entry.where.partition(':')[0]}"
        for entry in table.COMMANDS
    }
    modules = loaded("version")
    assert own["version"] in modules
    assert modules & (set(own.values()) - {own["version"]}) == set()


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (["get", "k", "--endpoints", "127.0.0.1:1", "--timeout", "1ms"],
         {"typer", "pydantic", "anyio", "trio", "asyncio", "ssl", "sqlite3", "dotenv", "yaml"}),
        (["claim", "k", "v", "--endpoints", "127.0.0.1:1", "--timeout", "1ms"],
         {"typer", "pydantic", "anyio", "trio", "asyncio"}),
        (["--help"], {"pydantic", "rich", "msgspec", "trio", "anyio", "decreed.client"}),
        (["get", "--help"], {"pydantic", "rich", "trio", "anyio"}),
        (["stauts"], {"typer", "msgspec", "trio", "decreed.cli.commands.status"}),
    ],
)  # fmt: skip
def test_a_command_loads_no_module_that_it_does_not_use(
    words: list[str], unwanted: set[str]
) -> None:
    assert loaded(*words) & unwanted == set()


def test_what_only_writes_a_file_loads_neither_typer_nor_trio(tmp_path: Path) -> None:
    modules = loaded("init", str(tmp_path), "--node", "n1=127.0.0.1:7400")
    assert "decreed.cli.commands.init" in modules
    assert modules & {"typer", "pydantic", "trio", "anyio", "rich"} == set()


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["get"], "get"),
        (["get", "a b"], "get"),
        (["--json", "get", "/a"], "get"),
        (["lock", "show"], "lock show"),
        (["lock", "run", "n"], "lock run"),
        (["context", "use"], "context use"),
    ],
)
def test_bad_usage_names_the_help_of_its_command(cli: Cli, words: list[str], command: str) -> None:
    assert f"see 'decreed {command} --help'" in cli(*words).err


def test_a_key_with_an_empty_segment_is_reported(cli: Cli) -> None:
    assert "it begins with a slash" in cli("get", "/prod/db").err
    assert "it ends with a slash" in cli("get", "prod/db/").err
    assert "it has an empty segment" in cli("get", "prod//db").err
