"""The blocks of a snapshot file: bytes with checksums, in order. `docs/snapshots.md` has the format.

Owns the first line of the file and the heads of blocks; it must not know what is in them. A head has a
checksum of its own, so that a damaged length is never believed. The checksum of a block covers its
number and the id of its snapshot too, so a block in another place, or in another file, does not match.
"""

import re
import struct
from enum import IntEnum
from typing import BinaryIO

from ...registry.errors import BadRequest, Damaged, Refused
from ...registry.types import Value
from ...registry.veiled import veiled
from ...registry.version import described
from ..checksum import checksum, extend

FORMAT = 1
ID_BYTES = 16
MAX_BLOCK_BYTES = 64 * 1024 * 1024
"""More than the largest page of decrees with the largest value has."""

FIRST_LINE = f"decreed snapshot, format {FORMAT}\n".encode()

_LONGEST_LINE = 64
_LINE = re.compile(rb"decreed snapshot, format ([1-9][0-9]{0,8})\n")
_FACTS = struct.Struct(">QBII")
_CHECK = struct.Struct(">I")
HEAD_BYTES = _FACTS.size + _CHECK.size


class Kind(IntEnum):
    """What a block holds."""

    HEAD = 0
    DECREES = 1
    END = 2
    PACKED = 3


class Block(Value, frozen=True):
    """A block.

    Args:
        number: its place; the first is 0.
        kind: what it holds.
        payload: MessagePack in a `Kind.PACKED`, and CBOR in all others.
    """

    number: int
    kind: int
    payload: bytes

    def __repr__(self) -> str:
        return veiled(self, "payload")


def packed(block: Block, snapshot: bytes) -> bytes:
    """The bytes of a block of the snapshot with this id."""
    head = _head(block, snapshot)
    return head + _CHECK.pack(checksum(head)) + block.payload


def _head(block: Block, snapshot: bytes) -> bytes:
    # the id stands in the payload of the first block, which cannot be known before it is read
    seed = snapshot if block.number else bytes(ID_BYTES)
    place = _FACTS.pack(block.number, block.kind, len(block.payload), 0)
    return _FACTS.pack(
        block.number,
        block.kind,
        len(block.payload),
        extend(checksum(seed + place), block.payload),
    )


class BlockFile:
    """The blocks of an open file, one after another.

    Args:
        file: open for reading, at its beginning.

    Attributes:
        at: where the next block begins.
        whole: the checksum of all bytes before it.
        number: the number that the next block must have.
        snapshot: the snapshot's id; to be set when the first block is read.

    Raises:
        BadRequest: if it is no snapshot.
        Refused: if it has another format.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.snapshot = bytes(ID_BYTES)
        self.number = 0
        line = file.readline(_LONGEST_LINE)
        _check_line(line)
        self.at = len(line)
        self.whole = checksum(line)

    def read(self) -> Block | None:
        """The next block; None at the end of the file.

        Raises:
            Damaged: if it is not as it was written; names the block and what is wrong.
        """
        head = self._file.read(HEAD_BYTES)
        if not head:
            return None
        number, kind, length, _ = self._checked(head)
        payload = self._file.read(length)
        if len(payload) < length:
            raise self._damaged(f"the file ends {length - len(payload)} bytes before its end")
        block = Block(number, kind, payload)
        if _head(block, self.snapshot) != head[: _FACTS.size]:
            raise self._damaged(
                "its checksum does not match: bytes were changed, or it is of another snapshot"
            )
        if number != self.number:
            raise self._damaged(f"block {number} stands in its place")
        self.number += 1
        self.at += HEAD_BYTES + length
        self.whole = extend(extend(self.whole, head), payload)
        return block

    def _checked(self, head: bytes) -> tuple[int, int, int, int]:
        if len(head) < HEAD_BYTES:
            raise self._damaged("the file ends within its head")
        facts, check = head[: _FACTS.size], head[_FACTS.size :]
        if _CHECK.pack(checksum(facts)) != check:
            raise self._damaged("its head is damaged: the checksum does not match")
        number, kind, length, content = _FACTS.unpack(facts)
        if length > MAX_BLOCK_BYTES:
            raise self._damaged(f"it says that it has {length} bytes")
        return number, kind, length, content

    def _damaged(self, reason: str) -> Damaged:
        return Damaged(f"block {self.number}, at byte {self.at}: {reason}")


def _check_line(line: bytes) -> None:
    marked = _LINE.fullmatch(line)
    if not marked:
        raise BadRequest("it is no snapshot of decreed, or its first line is damaged")
    if int(marked[1]) != FORMAT:
        raise Refused(
            f"it has format {int(marked[1])}, and this decreed ({described()}) reads format"
            f" {FORMAT}: use the decreed that wrote it"
        )
