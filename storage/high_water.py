"""The high-water mark of a database: how far its logs had come, kept outside RocksDB's own files.

RocksDB treats a MANIFEST that ends early as one that a crash cut short, and opens without the tables
that the lost edits named. After a real crash the data of those tables are still in a log. So we record
in a file of our own how far the logs had come. Later the database may have more, never less.

The mark is a lower bound. Restoring an older mark makes the check weaker, but never wrong.
"""

import re
from pathlib import Path
from typing import NamedTuple

from ..registry.errors import Damaged
from .checksum import checksum
from .durable import replace_text
from .identity import STAYS_OUT

NAME = "high-water.txt"

_FORM = re.compile(r"(log ([0-9]{1,18}), sequence number ([0-9]{1,18})), checksum ([0-9a-f]{8})\n")


class HighWater(NamedTuple):
    """The progress of a database at some time.

    Args:
        log: the number of the newest write-ahead log.
        sequence: RocksDB's sequence number of the last row that was synced.
    """

    log: int
    sequence: int


def note(directory: Path, mark: HighWater) -> None:
    """Write `mark` as the mark of the database in `directory`, durably."""
    body = f"log {mark.log}, sequence number {mark.sequence}"
    replace_text(directory / NAME, f"{body}, checksum {checksum(body.encode()):08x}\n")


def noted(directory: Path) -> HighWater:
    """The mark of the database in `directory`.

    Raises:
        Damaged: if it is missing or damaged.
    """
    path = directory / NAME
    try:
        found = _FORM.fullmatch(path.read_text(errors="replace"))
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing. {STAYS_OUT}") from error
    if not found or checksum(found[1].encode()) != int(found[4], 16):
        raise Damaged(f"{path} is damaged: it is not as decreed writes it. {STAYS_OUT}")
    return HighWater(int(found[2]), int(found[3]))
