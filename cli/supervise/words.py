"""Checks of the command that ``lock run``, ``elect`` and ``once`` are to run, before they run it.

A missing program is reported before a lock is acquired or a key is frozen for it. Two more mistakes are
recognised: a shell command line given as one word, and a forgotten ``--``, without which an option of
the command would be used as one of ours, or its own ``--`` be dropped.
"""

import os
import re
import shlex
import shutil
from collections.abc import Container, Sequence

from ...registry.errors import BadRequest
from ..shell.failures import CommandFailed
from .exits import RunExit

_OF_A_SHELL = re.compile(r"[\s|&;<>()$`\"'*?\[\]{}~#]")
_SETTING = re.compile(r"[A-Za-z_]\w*=")
_CHECK = "check that it is a file with the right to be run"
_WORDS_BEFORE = 2
"""NAME or KEY, and the first word of the command."""


def refused(command: Sequence[str], as_json: bool) -> int | None:
    """The exit code if the command cannot be run, after an error message; None if it can."""
    program = command[0]
    trouble = _trouble(program)
    if trouble is None:
        return None
    code, cause = trouble
    hint = _hint(command) if code == RunExit.NOT_FOUND else _CHECK
    failure = CommandFailed(BadRequest(cause), program or "''", hint)
    failure.exit_code = code
    failure.report(as_json)
    return code


def _hint(command: Sequence[str]) -> str:
    """A suggestion for a command that does not exist."""
    if _SETTING.match(command[0]):
        return f"to set a variable for it, write: -- env {shlex.join(command)}"
    if _OF_A_SHELL.search(command[0]):
        return f"for a shell to read it, write: -- sh -c {shlex.quote(' '.join(command))}"
    return "check its name, and PATH"


def _trouble(program: str) -> tuple[int, str] | None:
    """Why a program cannot be run, if that is known before trying."""
    if shutil.which(program) is not None:
        return None
    if os.sep not in program or not os.path.exists(program):
        return RunExit.NOT_FOUND, "there is no such program"
    return RunExit.CANNOT_RUN, "it is no program that may be run"


def check_separator(command: str, words: Sequence[str], valued: Container[str]) -> None:
    """Refuse options that were probably meant for the other command.

    Args:
        command: the name of our command.
        words: the words after it.
        valued: its options that take a value.

    Raises:
        CommandFailed: if a word that looks like an option comes after the other command, without a
            ``--`` before that; exit code 2.
    """
    word = misplaced(words, valued)
    if word is not None:
        cause = BadRequest(f"{word} comes after the command, with no -- before it")
        way_out = f"write -- before the command: decreed {command} NAME -- CMD …"
        raise CommandFailed(cause, "usage", way_out)


def misplaced(arguments: Sequence[str], valued: Container[str]) -> str | None:
    """The first option or ``--`` after the first word of a command without a ``--`` before it.

    Args:
        arguments: those of our command.
        valued: our options that take a value.
    """
    words = 0
    rest = iter(arguments)
    for argument in rest:
        if argument.startswith("-") and argument != "-":
            if words >= _WORDS_BEFORE:
                return argument
            if argument == "--":
                return None
            if argument in valued:
                next(rest, None)
        else:
            words += 1
    return None
