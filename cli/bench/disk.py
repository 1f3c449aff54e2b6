"""How long a disk takes to sync a small write, which bounds the latency of claims.

A node syncs before it promises or accepts, so no claim is faster than the disks of a quorum. This
measures what a node does: append a little to a file, and wait until it is on the disk.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

from .figures import Latencies

WRITE_BYTES = 4_096
MAX_SYNCS = 2_000
MAX_SECONDS = 2.0

# seconds: faster than `DOUBTFUL` no disk syncs to its medium; slower than `GOOD` no good disk is
DOUBTFUL = 10e-6
GOOD = 1.5e-3
FAIR = 6e-3


class DiskVerdict(Enum):
    """The assessment of a disk."""

    DOUBTFUL = "doubtful"
    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"


MEANINGS = {
    DiskVerdict.DOUBTFUL: "faster than disks are: a file system in memory, or a disk that does not wait"
    " for its medium. What was promised there may be lost with the power; do not run a node on it",
    DiskVerdict.GOOD: "it will hardly hold claims up",
    DiskVerdict.FAIR: "one claim after the other will be slow; many at a time share their syncs",
    DiskVerdict.POOR: "claims will be slow, and slower still while the disk is busy otherwise; a disk"
    " with a write cache that survives a loss of power is what helps",
}


@dataclass(frozen=True)
class DiskReport:
    """The measurements of a disk.

    Args:
        path: the directory.
        syncs: the duration of each synced write.
    """

    path: str
    syncs: Latencies

    @property
    def verdict(self) -> DiskVerdict:
        """The assessment by the median and the 99th percentile."""
        median, slow = self.syncs.percentile(50) or 0.0, self.syncs.percentile(99) or 0.0
        if median < DOUBTFUL:
            return DiskVerdict.DOUBTFUL
        for verdict, bound in ((DiskVerdict.GOOD, GOOD), (DiskVerdict.FAIR, FAIR)):
            if median <= bound and slow <= 5 * bound:
                return verdict
        return DiskVerdict.POOR


def measure_disk(folder: Path, seconds: float = MAX_SECONDS) -> DiskReport:
    """Append to a file in `folder`, which is removed again, and sync each write.

    Args:
        folder: a directory on the disk of the node's data.
        seconds: the longest duration.

    Raises:
        OSError: if the directory cannot be written to.
    """
    syncs = Latencies()
    end = perf_counter() + seconds
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        _append(file)
        while syncs.count < MAX_SYNCS and perf_counter() < end:
            began = perf_counter()
            _append(file)
            syncs.add(perf_counter() - began)
    return DiskReport(str(folder), syncs)


def _append(file: BinaryIO) -> None:
    file.write(b"\x5a" * WRITE_BYTES)
    _SYNC(file.fileno())


# not every system has fdatasync, which skips metadata that readers do not need
_SYNC: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
