"""The high-water mark of a database: how far its logs had come, kept outside of RocksDB's own files.

RocksDB takes a MANIFEST that ends early for one that a crash cut short, and opens without the tables
that the lost edits named. After a real crash the data of those tables are still in a log. So we note,
in a file of our own, how far the logs had come. What is found later may be more, never less.

The mark is a lower bound. An older one that is put back makes the check weaker, never wrong.
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
    """How far a database had come at some time.

    Args:
        log: the number of the newest write-ahead log.
        sequence: the sequence number of the last row that was synced, which RocksDB counts.
    """

    log: int
    sequence: int


def note(directory: Path, mark: HighWater) -> None:
    """Make `mark` the mark of the database in `directory`, durably."""
    body = f"log {mark.log}, sequence number {mark.sequence}"
    replace_text(directory / NAME, f"{body}, checksum {checksum(body.encode()):08x}\n")


def noted(directory: Path) -> HighWater:
    """The mark of the database in `directory`.

    Raises:
        Damaged: if there is none, or it is not as it was written.
    """
    path = directory / NAME
    try:
        found = _FORM.fullmatch(path.read_text(errors="replace"))
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing. {STAYS_OUT}") from error
    if not found or checksum(found[1].encode()) != int(found[4], 16):
        raise Damaged(f"{path} is damaged: it is not as decreed writes it. {STAYS_OUT}")
    return HighWater(int(found[2]), int(found[3]))
