"""A line that is parsed here means the same to Typer, in every version of it."""

import ast
import contextlib
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer as real
from hypothesis import given
from hypothesis import strategies as st

from decreed.cli.declared import REQUIRED, Parameter, parameters_of
from decreed.cli.entry import Entry
from decreed.cli.line import Told, split, values
from decreed.cli.options import types as o
from decreed.cli.shell.deferred import typer
from decreed.cli.shell.failures import CommandFailed
from decreed.cli.table import COMMANDS, GROUPS
from decreed.cli.typer_app import stand_in

from .fakes import Cli

ENTRIES = [*COMMANDS, *(entry for inner in GROUPS.values() for entry in inner)]
CLI = Path(__file__).parent.parent.parent / "cli"


class Fruit(Enum):
    APPLE = "apple"
    PEAR = "pear"


def doubled(text: str) -> float:
    return 2 * float(text)


def quiet(told: Told, value: bool) -> bool:
    by_variable = getattr(told.get_parameter_source("flag"), "name", "") == "ENVIRONMENT"
    return value and not by_variable


def command(
    text: Annotated[str, typer.Argument()],
    rest: Annotated[list[str] | None, typer.Argument()] = None,
    fruit: Annotated[Fruit, typer.Option(envvar="FRUIT")] = Fruit.PEAR,
    path: Annotated[Path | None, typer.Option()] = None,
    size: Annotated[int, typer.Option("--size", min=1, max=9, envvar="SIZE")] = 3,
    names: Annotated[list[str] | None, typer.Option()] = None,
    double: Annotated[float | None, typer.Option(parser=doubled)] = None,
    some_word: Annotated[str | None, typer.Option(envvar="WORD")] = None,
    flag: Annotated[bool, typer.Option("--flag", envvar="FLAG")] = False,
) -> int:
    return 0


PARAMETERS = parameters_of(command)


def read(words: list[str], environ: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Our result for the line; None if it is left to Typer."""
    return values(split("x", words, PARAMETERS), PARAMETERS, environ or {})


def read_by_typer(function: Any, words: list[str]) -> dict[str, Any]:
    """Typer's result for the line in its unambiguous form."""
    given: dict[str, Any] = {}

    def take(**found: Any) -> int:
        given.update(found)
        return 0

    take.__annotations__ = function.__annotations__
    vars(take)["__signature__"] = __import__("inspect").signature(function)
    app = real.Typer(rich_markup_mode=None, add_completion=False)
    app.command()(stand_in(take))
    line = split("x", words, parameters_of(function))
    app(line.canonical(), standalone_mode=False)
    return given


def plain_lists(found: dict[str, Any]) -> dict[str, Any]:
    """Typer gives None, an empty list or an empty tuple for several values that were not given."""
    return {
        name: (list(value) or None) if isinstance(value, list | tuple) else value
        for name, value in found.items()
    }


def test_each_kind_of_parameter_is_parsed_as_typer_parses_it(tmp_path: Path) -> None:
    given = ["--fruit", "apple", "--path", str(tmp_path), "--flag", "--size", "7"]
    more = ["--names", "a", "--names", "", "--double", "1.5", "--some-word=-x"]
    for words in (["x"], ["-", *given, *more], ["-5", "b", "-", "c"], ["x", "--", "--flag", "-h"]):
        found = read(words)
        assert found is not None
        assert plain_lists(found) == plain_lists(read_by_typer(command, words))
    assert read(["-", *given, *more]) == {
        "text": "-", "rest": None, "fruit": Fruit.APPLE, "path": tmp_path, "size": 7,
        "names": ["a", ""], "double": 3.0, "some_word": "-x", "flag": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["x", "--fruit", "plum"], "--fruit"),
        (["x", "--size", "0"], "--size"),
        (["x", "--size", "10"], "--size"),
        (["x", "--size", "1.5"], "--size"),
        (["x", "--size", "٣" * 3], "--size"),
        (["x", "--path", "a\0b"], "--path"),
        (["x", "--double", "many"], "--double"),
        ([], "TEXT"),
    ],
)
def test_mistakes_are_reported_by_typer(words: list[str], named: str) -> None:
    """Typer's messages differ from version to version."""
    assert read(words) is None
    with pytest.raises(real.TyperException) as raised:
        read_by_typer(command, words)
    assert named.lower() in raised.value.format_message().lower()


