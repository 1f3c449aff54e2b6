"""The front door: finds the command, handles help, and the options before the command.

Rules kept here:

* ``-h`` and ``--help`` mean help anywhere, except after ``--``.
* Global options (cluster, claimant, timeout, output) are accepted before the command too. An option
  that the command does not have is ignored; it is an error if it names a place, for a command that
  goes to one.
* Words that other programs use for changing or deleting get an explanation: nothing is ever deleted.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from ..registry.errors import BadRequest, Exit
from .declared import Parameter, parameters_of
from .early import GLOBAL_VALUES
from .entry import Entry
from .line import (
    CommandLine,
    is_dashed,
    meant,
    mistake,
    next_value,
    no_such_option,
    see_help,
    split,
    values,
)
from .shell.failures import CommandFailed
from .table import COMMANDS, GROUPS, commands_under

HELP = ("-h", "--help")
VERSION = ("-V", "--version")
COMPLETION = ("--install-completion", "--show-completion")
PLACES = ("--endpoints", "--context")
GLOBALS = (*GLOBAL_VALUES, "--json")

_FROZEN = "nothing is ever changed or deleted: the first claim of a key freezes it"
_CLAIM = "'decreed claim KEY VALUE' freezes a key; 'decreed next SERIES VALUE' adds a version"
ANSWERS = {
    **dict.fromkeys(("put", "set", "write", "create", "add"), _CLAIM),
    **dict.fromkeys(
        ("update", "edit", "replace", "patch", "cas"),
        "'decreed next SERIES VALUE' adds a version to a series, 'decreed latest SERIES' reads it",
    ),
    **dict.fromkeys(
        ("rm", "delete", "del", "unset", "remove", "drop", "unclaim"),
        "a key stays; claim another one, or the next slot of a series with 'decreed next'",
    ),
}


@dataclass(frozen=True)
class Command:
    """A command on a command line.

    Args:
        path: its words, such as ``lock run``.
        entry: its entry in the table.
        rest: the words after it.
    """

    path: tuple[str, ...]
    entry: Entry
    rest: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name, for messages."""
        return " ".join(self.path)


def run_line(words: Sequence[str]) -> int:
    """Run a command line, and return its exit code.

    Raises:
        CommandFailed: if it is not understood; exit code 2.
        DecreedError, typer.TyperException: errors of the command or of Typer.
    """
    before, rest = take_globals(list(words))
    if before and not rest:
        raise mistake("there is no command after the options", "see 'decreed --help'")
    if not rest or rest[0] in (*HELP, *COMPLETION):
        return _root(rest)
    if rest[0] in VERSION:
        rest[0] = "version"
    if rest[0] == "help":
        return explain(rest[1:])
    found = find(rest)
    if isinstance(found, int):
        return found
    if found.entry.runs_another:
        _check_separator(found)
    if _wants_help(found.rest):
        return _help(found.path, found.entry)
    return _run(found, before)


def explain(words: Sequence[str]) -> int:
    """``decreed help …``: the help of the command that `words` name."""
    path = [word for word in words if word not in HELP]
    if not path:
        return _help((), None)
    found = find(path, ("--help",))
    return found if isinstance(found, int) else _help(found.path, found.entry)


def find(words: Sequence[str], group_rest: Sequence[str] = ()) -> Command | int:
    """The command that `words` begin with; for a group, shows its help and returns an exit code.

    Raises:
        CommandFailed: if there is no such command; exit code 2.
    """
    name, *rest = words
    if name not in GROUPS:
        return Command((name,), _entry(name, COMMANDS, (*GROUPS, "help")), tuple(rest))
    if not rest or rest[0] in HELP:
        _help((name,), None)
        return Exit.DONE if rest or group_rest else Exit.BAD_REQUEST
    inner, *rest = rest
    entry = _entry(inner, commands_under([name]), (), f"{name} ")
    return Command((name, inner), entry, tuple(rest))


