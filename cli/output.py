"""Writing to standard output and standard error: exact bytes, safe text, JSON.

Everything that a command prints goes through here, as UTF-8 whatever the locale says. Text from the
cluster is shown with control characters escaped, so that no value can steer a terminal.
"""

import json
import os
import re
import sys
from typing import Any

SHOWN_CHARS = 200

# C0 and C1 controls, line and paragraph separators, lone surrogates, and the marks that turn the
# direction of writing around
_UNSAFE = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE_IN_LINE = re.compile(f"[{_UNSAFE}]")
_UNSAFE_IN_TEXT = re.compile(f"(?![\t\n])[{_UNSAFE}]")


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
    """Write one line of text to standard output."""
    write_bytes(text.encode("utf-8", "surrogateescape") + b"\n")


def write_json(document: Any) -> None:
    """Write one JSON document, on one line, to standard output."""
    write_line(to_json(document))


def write_error(text: str) -> None:
    """Write one line to standard error; if that is closed, nobody is told."""
    try:
        sys.stderr.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")
        sys.stderr.buffer.flush()
    except OSError:
        pass


def to_json(document: Any) -> str:
    """One line of JSON; text stays readable, and what could steer a terminal is escaped."""
    text = json.dumps(document, ensure_ascii=False)
    return _UNSAFE_IN_LINE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def safe_text(data: bytes) -> str:
    """Bytes for people to read, lines kept; what is not text is shown as escapes."""
    return _UNSAFE_IN_TEXT.sub(_escape, data.decode("utf-8", "backslashreplace"))


def safe_line(data: bytes | str, most: int = SHOWN_CHARS) -> str:
    """Bytes or text for people to read, on one line, cut when long."""
    whole = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
    line = _UNSAFE_IN_LINE.sub(_escape, whole[: most + 1])
    return f"{line[:most]}… ({len(data)} {_unit(data)})" if len(whole) > most else line


def _unit(data: bytes | str) -> str:
    return "bytes" if isinstance(data, bytes) else "characters"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def send_the_rest_nowhere() -> None:
    """Python flushes standard output once more when it exits; that must not fail again."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
