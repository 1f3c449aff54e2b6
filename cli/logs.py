"""Structured logs of a serving node: text for people or JSON lines for machines, on standard error.

Parts log through ``structlog.get_logger()``; this module decides what becomes of it, once, when a
node starts.
"""

import logging
import sys
from contextlib import suppress
from enum import Enum
from typing import Any, TextIO, cast

import structlog


class LogForm(Enum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class LogLevel(Enum):
    """The least weighty lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Forward(logging.Handler):
    """Lines of libraries that log in their own way, trio's of failed accepts, become ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record's message, and the error behind it in one line."""
        error = record.exc_info[1] if record.exc_info else None
        facts = {"reason": str(error) or type(error).__name__} if error is not None else {}
        structlog.get_logger().log(record.levelno, record.getMessage(), part=record.name, **facts)


class Unfailing:
    """A stream whose failures are nobody's: a full disk for logs must not end a node.

    Args:
        stream: where the lines go as long as they can.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text`, or lose it."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that can be done."""
        with suppress(OSError):
            self._stream.flush()


def set_up_logs(form: LogForm, level: LogLevel) -> None:
    """Send all logs of this process to standard error, with the time in UTC."""
    least = logging.getLevelNamesMapping()[level.name]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_last(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, Unfailing(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    library = logging.getLogger("trio")
    library.handlers, library.propagate = [Forward()], False


def _last(form: LogForm) -> list[Any]:
    """The processors that turn a line's fields into text."""
    if form is LogForm.JSON:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