def named(words: Sequence[str]) -> str:
    """The name of the command that `words` begin with, such as ``lock run``; empty for no command."""
    length = 2 if words[:1] and words[0] in GROUPS else 1
    known = commands_under(words[: length - 1])
    path = words[:length]
    return " ".join(path) if any(entry.name in path[-1:] for entry in known) else ""


def _root(rest: Sequence[str]) -> int:
    if rest and rest[0] in COMPLETION:
        from .typer_app import run_group

        result = run_group((), rest)
        return result if isinstance(result, int) else Exit.DONE
    _help((), None)
    return Exit.DONE if rest else Exit.BAD_REQUEST


def take_globals(words: list[str]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """The global options before the command, and the words from the command on."""
    before: list[tuple[str, str | None]] = []
    while words and is_dashed(words[0]) and words[0] not in (*HELP, *VERSION, *COMPLETION):
        word = words.pop(0)
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name in GLOBAL_VALUES:
            before.append((name, value if equals else next_value(name, words)))
        elif name == "--json" and not equals:
            before.append((name, None))
        else:
            known = (*GLOBALS, "--help", "--version")
            message = f"there is no option {name} before the command{meant(name, known)}"
            raise mistake(message, "options of a command come after its name")
    return before, words


def _entry(name: str, entries: Sequence[Entry], more: Sequence[str], group: str = "") -> Entry:
    by_name = {entry.name: entry for entry in entries}
    if name in by_name:
        return by_name[name]
    if is_dashed(name):
        raise no_such_option(group.strip(), name, (), False)
    if not group and name in ANSWERS:
        _answer(name)
    known = (*by_name, *more)
    raise mistake(f"No such command '{group}{name}'{meant(name, known)}", see_help(group.strip()))


def _answer(name: str) -> NoReturn:
    raise CommandFailed(BadRequest(f"there is no '{name}', for {_FROZEN}"), "usage", ANSWERS[name])


def _wants_help(words: Sequence[str]) -> bool:
    before = words[: words.index("--")] if "--" in words else words
    return any(word in HELP for word in before)


def _check_separator(command: Command) -> None:
    from .supervise.words import check_separator

    parameters = parameters_of(command.entry.load())
    valued = {name for each in parameters if not each.is_flag for name in each.options}
    check_separator(command.name, command.rest, valued)


def _help(path: tuple[str, ...], entry: Entry | None) -> int:
    from .typer_app import run_command, run_group

    if entry is None:
        run_group(path, ["--help"])
    else:
        run_command(path, entry, ["--help"])
    return Exit.DONE


def _run(command: Command, before: Sequence[tuple[str, str | None]]) -> int:
    function = command.entry.load()
    parameters = parameters_of(function)
    line = split(command.name, command.rest, parameters)
    line = CommandLine((*_heeded(command, before, parameters), *line.options), line.arguments)
    plain = values(line, parameters, os.environ)
    if plain is not None:
        return function(**plain)
    from .typer_app import run_command

    result = run_command(command.path, command.entry, line.canonical())
    return result if isinstance(result, int) else Exit.DONE


def _instead(command: Command, name: str) -> str:
    """What to write instead of a place that the command has no option for."""
    if command.path == ("context", "use") and name == "--context":
        return "write 'decreed context use NAME'"
    return "leave it out" if command.path[0] == "context" else ""


def _heeded(
    command: Command, before: Sequence[tuple[str, str | None]], parameters: Sequence[Parameter]
) -> list[tuple[Parameter, str | None]]:
    """The options before the command that the command has."""
    by_name = {name: each for each in parameters for name in each.options}
    goes_somewhere = command.path[0] == "context" or any(name in by_name for name in PLACES)
    for name, _ in before:
        if name in PLACES and goes_somewhere and name not in by_name:
            raise mistake(f"'{command.name}' has no option {name}", _instead(command, name))
    return [(by_name[name], value) for name, value in before if name in by_name]
