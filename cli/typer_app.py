"""The commands for Typer, which writes the help and error messages, and completes.

Only Typer's public names are used, and nothing of it is patched, so that other versions of it work;
command lines are parsed without it (`line`).
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from .declared import for_typer
from .entry import Entry
from .root import root
from .summaries import GROUP_HELP
from .table import COMMANDS, GROUPS, commands_under

# the same everywhere: `front` has taken help out of a line before Typer sees it
HELP_NAMES = {"help_option_names": ["-h", "--help"]}
_ORDER = [*(entry.name for entry in COMMANDS), *GROUPS]


class InOrder(TyperGroup):
    """A group that shows its commands in the order of the table."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


class Plain(TyperCommand):
    """A command whose usage shows an argument as its metavar says it, without signs of Typer's own."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage behind the command's name."""
        return [_unwrapped(piece) for piece in super().collect_usage_pieces(ctx)]


def _unwrapped(piece: str) -> str:
    """``{KEY}`` is ``KEY``, and ``[[PREFIX]]`` is ``[PREFIX]``."""
    word = piece.removesuffix("...")
    if word.startswith("{") and word.endswith("}"):
        return word[1:-1]
    return word[1:-1] if word.startswith("[[") and word.endswith("]]") else piece


def run_command(path: Sequence[str], entry: Entry, words: Sequence[str]) -> Any:
    """Have Typer run one command, and return what it returns.

    Args:
        path: the words of the command, such as ``lock run``.
        entry: its entry in the table.
        words: the words after its name.

    Raises:
        typer.TyperException: if the line is wrong.
    """
    # without its group, since Typer loads pydantic for a group's own options
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    _add(app, entry, _loaded)
    return app(args=list(words), prog_name=" ".join(("decreed", *path)), standalone_mode=False)


def run_group(path: Sequence[str], words: Sequence[str]) -> Any:
    """Have Typer run the program, or one of its groups, with only its own options."""
    app = _inner_group(path[0], _not_loaded) if path else _program(_not_loaded)
    return app(args=list(words), prog_name=" ".join(("decreed", *path)), standalone_mode=False)


def completing_app(wanted: Entry | None) -> typer.Typer:
    """All commands by name, with the parameters of the one on the line, for completion."""
    return _program(lambda entry: _loaded(entry) if entry is wanted else _not_loaded(entry))


def _program(load: Callable[[Entry], Callable[..., object]]) -> typer.Typer:
    app = _group(root, InOrder, completion=True)
    for entry in COMMANDS:
        _add(app, entry, load)
    for name in GROUPS:
        app.add_typer(_inner_group(name, load), name=name)
    return app


def _inner_group(name: str, load: Callable[[Entry], Callable[..., object]]) -> typer.Typer:
    group = _group(_saying(GROUP_HELP[name]))
    for entry in commands_under([name]):
        _add(group, entry, load)
    return group


def _group(
    help_of: Callable[..., None], kind: type[TyperGroup] | None = None, completion: bool = False
) -> typer.Typer:
    group = typer.Typer(
        cls=kind,
        add_completion=completion,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=HELP_NAMES,
    )
    group.callback(invoke_without_command=True)(help_of)
    return group


def _add(group: typer.Typer, entry: Entry, load: Callable[[Entry], Callable[..., object]]) -> None:
    declare = group.command(entry.name, cls=Plain, epilog=entry.epilog, context_settings=HELP_NAMES)
    declare(load(entry))


def _loaded(entry: Entry) -> Callable[..., object]:
    return stand_in(entry.load())


def _not_loaded(entry: Entry) -> Callable[..., object]:
    return _saying(entry.summary)


def _saying(text: str) -> Callable[..., None]:
    """A function that does nothing, with this docstring."""

    def nothing() -> None: ...

    nothing.__doc__ = text
    return nothing


def stand_in(function: Callable[..., int]) -> Callable[..., int]:
    """A function that does the same, whose parameters are declared to Typer."""
    signature = inspect.signature(function)
    parameters = [for_typer(each) for each in signature.parameters.values()]

    def call(**values: Any) -> int:
        return function(**values)

    call.__name__, call.__doc__ = function.__name__, function.__doc__
    call.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": int}
    vars(call)["__signature__"] = signature.replace(parameters=parameters)
    return call
