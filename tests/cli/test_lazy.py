"""Commands are loaded when they run: what is loaded, and that nobody can tell."""

import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from decreed.cli import commands
from decreed.cli.lazy import Commands, Entry, LazyGroup
from decreed.cli.plain import PlainCommand

from .fakes import Cli


class Fruit(Enum):
    APPLE = "apple"
    PEAR = "pear"


def loaded(*arguments: str) -> set[str]:
    """The modules that a fresh interpreter has loaded when a command line ends."""
    code = f"from decreed.cli.main import run; run({arguments!r}); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def converted(*arguments: str) -> dict[str, Any]:
    """What a command is called with that has a parameter of each kind."""
    given: dict[str, Any] = {}

    def command(
        text: Annotated[str, typer.Argument()],
        fruit: Annotated[Fruit, typer.Option()] = Fruit.PEAR,
        path: Annotated[Path | None, typer.Option()] = None,
        size: Annotated[int, typer.Option(min=1)] = 3,
        names: Annotated[list[str] | None, typer.Option()] = None,
        double: Annotated[float | None, typer.Option(parser=lambda t: 2 * float(t))] = None,
        flag: Annotated[bool, typer.Option("--flag")] = False,
    ) -> None:
        given.update(locals())

    app = typer.Typer(rich_markup_mode=None)
    app.command(cls=PlainCommand)(command)
    app(list(arguments), standalone_mode=False)
    return {name: value for name, value in given.items() if name != "given"}


def test_a_command_loads_only_its_own_module() -> None:
    own = {
        entry.name: f"decreed.cli.{entry.where.partition(':')[0]}" for entry in commands.COMMANDS
    }
    modules = loaded("version")
    assert own["version"] in modules
    assert modules & (set(own.values()) - {own["version"]}) == set()


@pytest.mark.parametrize("entry", [*commands.COMMANDS, *commands.LOCK_COMMANDS], ids=str)
def test_every_command_of_the_table_is_there(entry: Entry) -> None:
    assert entry.load().name == entry.name


def test_a_command_is_loaded_once_and_only_when_it_is_taken_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads: list[str] = []

    def load(entry: Entry) -> str:
        loads.append(entry.name)
        return entry.name.upper()

    monkeypatch.setattr(Entry, "load", load)
    found = Commands({name: Entry(name, "nowhere:nothing") for name in ("one", "two")})
    assert (list(found), "one" in found, found.get("three"), loads) == (
        ["one", "two"], True, None, [],
    )  # fmt: skip
    assert (found["two"], found["two"], loads) == ("TWO", "TWO", ["two"])


def test_a_group_names_its_commands_without_loading_them() -> None:
    class Group(LazyGroup):
        entries = (Entry("one", "nowhere:nothing"), Entry("two", "nowhere:nothing"))

    assert Group(name="group", commands={}).list_commands(None) == ["one", "two"]


def test_the_help_of_the_program_shows_all_commands_with_a_line_each(cli: Cli) -> None:
    _, _, listed = cli("--help").text.partition("Commands:\n")
    lines = [line.split(maxsplit=1) for line in listed.splitlines()]
    assert [name for name, _ in lines] == [*(e.name for e in commands.COMMANDS), "lock", "context"]


def test_what_only_writes_a_file_loads_neither_pydantic_nor_trio(tmp_path: Path) -> None:
    modules = loaded("init", str(tmp_path), "--node", "n1=127.0.0.1:7400")
    assert "decreed.cli.init" in modules
    assert modules & {"pydantic", "trio", "anyio", "rich"} == set()


def test_a_mistyped_command_is_told_which_was_meant_and_loads_none(cli: Cli) -> None:
    assert cli("stauts").err.startswith("decreed: usage: No such command 'stauts'. Did you mean")
    assert "decreed.cli.status" not in loaded("stauts")


def test_what_is_plain_becomes_what_typer_makes_of_it(tmp_path: Path) -> None:
    assert converted("x") == {
        "text": "x", "fruit": Fruit.PEAR, "path": None, "size": 3, "names": None, "double": None,
        "flag": False,
    }  # fmt: skip
    assert converted("x", "--names", "a", "--names", "")["names"] == ["a", ""]
    given = ["--fruit", "apple", "--path", str(tmp_path), "--flag"]
    more = ["--size", "7", "--names", "a", "--names", "b", "--double", "1.5"]
    assert converted("-", *given, *more) == {
        "text": "-", "fruit": Fruit.APPLE, "path": tmp_path, "size": 7, "names": ["a", "b"],
        "double": 3.0, "flag": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--fruit", "plum"], "'plum' is not one of 'apple', 'pear'"),
        (["x", "--size", "0"], "greater than or equal to 1"),
        (["x", "--path", "a\0b"], "null"),
        ([], "Missing argument"),
    ],
)
def test_mistakes_are_told_as_typer_tells_them(arguments: list[str], message: str) -> None:
    with pytest.raises(typer.TyperException) as raised:
        converted(*arguments)
    assert message in raised.value.format_message()
