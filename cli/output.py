"""Writing to standard output and standard error: exact bytes, guarded text, JSON.

Everything that a command prints goes through here, as UTF-8 whatever the locale says. How foreign
text is shown is `decreed.cli.shown`'s to say; what nobody made fit to be looked at is guarded here.
"""

import json
import os
import sys
from typing import Any

from .shown import guard, guard_json


class OutputClosed(Exception):
    """Whoever read our output has gone, as ``head`` does; there is nobody to tell."""


class OutputLost(Exception):
    """Standard output is closed, or cannot take what is written to it; the text says why."""


def write_bytes(data: bytes) -> None:
    """Write to standard output, with nothing added.

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
    """Write text and a newline to standard output; newlines inside are meant, controls are not."""
    write_text(guard(text, keep="\n\t"))


def write_text(text: str) -> None:
    """Write text and a newline to standard output, as it is."""
    write_bytes(text.encode("utf-8", "surrogateescape") + b"\n")


def write_json(document: Any) -> None:
    """Write one JSON document, on one line, to standard output."""
    write_line(to_json(document))


def write_error(text: str) -> None:
    """Write text and a newline to standard error; if that is closed, nobody is told."""
    try:
        sys.stderr.buffer.write(guard(text, keep="\n\t").encode() + b"\n")
        sys.stderr.buffer.flush()
    except OSError:
        pass


def to_json(document: Any) -> str:
    """One line of JSON; text stays readable, and what could steer a terminal is escaped."""
    return guard_json(json.dumps(document, ensure_ascii=False))


def is_terminal() -> bool:
    """Whether somebody looks at standard output."""
    return sys.stdout is not None and sys.stdout.isatty()


def send_the_rest_nowhere() -> None:
    """Python flushes standard output once more when it exits; that must not fail again."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
