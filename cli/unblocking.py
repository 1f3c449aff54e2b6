"""Standard error for the lines of a log, such that who writes them never waits.

A pipe whose reader has stopped takes nothing more, and a plain write to it would stop the node. So
lines are queued, within a bound, and a thread of its own writes them. What does not fit is lost and
counted, and the log says how many lines were.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

MAX_QUEUED_CHARS = 1024 * 1024
AT_END_S = 2.0
"""So long lines are still written when the process ends."""


class Unblocking:
    """Takes lines at once and writes them when that can be done; a failure to write is nobody's.

    Args:
        write: writes bytes and may take forever over it; `OSError` loses them.
        max_chars: how much may wait.
    """

    def __init__(self, write: Callable[[bytes], object], max_chars: int = MAX_QUEUED_CHARS) -> None:
        self._write_bytes = write
        self._max_chars = max_chars
        self._lines: deque[str] = deque()
        self._chars = 0
        self._lost = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> int:
        """Queue `text`, or lose it; never waits for its reader."""
        with self._changed:
            if self._chars + len(text) > self._max_chars:
                self._lost += 1
                return len(text)
            if self._lost:
                self._queue(f"{self._lost} lines were lost: whoever reads this log was too slow\n")
                self._lost = 0
            self._queue(text)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
        return len(text)

    def flush(self) -> None:
        """Nothing: the thread writes each line as soon as it can."""

    def drain(self, seconds: float = AT_END_S) -> None:
        """Wait until all lines are written, for so long at most."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._chars and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def _queue(self, text: str) -> None:
        self._lines.append(text)
        self._chars += len(text)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines:
                    self._changed.wait()
                text = self._lines.popleft()
            self._write_all(text)
            with self._changed:
                self._chars -= len(text)
                self._changed.notify_all()

    def _write_all(self, text: str) -> None:
        with suppress(OSError):  # a full disk for logs must not end a node
            self._write_bytes(text.encode(errors="backslashreplace"))


def to_descriptor(number: int) -> Callable[[bytes], None]:
    """Writes to an open file past Python's buffers, whose lock would keep the process from ending."""

    def write(data: bytes) -> None:
        while data:
            data = data[os.write(number, data) :]

    return write
