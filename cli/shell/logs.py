"""Logs of a serving node: text for people or JSON lines for machines, on standard error.

Parts log events with facts (`decreed.registry.server.log`), and trio logs in its own way. This module
sets up the output of both, once, when a node starts. Logging never waits for the reader of the log
(`unblocking`).
"""

import io
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from math import isfinite
from typing import Any, TextIO, cast

from .output import to_json
from .shown import one_line
from .unblocking import Unblocking, to_descriptor

LOGGERS = ("decreed", "trio")
LONGEST = 10_000
"""The most characters of an event or a fact; a peer's text may be long."""

_WIDTH = 30
_PLAIN = re.compile(r"[^\s\"'=]+")
_BOLD, _FAINT, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_COLOURS = {"INFO": "\x1b[32m", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m"}


class LogForm(Enum):
    """The format of log lines."""

    TEXT = "text"
    JSON = "json"


class LogLevel(Enum):
    """The lowest level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Unfailing:
    """A stream that ignores failures: a full disk for logs must not end a node.

    Args:
        stream: where the lines go if it works.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text`, or drop it on a failure."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that works."""
        with suppress(OSError):
            self._stream.flush()


class JsonLines(logging.Formatter):
    """Each event as a JSON object on a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`; values that JSON cannot hold are written as by Python."""
        facts = {
            name: value if _is_json(value) else str(value) for name, value in _facts(record).items()
        }
        about = {"event": record.getMessage(), "level": _level(record), "timestamp": _time(record)}
        return to_json(facts | about)


class TextLines(logging.Formatter):
    """Each event as a line for people.

    Args:
        coloured: whether the output is a terminal.
    """

    def __init__(self, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`: time, level, event, and the facts in order of name."""
        facts = [f"{name}={_shown(value)}" for name, value in sorted(_facts(record).items())]
        event = one_line(record.getMessage(), LONGEST)
        level = self._in(_COLOURS.get(record.levelname, ""), f"{_level(record):<9}")
        event = self._in(_BOLD, f"{event:<{_WIDTH}}" if facts else event)
        return " ".join([self._in(_FAINT, _time(record)), f"[{level}]", event, *facts])

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._coloured else text


class Lines(logging.StreamHandler[TextIO]):
    """Writes lines, and waits a little for queued ones when the process ends."""

    def close(self) -> None:
        """Write the queued lines, for a limited time."""
        if isinstance(self.stream, Unblocking):
            self.stream.drain()
        super().close()


def _target() -> TextIO:
    """Standard error; through a thread of its own if it is a file or a pipe, which may block."""
    try:
        number = sys.stderr.fileno()
    except (AttributeError, OSError, io.UnsupportedOperation):
        return cast(TextIO, Unfailing(sys.stderr))
    sys.stderr.flush()
    return cast(TextIO, Unblocking(to_descriptor(number)))


def set_up_logs(form: LogForm, level: LogLevel) -> None:
    """Send all logs of this process to standard error, with the time in UTC."""
    handler = Lines(_target())
    json = form is LogForm.JSON
    handler.setFormatter(JsonLines() if json else TextLines(sys.stderr.isatty()))
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level.name)


def _is_json(value: object) -> bool:
    """Whether JSON can hold it."""
    return isinstance(value, str | int | None) or (isinstance(value, float) and isfinite(value))


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    """The facts of an event; for trio's records the logger's name. An error has its traceback."""
    found: Mapping[str, Any] | None = getattr(record, "facts", None)
    facts = {"part": record.name} if found is None else found
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return facts
    lines = "".join(traceback.format_exception(error))
    return {"reason": str(error) or type(error).__name__, **facts, "traceback": lines}


def _level(record: logging.LogRecord) -> str:
    return record.levelname.lower()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _shown(value: object) -> str:
    """A fact on a line for people, quoted if its end would not be visible otherwise."""
    text = str(value)
    return one_line(text if _PLAIN.fullmatch(text) else repr(text), LONGEST)
