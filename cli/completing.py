"""Completion at the shell's prompt: keys come from the cluster, Typer completes everything else.

The shells call the program through the scripts that ``--install-completion`` installs. Their interface
is fixed, since the scripts are in users' files already. Keys are completed here, without Typer, so that
the answer is fast. The request to the cluster is bounded in time and in the number of keys; after any
error nothing is printed.
"""

import os
import re
import shlex
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from .declared import Parameter, parameters_of
from .early import command_words
from .entry import Entry
from .front import take_globals
from .line import CommandLine, split
from .shell.failures import CommandFailed
from .shell.output import write_line
from .table import GROUPS, commands_under

SHELLS = ("bash", "zsh", "fish")
# the characters in keys at which bash begins a new word
BREAKS = ":=@"
_BROKEN = re.compile(rf"[^{BREAKS}]*\Z")

Complete = Callable[[str], list[str]]


class Typed(NamedTuple):
    """The words on the command line.

    Args:
        words: the words before the one that is to be completed, without the program's name.
        incomplete: the beginning of that one.
    """

    words: tuple[str, ...]
    incomplete: str


def run_completion(instruction: str, environ: Mapping[str, str]) -> int:
    """Answer a shell that completes a line; returns the exit code.

    Args:
        instruction: the shell's request, such as ``complete_bash``.
        environ: holds the command line.
    """
    shell = instruction.removeprefix("complete_")
    typed = typed_in(shell, environ) if shell in SHELLS else Typed((), "")
    wanted = _wanted(typed)
    if wanted is None:
        return _leave_to_typer(typed)
    complete, line = wanted
    if shell == "fish" and environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        return 0  # a key is wanted rather than a file
    with _heeded(line):
        found = complete(typed.incomplete)
    if found:
        write_line(_shown(shell, found, typed.incomplete))
    return 0


def typed_in(shell: str, environ: Mapping[str, str]) -> Typed:
    """The command line, from the variables of a shell."""
    if shell == "bash":
        words = _words(environ.get("COMP_WORDS", ""))
        count = environ.get("COMP_CWORD", "")
        place = int(count) if count.isascii() and count.isdigit() else len(words)
        current = words[place] if place < len(words) else ""
        whole = _rejoined([*words[1:place], current])
        return Typed(tuple(whole[:-1]), whole[-1])
    text = environ.get("_TYPER_COMPLETE_ARGS", "")
    words = _words(text)[1:]
    if not words or text.endswith(" "):
        return Typed(tuple(words), "")
    return Typed(tuple(words[:-1]), words[-1])


def _words(text: str) -> list[str]:
    """The words of a line that may end within a quoted one."""
    reader = shlex.shlex(text, posix=True)
    reader.whitespace_split, reader.commenters = True, ""
    words: list[str] = []
    try:
        words.extend(reader)
    except ValueError:
        words.append(reader.token)
    return words


def _rejoined(pieces: Sequence[str]) -> list[str]:
    """The words that bash has split, joined again: ``s``, ``@``, ``1`` is ``s@1``."""
    words: list[str] = []
    for piece in pieces:
        broken = words and (piece[:1] in BREAKS or words[-1][-1:] in BREAKS)
        if broken and piece[:1] and words[-1]:
            words[-1] += piece
        else:
            words.append(piece)
    return words


def _wanted(typed: Typed) -> tuple[Complete, CommandLine] | None:
    """The function that completes the word, if it is one of ours, and the line before the word."""
    try:
        before, rest = take_globals(list(typed.words))
        path, entry = _command(rest)
        if entry is None:
            return None
        parameters = parameters_of(entry.load())
        by_name = {name: each for each in parameters for name in each.options}
        line = split(entry.name, rest[len(path) :], parameters)
    except CommandFailed:
        return None
    if typed.incomplete.startswith("-") and "--" not in rest:
        return None
    told = [(by_name[name], value) for name, value in before if name in by_name]
    parameter = _argument(parameters, len(line.arguments))
    complete: Complete | None = parameter.setting("autocompletion") if parameter else None
    return (complete, CommandLine((*told, *line.options), line.arguments)) if complete else None


def _argument(parameters: Sequence[Parameter], place: int) -> Parameter | None:
    arguments = [each for each in parameters if not each.is_option]
    return arguments[place] if place < len(arguments) else None


def _command(words: Sequence[str]) -> tuple[Sequence[str], Entry | None]:
    """The path of the command that `words` begin with, and its entry, if there is one."""
    group = words[:1] if words and words[0] in GROUPS else ()
    path = words[: len(group) + 1]
    table = commands_under(group)
    return path, next((each for each in table if path and each.name == path[-1]), None)


@contextmanager
def _heeded(line: CommandLine) -> Generator[None]:
    """Options of the line about the cluster take precedence over variables, as for the command."""
    said = {
        variable: value
        for parameter, value in line.options
        if value is not None and isinstance(variable := parameter.setting("envvar"), str)
    }
    before = dict(os.environ)
    os.environ.update(said)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _shown(shell: str, found: Sequence[str], incomplete: str) -> str:
    """The completions in the form that the shell's script expects."""
    if shell == "zsh":
        quoted = "\n".join(f'"{each.replace(":", chr(92) * 2 + ":")}"' for each in found)
        return f"_arguments '*: :(({quoted}))'"
    if shell == "bash":
        # bash replaces what follows the last of its breaks
        kept = len(_BROKEN.sub("", incomplete))
        return "\n".join(each[kept:] for each in found)
    return "\n".join(found)


def _leave_to_typer(typed: Typed) -> int:
    from .typer_app import completing_app

    _, entry = _command(list(command_words(typed.words)))
    completing_app(entry)(args=[], prog_name="decreed")
    return 0
