"""The record codec: a value, sealed to the place where it lies.

A stored record is a version byte, four bytes of CRC-32C, and the CBOR of the value. The checksum
covers the version, the stored key and the CBOR, so that a record that turns up at another key is
as damaged as one with a flipped bit. These first five bytes keep their meaning in every version.

It knows nothing of files; `where` is a name for messages. What it keeps: a promise or an acceptance
is read back as it was written (R13, R14), or the reader is told that it cannot be.
"""

from typing import TypeVar

from ..registry.errors import Damaged, ProtocolError, Refused
from ..registry.wire.codec import decode, encode
from .checksum import checksum, extend
from .layout import describe

VERSION = 1

_HEAD = 5

T = TypeVar("T")


def pack(stored: bytes, value: object) -> bytes:
    """The bytes to keep `value` as, at the stored key `stored`."""
    return seal(stored, VERSION, encode(value))


def seal(stored: bytes, version: int, payload: bytes) -> bytes:
    """A payload behind its version and its checksum."""
    return bytes([version]) + _checksum(stored, version, payload) + payload


def unpack(stored: bytes, data: bytes, kind: type[T], where: str) -> T:
    """The value of type `kind` that `data`, found at `stored`, was packed from.

    Raises:
        Damaged: if it is not what was written there.
        Refused: if a newer version of decreed wrote it.
    """
    version, stored_sum, payload = data[:1], data[1:_HEAD], data[_HEAD:]
    if not version or _checksum(stored, version[0], payload) != stored_sum:
        raise damaged(stored, where, "its checksum does not match")
    if version[0] != VERSION:
        raise Refused(
            f"{describe(stored)} in {where} has version {version[0]}, and this decreed reads"
            f" version {VERSION}: start the node with the newer decreed that wrote it"
        )
    try:
        return decode(payload, kind)
    except ProtocolError as error:
        raise damaged(stored, where, str(error)) from error


def damaged(stored: bytes, where: str, reason: str) -> Damaged:
    """The error for a record that cannot be read."""
    return Damaged(f"{describe(stored)} in {where} is damaged: {reason}")


def _checksum(stored: bytes, version: int, payload: bytes) -> bytes:
    head = bytes([version]) + len(stored).to_bytes(4, "big") + stored
    return extend(checksum(head), payload).to_bytes(4, "big")
