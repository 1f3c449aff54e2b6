"""A check of one of RocksDB's log files, before RocksDB reads it.

A log (a write-ahead log, or the MANIFEST) is cut into blocks of 32 KiB. A record is one or more
fragments, none of which crosses a block; each has a header of seven bytes: a masked CRC-32C over
type and payload, the payload's length, and the type. The rest of a block that is too short for a
header is padded.

A crash in the middle of a write leaves a log whose last record is cut short. RocksDB drops any record
that seems to reach beyond the end as such a torn record. But a flipped bit in a length, which no
checksum covers, looks the same, and then the synced records after it vanish too. This module tells the
two apart. It only reads, and knows nothing of the contents of records.

Invariant (R13, R14): a log that passes this check holds every record that was synced to it, if at most
one byte of it has changed.
"""

import struct
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from ..registry.errors import Damaged
from .checksum import checksum, extend
from .identity import STAYS_OUT

BLOCK = 32 * 1024

_HEADER = struct.Struct("<IHB")


class RecordKind(IntEnum):
    """The type of a fragment; recycled logs would have more types, but we never recycle logs."""

    FILL = 0
    FULL = 1
    FIRST = 2
    MIDDLE = 3
    LAST = 4


class LogVerdict(NamedTuple):
    """The complete records of a log, and whether a torn record follows."""

    records: tuple[bytes, ...]
    torn: bool


class Fragment(NamedTuple):
    """A fragment that has been checked, and where the next one begins."""

    kind: int
    end: int


def verify(path: Path) -> LogVerdict:
    """Check one log from end to end.

    Raises:
        Damaged: at any fault except a torn last record; names the file and the offset.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing. {STAYS_OUT}") from error
    position, records, parts = 0, list[bytes](), list[bytes]()
    while position < len(data):
        left = BLOCK - position % BLOCK
        if left < _HEADER.size:
            position += left
            continue
        fragment = _fragment(path, data, position)
        if fragment is None:
            return LogVerdict(tuple(records), torn=True)
        if bool(parts) is not (fragment.kind in (RecordKind.MIDDLE, RecordKind.LAST)):
            raise damaged_at(path, position, "its fragments are out of order")
        parts.append(data[position + _HEADER.size : fragment.end])
        if fragment.kind in (RecordKind.FULL, RecordKind.LAST):
            records.append(parts[0] if len(parts) == 1 else b"".join(parts))
            parts.clear()
        position = fragment.end
    return LogVerdict(tuple(records), torn=bool(parts))


def _fragment(path: Path, data: bytes, position: int) -> Fragment | None:
    """The fragment at `position`, or None if the log breaks off there."""
    body = position + _HEADER.size
    if body > len(data):
        return None
    stored, length, kind = _HEADER.unpack_from(data, position)
    if kind == RecordKind.FILL:
        _check_nothing_follows(path, data, position)
        return None
    if kind > RecordKind.LAST:
        raise damaged_at(path, position, f"there is no record type {kind}")
    end = body + length
    if end > position - position % BLOCK + BLOCK:
        raise damaged_at(path, position, "a record crosses the end of its block")
    if end > len(data):
        _check_length_is_not_flipped(path, data, position, stored)
        return None
    if _masked(checksum(data[body - 1 : end])) != stored:
        raise damaged_at(path, position, "a checksum does not match")
    return Fragment(kind, end)


def _check_nothing_follows(path: Path, data: bytes, position: int) -> None:
    """Check that only zeros follow, as in preallocated space that was never written."""
    if data.count(0, position) != len(data) - position:
        raise damaged_at(path, position, "data follows an empty header")


def _check_length_is_not_flipped(path: Path, data: bytes, position: int, stored: int) -> None:
    """Check that a record that seems torn is not a complete one with a flipped length.

    A torn record has lost bytes, so its checksum matches no part of the rest. If it does match, the
    record is complete and its length was changed.
    """
    body = position + _HEADER.size
    running = checksum(data[body - 1 : body])
    for end in range(body, len(data) + 1):
        if _masked(running) == stored:
            raise damaged_at(path, position, f"a record of {end - body} bytes has another length")
        running = extend(running, data[end : end + 1])


def _masked(crc: int) -> int:
    """The form in which logs store a CRC, rotated and shifted."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def damaged_at(path: Path, offset: int, reason: str) -> Damaged:
    """The error for a file that is damaged at some byte."""
    return Damaged(f"{path} is damaged at byte {offset}: {reason}. {STAYS_OUT}")
