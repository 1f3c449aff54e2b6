"""Writing to standard output and standard error: exact bytes, guarded text, JSON.

Everything that a command prints goes through here, as UTF-8 in every locale. `decreed.cli.shell.shown`
defines how foreign text is shown; text that was not escaped there is guarded here.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from .shown import escape_hidden, escape_json


class OutputClosed(Exception):
    """The reader of our output has gone, as ``head`` does; nothing more can be printed."""


class OutputLost(Exception):
    """Standard output is closed, or a write to it failed; the text says why."""


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output unchanged.

    Raises:
        OutputClosed: if its reader has gone.
        OutputLost: if it is closed, or its disk is full.
    """
    if sys.stdout is None:
        raise OutputLost("it is closed")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        send_the_rest_nowhere()
        raise OutputClosed from error
    except OSError as error:
        send_the_rest_nowhere()
        raise OutputLost(error.strerror or str(error)) from error


def write_line(text: str) -> None:
    """Write text and a newline to standard output; its newlines are kept, other controls escaped."""
    write_text(escape_hidden(text, keep="\n\t"))


def write_text(text: str) -> None:
    """Write text and a newline to standard output, as it is."""
    write_bytes(text.encode("utf-8", "surrogateescape") + b"\n")


def write_json(document: Any) -> None:
    """Write one JSON document, on one line, to standard output."""
    write_line(to_json(document))


def write_error(text: str) -> None:
    """Write text and a newline to standard error; dropped if that is closed."""
    try:
        sys.stderr.buffer.write(escape_hidden(text, keep="\n\t").encode() + b"\n")
        sys.stderr.buffer.flush()
    except OSError:
        pass


def progress_writer(*, as_json: bool) -> Callable[[str], None]:
    """What tells a person how a command goes on; a program that reads JSON is told nothing."""
    return _silent if as_json else write_error


def _silent(text: str) -> None:
    """Say nothing."""


def to_json(document: Any) -> str:
    """One line of JSON; text stays readable, and terminal control characters are escaped."""
    return escape_json(json.dumps(document, ensure_ascii=False))


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def send_the_rest_nowhere() -> None:
    """Redirect standard output, since Python flushes it at exit and that must not fail again."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
