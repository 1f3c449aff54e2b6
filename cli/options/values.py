"""Values on the command line, and their exact bytes.

``-`` is standard input and ``@FILE`` the bytes of a file; ``@@x`` is the text ``@x``. Anything else is
the text itself; with ``--literal`` everything is. No newline is added or removed.

A value that begins with a dash is a number, such as ``-5``, or comes after ``--``: see `line`.
"""

import os
import sys
from typing import Annotated, BinaryIO

from ...registry.config import MIB
from ...registry.errors import BadRequest
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, reading

LARGEST_VALUE = 64 * MIB

ValueText = Annotated[
    str,
    typer.Argument(
        metavar="VALUE|-|@FILE",
        help="The value: text, - for standard input, @FILE for a file's bytes; @@x is the text @x.",
    ),
]
Literal = Annotated[
    bool, typer.Option("--literal", help="Take VALUE as text, even if it is - or starts with @.")
]


def value_bytes(text: str, literal: bool) -> bytes:
    """The exact bytes of the value that `text` denotes."""
    if literal:
        return os.fsencode(text)
    if text == "-":
        return _not_empty(read_standard_input(), "standard input")
    if text.startswith("@") and not text.startswith("@@"):
        return _not_empty(read_file(text[1:]), text[1:])
    return os.fsencode(text.removeprefix("@") if text.startswith("@@") else text)


def _not_empty(data: bytes, source: str) -> bytes:
    """The data, unless it is empty: a program before the pipe may have failed.

    Raises:
        CommandFailed: if it is empty; a mistake would be frozen permanently.
    """
    if not data:
        reason = BadRequest("it is empty, so nothing was frozen")
        raise CommandFailed(reason, source, "to freeze an empty value write ''")
    return data


def read_file(path: str) -> bytes:
    """The bytes of a file; exit code 2 if it cannot be read or is larger than a value may be."""
    with reading(path), open(path, "rb") as file:
        return _bounded(file, path)


def payload(data: bytes) -> str | bytes:
    """`data` for the client: a str if it is UTF-8, so that its content type is text."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def read_standard_input() -> bytes:
    """All of standard input; exit code 2 if it is closed or larger than a value may be."""
    name = "standard input"
    if sys.stdin is None:
        raise CommandFailed(BadRequest("it is closed"), name, "give it something to read")
    with reading(name):
        return _bounded(sys.stdin.buffer, name)


def _bounded(file: BinaryIO, name: str) -> bytes:
    data = file.read(LARGEST_VALUE + 1)
    if len(data) > LARGEST_VALUE:
        error = BadRequest(f"more than {LARGEST_VALUE} bytes, which no cluster takes")
        raise CommandFailed(error, name, "freeze a smaller value, such as its digest")
    return data