def typer_names(path: Path) -> set[str]:
    """What a module uses of Typer: attributes of `typer`, and names that are imported from it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level and _is_typer(node.module or ""):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {each.name for each in node.names if _is_typer(each.name)} - {"typer"}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names |= {f"typer.{node.attr}"} if node.value.id == "typer" else set()
    return names


def _is_typer(module: str) -> bool:
    return module.partition(".")[0] == "typer"


def test_only_the_documented_names_of_typer_are_used() -> None:
    used = {name for path in CLI.rglob("*.py") for name in typer_names(path)}
    documented = {
        "Abort", "Argument", "BadParameter", "Context", "Exit", "Option", "Typer", "TyperException",
        "confirm", "core.TyperCommand", "core.TyperGroup",
    }  # fmt: skip
    assert used - {f"typer.{name}" for name in documented} == {"typer.loaded"}  # `deferred`'s own


@pytest.mark.parametrize(
    "environ",
    [
        {"FRUIT": "apple", "SIZE": "9", "WORD": "w", "FLAG": "1"},
        {"FRUIT": "", "SIZE": "", "WORD": "", "FLAG": ""},
        {"FLAG": "no"},
        {"FLAG": " TRUE "},
    ],
)
def test_variables_count_as_they_do_for_typer(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = read(["x"], environ)
    assert found is not None
    assert plain_lists(found) == plain_lists(read_by_typer(command, ["x"]))
    assert read(["x", "--fruit", "pear"], environ) != {}


@pytest.mark.parametrize("environ", [{"FRUIT": "plum"}, {"SIZE": "x"}, {"FLAG": "perhaps"}])
def test_a_wrong_variable_is_left_to_typer(environ: dict[str, str]) -> None:
    assert read(["x"], environ) is None


def test_a_callback_gets_the_source_of_each_value() -> None:
    def told(
        flag: Annotated[bool, typer.Option("--flag", envvar="FLAG", callback=quiet)] = False,
    ) -> int:
        return 0

    parameters = parameters_of(told)
    assert values(split("x", ["--flag"], parameters), parameters, {}) == {"flag": True}
    assert values(split("x", [], parameters), parameters, {"FLAG": "1"}) == {"flag": False}


WORDS = st.lists(
    st.sampled_from(
        ["x", "-", "-5", "", "a b", "--", "--flag", "--size=3", "--size", "9", "--names", "--names=-x",
         "--fruit=pear", "--fruit", "apple", "--path=.", "--double=1", "--some-word=", "é", "@x"]
    ),
    max_size=7,
)  # fmt: skip


@given(WORDS)
def test_every_line_that_is_parsed_here_means_the_same_to_typer(words: list[str]) -> None:
    with contextlib.suppress(CommandFailed):
        found = read(words)
        if found is not None:
            assert plain_lists(found) == plain_lists(read_by_typer(command, words))


def plausible_text(parameter: Parameter) -> str:
    """A text that gives an option some value."""
    least = parameter.setting("min")
    by_name = {"--endpoints": "h:1", "--format": "json", "--prefer": "nearest"}
    texts: dict[Any, str] = {int: str(5 if least is None else least), Path: ".", bool: "1"}
    if isinstance(parameter.kind, type) and issubclass(parameter.kind, Enum):
        return str(next(iter(parameter.kind)).value)
    return by_name.get(parameter.options[0]) or texts.get(parameter.kind, "1s")


def plausible(parameter: Parameter) -> str:
    """A word that gives an option some value."""
    name = parameter.options[0]
    return name if parameter.is_flag else f"{name}={plausible_text(parameter)}"


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_every_command_means_the_same_to_typer(entry: Entry) -> None:
    function = entry.load()
    parameters = parameters_of(function)
    arguments = ["a" for each in parameters if not each.is_option]
    options = [plausible(each) for each in parameters if each.is_option]
    for words in ([*arguments, *options], [*options, *arguments]):
        found = values(split("x", words, parameters), parameters, {})
        if found is not None:
            assert plain_lists(found) == plain_lists(read_by_typer(function, words))
        else:
            read_by_typer(function, words)


def least_words(parameters: Sequence[Parameter]) -> list[str]:
    """The words after a command that it needs."""
    needed = [each for each in parameters if each.is_option and each.default is REQUIRED]
    return [*("a" for each in parameters if not each.is_option), *map(plausible, needed)]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_every_variable_of_every_command_means_the_same_to_typer(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = entry.load()
    parameters = parameters_of(function)
    having = [each for each in parameters if each.setting("envvar")]
    every = {each.setting("envvar"): plausible_text(each) for each in having}
    least = least_words(parameters)
    lines = [least, [*least, "--json"]] if "DECREED_JSON" in every else [least]
    ones = [{name: text} for name, text in every.items()]
    for environ in (every, *ones, dict.fromkeys(every, "")):
        with monkeypatch.context() as patch:
            for name, text in environ.items():
                patch.setenv(name, text)
            for words in lines:
                found = values(split("x", words, parameters), parameters, environ)
                by_typer = read_by_typer(function, words)
                assert found is None or plain_lists(found) == plain_lists(by_typer)
                assert found is not None or any(each.is_many for each in having)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_wrong_variable_of_a_command_is_named_in_the_error(
    cli: Cli, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = [name for name, inner in GROUPS.items() if entry in inner] + [entry.name]
    parameters = parameters_of(entry.load())
    for each in parameters:
        parsed = each.is_flag or each.kind is int or each.setting("parser") is o.parse_duration
        variable = each.setting("envvar")
        if variable and parsed and each.default is not REQUIRED:
            with monkeypatch.context() as patch:
                patch.setenv(variable, "no such thing")
                result = cli(*path, *least_words(parameters))
            assert result.code in (2, 125) and variable in result.err
