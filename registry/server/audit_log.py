"""The audit log of a node: a file to which lines are only ever appended (S22).

A line has been taken by the system before the answer that it is about leaves. It is not synced: a
crash of the machine may take the last ones, a crash of the node takes none. A log that cannot be
written is an alarm, and what is lost is counted in a line as soon as it can be; `required` makes the
node stop instead, before anything leaves that is not in the log.

The file is opened so that it never makes the node wait: a pipe that nobody reads is one that cannot be
written.
"""

import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..audit import AuditRecord, Speaker, line, lost_line
from ..errors import Refused
from ..types import NodeId
from . import log

MODE = 0o600
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def wall_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class AuditLog:
    """Appends lines to a file.

    Args:
        path: the file; made if missing, for its owner alone.
        node: which node writes; empty for a command.
        required: whether a line that cannot be written is an error.
        clock_ms: the time of the lines.
    """

    def __init__(
        self,
        path: Path,
        node: NodeId | str = "",
        *,
        required: bool = False,
        clock_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._path = path
        self._node = node
        self._required = required
        self._clock_ms = clock_ms
        self._descriptor: int | None = None
        self._lost = 0
        self._is_torn = False

    def open(self) -> None:
        """Open the file, at the start of the node or after it was moved away.

        Raises:
            Refused: if it cannot be opened, and is required.
        """
        self.close()
        try:
            self._descriptor = os.open(self._path, _FLAGS, MODE)
            self._is_torn = _is_cut_off(self._descriptor, self._path)
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Close the file; nothing waits to be written."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def write(self, records: Sequence[AuditRecord], speakers: Sequence[Speaker]) -> None:
        """Append a line for each record, with who has spoken.

        Raises:
            Refused: if that fails, and the log is required.
        """
        now_ms = self._clock_ms()
        told = zip(records, speakers, strict=True)
        lines = [line(record, who, self._node, now_ms) for record, who in told]
        if self._lost:
            lines.insert(0, lost_line(self._lost, self._node, now_ms))
        try:
            self._append("".join(f"{each}\n" for each in lines).encode())
        except OSError as error:
            self._lost += len(records)
            self._fail(error)
        else:
            self._lost = 0

    def _append(self, data: bytes) -> None:
        """Pass bytes to the system, all of them or an error; after an error the next line is whole."""
        if self._descriptor is None:
            # it could not be opened: its folder may be there now
            self._descriptor = os.open(self._path, _FLAGS, MODE)
        rest = b"\n" + data if self._is_torn else data
        while rest:
            written = os.write(self._descriptor, rest)
            self._is_torn = written < len(rest)
            rest = rest[written:]

    def _fail(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if self._required:
            raise Refused(
                f"the audit log {self._path} cannot be written: {reason}; audit.required says that the"
                " node stops then: make room for it, or correct --audit, and start the node again"
            ) from error
        log.alarm(f"the audit log {self._path} cannot be written: {reason}")


def _is_cut_off(descriptor: int, path: Path) -> bool:
    """Whether the last line of a file has no end, since the machine has crashed in it."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return False
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return True  # one that may be written and not read: an empty line does no harm
