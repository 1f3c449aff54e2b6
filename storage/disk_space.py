"""Measuring the disk below a database: what is free there, and what its own files take."""

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

from ..registry.space import DiskSpace

KINDS = {".sst": "tables", ".log": "log", ".blob": "blobs"}
"""RocksDB's files by their ends: what was written, sorted; and what is not in tables yet."""
OTHER = "other"


def measured(folder: Path) -> DiskSpace:
    """The free bytes of the file system of `folder`, and the bytes of its files by kind.

    Raises:
        OSError: if the file system does not answer.
    """
    found = os.statvfs(folder)
    sizes = Counter[str]()
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # RocksDB deletes what it has merged
                kind = KINDS.get(os.path.splitext(entry.name)[1], OTHER)
                sizes[kind] += entry.stat(follow_symlinks=False).st_size
    return DiskSpace(
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
        tuple(sorted(sizes.items())),
    )
