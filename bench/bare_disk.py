"""A bare 4 KiB append and sync, again and again beside a load: when the disk itself is slow."""

import os
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

WRITE = b"\x5a" * 4096
EVERY_S = 0.1


class BareSync(NamedTuple):
    """One sync: when it began and ended, in seconds of the monotonic clock."""

    began: float
    ended: float

    @property
    def ms(self) -> float:
        """How long it took."""
        return (self.ended - self.began) * 1e3


class BareDisk:
    """Syncs a small write on a disk at intervals, until `end`.

    Args:
        folder: on the disk.
        every_s: seconds from the end of a sync to the next.
    """

    def __init__(self, folder: Path, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._syncs: list[BareSync] = []
        self._ended = threading.Event()
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # until `end`
        self._thread = threading.Thread(target=self._sync, daemon=True)
        self._thread.start()

    def _sync(self) -> None:
        while not self._ended.wait(self._every_s):
            began = time.monotonic()
            self._file.write(WRITE)
            os.fdatasync(self._file.fileno())
            self._syncs.append(BareSync(began, time.monotonic()))

    def end(self) -> Sequence[BareSync]:
        """Stop; returns all syncs."""
        self._ended.set()
        self._thread.join()
        self._file.close()
        return self._syncs


def slow_within(syncs: Sequence[BareSync], begin_s: float, end_s: float, slow_ms: float) -> bool:
    """Whether any sync that took more than `slow_ms` was under way between two moments."""
    return any(sync.ms > slow_ms and sync.began < end_s and sync.ended > begin_s for sync in syncs)
