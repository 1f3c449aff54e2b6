"""Completion: the requests of each shell, the answers, and prompts that never hang or mislead."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from decreed.cli.completing import Typed, typed_in
from decreed.cli.options.key_completion import MOST, behind
from decreed.registry.errors import Unreachable
from decreed.registry.keys import sort_key

from .fakes import Cli, FakeRegistry


@pytest.fixture
def keys(registry: FakeRegistry) -> FakeRegistry:
    for key in (
        "prod/db/host",
        "prod/db/port",
        "prod/region",
        "prod/re:x",
        "prod/s@1",
        "prod/s@10",
    ):
        registry.freeze(key, "v")
    registry.freeze("other", "v")
    return registry


def bash(cli: Cli, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """The completions that bash gets for the last word."""
    environ = {
        "_DECREED_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(["decreed", *words]),
        "COMP_CWORD": str(len(words)),
    }
    return completed(cli, monkeypatch, environ).splitlines()


def completed(cli: Cli, monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str]) -> str:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    result = cli()
    assert (result.code, result.err) == (0, "")
    return result.text


def test_keys_under_a_path_are_offered(
    cli: Cli, keys: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bash(cli, monkeypatch, "get", "prod/re") == ["prod/re:x", "prod/region"]
    assert bash(cli, monkeypatch, "wait", "prod/db/") == ["prod/db/host", "prod/db/port"]
    assert bash(cli, monkeypatch, "get", "o") == ["other"]
    assert len(bash(cli, monkeypatch, "get", "")) == 7
    assert bash(cli, monkeypatch, "get", "nothing/") == []


def test_series_and_paths_are_offered_where_they_are_wanted(
    cli: Cli, keys: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bash(cli, monkeypatch, "latest", "prod/") == ["prod/s"]
    offered = bash(cli, monkeypatch, "list", "prod/")
    assert offered == ["prod/db/", "prod/re:x", "prod/region", "prod/s"]
    assert bash(cli, monkeypatch, "list", "p") == ["prod/"]


def test_bash_completes_keys_at_characters_where_it_breaks_words(
    cli: Cli, keys: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bash(cli, monkeypatch, "get", "prod/s", "@", "1") == ["1", "10"]
    assert bash(cli, monkeypatch, "get", "prod/s", "@") == ["1", "10"]
    assert bash(cli, monkeypatch, "get", "prod/re", ":") == ["x"]


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "get", "prod/db/h"],
        ["--endpoints", "a:1", "get", "prod/db/h"],
        ["get", "--raw", "prod/db/h"],
        ["get", "--timeout", "1s", "prod/db/h"],
        ["get", "--", "prod/db/h"],
    ],
)
def test_options_before_the_key_count(
    cli: Cli, keys: FakeRegistry, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("DECREED_ENDPOINTS", "b:2")
    assert bash(cli, monkeypatch, *words) == ["prod/db/host"]
    expected = "a:1" if "a:1" in words else "b:2"
    assert keys.connections[-1]["endpoints"] == (expected,)


@pytest.mark.parametrize(
    ("words", "variables", "asked"),
    [
        ((), {}, "own:1"),
        (("--context", "other"), {}, "other:1"),
        ((), {"DECREED_CONTEXT": "other"}, "other:1"),
        (("--context", "own"), {"DECREED_CONTEXT": "other"}, "own:1"),
        ((), {"DECREED_ENDPOINTS": "b:2"}, "b:2"),
        (("--endpoints", "a:1"), {"DECREED_ENDPOINTS": "b:2"}, "a:1"),
    ],
)
def test_completion_asks_the_cluster_that_the_command_would_ask(
    cli: Cli, keys: FakeRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    words: tuple[str, ...], variables: dict[str, str], asked: str,
) -> None:  # fmt: skip
    config = tmp_path / "config.toml"
    contexts = '[contexts.own]\nendpoints = "own:1"\n[contexts.other]\nendpoints = "other:1"\n'
    config.write_text(f'context = "own"\n{contexts}')
    for name, value in {"DECREED_CONFIG": str(config), **variables}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert bash(cli, monkeypatch, *words, "get", "o") == ["other"]
    assert bash(cli, monkeypatch, "get", *words, "o") == ["other"]
    assert {each["endpoints"] for each in keys.connections[-2:]} == {(asked,)}
    assert all(os.environ.get(name) == value for name, value in before.items())


def test_a_wrong_config_file_gives_no_completions(
    cli: Cli, keys: FakeRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DECREED_CONFIG", str(tmp_path / "none"))
    assert bash(cli, monkeypatch, "get", "o") == []
    assert keys.connections == []


def test_zsh_and_fish_get_completions_in_their_own_form(
    cli: Cli, keys: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {"_TYPER_COMPLETE_ARGS": "decreed get prod/re"}
    text = completed(cli, monkeypatch, {"_DECREED_COMPLETE": "complete_zsh", **line})
    assert text == '_arguments \'*: :(("prod/re\\\\:x"\n"prod/region"))\'\n'
    fish = {"_DECREED_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args", **line}
    assert completed(cli, monkeypatch, fish) == "prod/re:x\nprod/region\n"
    calls = len(keys.calls)
    assert completed(cli, monkeypatch, fish | {"_TYPER_COMPLETE_FISH_ACTION": "is-args"}) == ""
    assert len(keys.calls) == calls


def test_a_name_that_is_no_key_never_reaches_a_shell(
    cli: Cli, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("ok", "o$(touch x)", "o'x", 'o"x', "o`x`", "o x", "o;x", "o\nx"):
        registry.freeze(key, "v")
    assert bash(cli, monkeypatch, "get", "o") == ["ok"]


def test_without_an_answer_there_are_no_completions(
    cli: Cli, keys: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.failures = [Unreachable("no quorum")]
    assert bash(cli, monkeypatch, "get", "prod/") == []
    assert bash(cli, monkeypatch, "get", "a b") == []
    assert keys.connections[-1]["timeout"] <= 1.0


def test_the_number_of_completions_is_bounded(
    cli: Cli, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MOST + 50):
        registry.freeze(f"k{number:04}", "v")
    assert len(bash(cli, monkeypatch, "get", "k")) == MOST


@pytest.mark.parametrize("incomplete", ["a", "prod/re", "é", "z", "prod/-", "+", "\ue000", "~"])
def test_the_list_begins_before_all_keys_with_the_incomplete_beginning(incomplete: str) -> None:
    for more in ("", "x", "@1", "/x", "\U00010000"):
        assert sort_key(behind(incomplete)) < sort_key(incomplete + more)


@pytest.mark.parametrize(
    ("shell", "environ", "typed"),
    [
        ("bash", {"COMP_WORDS": "decreed get", "COMP_CWORD": "2"}, (("get",), "")),
        ("bash", {"COMP_WORDS": "decreed get 'a b", "COMP_CWORD": "2"}, (("get",), "a b")),
        ("bash", {"COMP_WORDS": "decreed", "COMP_CWORD": "x"}, ((), "")),
        ("bash", {}, ((), "")),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "decreed get "}, (("get",), "")),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "decreed get a@1"}, (("get",), "a@1")),
        ("fish", {}, ((), "")),
    ],
)
def test_the_words_typed_are_read_from_each_shell(
    shell: str, environ: dict[str, str], typed: tuple[tuple[str, ...], str]
) -> None:
    assert typed_in(shell, environ) == Typed(*typed)


def typer_completes(**environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "decreed"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_completion_script(shell: str) -> None:
    assert "_DECREED_COMPLETE" in typer_completes(_DECREED_COMPLETE=f"source_{shell}")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("decreed im", ["import"]),
        ("decreed lock sh", ["show"]),
        ("decreed get --ra", ["--raw"]),
        ("decreed serve --log j", ["json"]),
        ("decreed claim k prod/", []),
    ],
)
def test_commands_options_and_choices_are_completed_by_typer(
    words: str, offered: list[str]
) -> None:
    count = str(len(words.split(" ")) - 1)
    text = typer_completes(_DECREED_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=count)
    assert text.split() == offered


def test_bash_itself_completes_a_command(tmp_path: Path) -> None:
    """With the script that is installed."""
    program = tmp_path / "decreed"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m decreed "$@"\n')
    program.chmod(0o755)
    script = """
eval "$(decreed --show-completion bash)"
COMP_WORDS=(decreed im) COMP_CWORD=1
_decreed_completion decreed
echo "${COMPREPLY[@]}"
"""
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["import"], done.stderr
