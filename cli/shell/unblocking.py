"""Standard error for log lines, without blocking their writer.

A pipe whose reader has stopped fills up, and a plain write to it would block the node. So lines are
queued, within a bound, and a separate thread writes them. Lines that do not fit are dropped and
counted, and the log says how many were lost.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

MAX_QUEUED_CHARS = 1024 * 1024
AT_END_S = 2.0
"""How long queued lines are still written when the process ends."""


class Unblocking:
    """Takes lines without waiting and writes them later; failures to write are ignored.

    Args:
        write: writes bytes and may block forever; an `OSError` drops them.
        max_chars: how many characters may wait.
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
        """Queue `text`, or drop it; never waits for the reader."""
        with self._changed:
            if self._chars + len(text) > self._max_chars:
                self._lost += 1
                return len(text)
            if self._lost:
                self._queue(f"{self._lost} lines were lost: the reader of this log was too slow\n")
                self._lost = 0
            self._queue(text)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes each line as soon as it can."""

    def drain(self, seconds: float = AT_END_S) -> None:
        """Wait until all lines are written, for at most `seconds`."""
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
    """Writes to an open file without Python's buffers, whose lock could block the process's exit."""

    def write(data: bytes) -> None:
        while data:
            data = data[os.write(number, data) :]

    return write
