"""Reading from a MANIFEST which logs are needed, and how far the tables reach.

A MANIFEST is a log of edits. An edit is a series of fields, each a tag and its contents. A number is a
varint; a text is its length and its bytes. We need four of the fields: the first log that is needed,
the next number for a file, the last sequence number that an edit knows of, and those of each table.
Other known fields are skipped, and an unknown field is refused.
"""

from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from ..registry.errors import Damaged
from .identity import STAYS_OUT

_MASK = 1 << 13
"""The bit of tags that older readers may skip; their contents are one text."""

_END_OF_TABLE = 1
"""The tag of a table's own last field."""


class Tag(IntEnum):
    """The fields of an edit that RocksDB 9 writes for a database of one column family."""

    COMPARATOR = 1
    LOG_NUMBER = 2
    NEXT_FILE = 3
    LAST_SEQUENCE = 4
    COMPACTION_CURSOR = 5
    DELETED_TABLE = 6
    PREVIOUS_LOG = 9
    FIRST_NEEDED_LOG = 10
    NEW_TABLE_4 = 103
    COLUMN_FAMILY = 200
    COLUMN_FAMILY_ADDED = 201
    MOST_COLUMN_FAMILIES = 203
    IN_ATOMIC_GROUP = 300


class Edits(NamedTuple):
    """The combined contents of all edits of a MANIFEST.

    Args:
        sequence: the sequence number up to which the tables hold everything.
        log: the number of the first log that is needed.
        next_file: a number that no file had when the last edit was made.
    """

    sequence: int
    log: int
    next_file: int


class _Reader:
    """Steps through the fields of one edit."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def number(self) -> int:
        result = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            result |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return result

    def text(self) -> None:
        length = self.number()
        self._at += length
        if self._at > len(self._data):
            raise IndexError


def read_edits(path: Path, payloads: Iterable[bytes]) -> Edits:
    """The combined contents of the edits.

    Args:
        path: of the MANIFEST, for messages.
        payloads: its records.

    Raises:
        Damaged: if an edit has an unknown form.
    """
    edits = Edits(0, 0, 0)
    for payload in payloads:
        try:
            edits = _with(edits, _Reader(payload))
        except (IndexError, ValueError) as error:
            raise Damaged(
                f"{path} is damaged: an edit of it has an unknown form ({error}). {STAYS_OUT}"
            ) from error
    return edits


def _with(edits: Edits, edit: _Reader) -> Edits:
    """The combined contents of these edits and one more."""
    while edit:
        tag = edit.number()
        if tag & _MASK:
            edit.text()
            continue
        match Tag(tag):
            case Tag.LAST_SEQUENCE:
                edits = edits._replace(sequence=max(edits.sequence, edit.number()))
            case Tag.NEW_TABLE_4:
                edits = edits._replace(sequence=max(edits.sequence, _largest_of_table(edit)))
            case Tag.LOG_NUMBER:
                edits = edits._replace(log=edit.number())
            case Tag.NEXT_FILE:
                edits = edits._replace(next_file=edit.number())
            case other:
                _step_over(other, edit)
    return edits


def _step_over(tag: Tag, edit: _Reader) -> None:
    """Skip the contents of a field that we do not need."""
    match tag:
        case (
            Tag.PREVIOUS_LOG
            | Tag.FIRST_NEEDED_LOG
            | Tag.COLUMN_FAMILY
            | Tag.MOST_COLUMN_FAMILIES
            | Tag.IN_ATOMIC_GROUP
        ):
            edit.number()
        case Tag.COMPARATOR | Tag.COLUMN_FAMILY_ADDED:
            edit.text()
        case Tag.COMPACTION_CURSOR:
            edit.number()
            edit.text()
        case Tag.DELETED_TABLE:
            edit.number()
            edit.number()
        case _:
            raise ValueError(f"no field with tag {int(tag)} belongs there")


def _largest_of_table(edit: _Reader) -> int:
    """Read a table: level, number, size, first and last key, first and last sequence number."""
    for _ in range(3):
        edit.number()
    for _ in range(2):
        edit.text()
    edit.number()
    largest = edit.number()
    while edit.number() != _END_OF_TABLE:
        edit.text()
    return largest
