"""The record codec: a value, sealed to its place.

A stored record is a version byte, four bytes of CRC-32C, and the MessagePack of the value. The
checksum covers the version, the stored key and the value, so a record at another key is as damaged as
one with a flipped bit. These first five bytes keep their meaning in every version. On the wire values
are CBOR, for other programs to read. Here only we read, and msgspec converts between MessagePack and
checked values in one step, at a fifth of the cost.

It knows nothing of files; `where` is a name for messages. Invariant: a promise or an accepted proposal
is read back as it was written (R13, R14), or an error is raised.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec import DecodeError
from msgspec.msgpack import Decoder, Encoder

from ..registry.errors import Damaged, Refused
from ..registry.paxos.instance import Instance
from .checksum import extend
from .layout import describe

VERSION = 2

_HEAD = 5
_PLACE = struct.Struct(">BI")
_DECODERS: dict[type[object], Decoder[Any]] = {}
_encode = Encoder().encode
_LEARNED_HEAD, _LEARNED_TAIL = (
    _encode(Instance()).split(b"\xc0\xc0\xc0\xc0")[0] + b"\xc0\xc0",
    b"\xc0",
)
"""What is before and after the learned decree in the MessagePack of an instance without the rest."""

T = TypeVar("T")


def pack(stored: bytes, value: object) -> bytes:
    """The stored bytes of `value` at the stored key `stored`."""
    return seal(stored, VERSION, _encode(value))


def pack_all(values: Mapping[bytes, object | None]) -> dict[bytes, bytes | None]:
    """All values, packed as by `pack`, by their stored keys; None stays None."""
    return {
        stored: None if value is None else seal(stored, VERSION, _encode(value))
        for stored, value in values.items()
    }


def seal(stored: bytes, version: int, payload: bytes) -> bytes:
    """A payload after its version and its checksum."""
    return _head(stored, version, payload) + payload


def sealed_learned(stored: Sequence[bytes], bodies: Sequence[bytes]) -> dict[bytes, bytes]:
    """The rows of instances that have learned a decree and nothing else, from the decrees' bodies.

    Args:
        stored: the stored key of each.
        bodies: the MessagePack of each decree. The rest of such an instance is the same for all.
    """
    places = {length: _PLACE.pack(VERSION, length) for length in set(map(len, stored))}
    rows: dict[bytes, bytes] = {}
    for at, body in zip(stored, bodies, strict=True):
        payload = _LEARNED_HEAD + body + _LEARNED_TAIL
        rows[at] = _PLACE.pack(VERSION, extend(0, places[len(at)] + at + payload)) + payload
    return rows


def unpack(stored: bytes, data: bytes, kind: type[T], where: str) -> T:
    """The value of type `kind` in `data`, which was found at `stored`.

    Raises:
        Damaged: if `data` is not what was written there.
        Refused: if a newer version of decreed wrote it.
    """
    version, payload = data[0] if data else VERSION, data[_HEAD:]
    if _head(stored, version, payload) != data[:_HEAD]:
        raise damaged(stored, where, "its checksum does not match")
    if version != VERSION:
        age = "newer" if version > VERSION else "older"
        raise Refused(
            f"{describe(stored)} in {where} has version {version}, and this decreed reads"
            f" version {VERSION}: start the node with the {age} decreed that wrote it"
        )
    try:
        value: T = _decoder(kind).decode(payload)
    except (DecodeError, UnicodeError) as error:
        raise damaged(stored, where, f"it makes no sense: {error}") from error
    return value


def _head(stored: bytes, version: int, payload: bytes) -> bytes:
    """Version and checksum; the payload, which may be a megabyte, is not copied for it."""
    place = _PLACE.pack(version, len(stored)) + stored
    return _PLACE.pack(version, extend(extend(0, place), payload))


def damaged(stored: bytes, where: str, reason: str) -> Damaged:
    """The error for a record that cannot be read."""
    return Damaged(f"{describe(stored)} in {where} is damaged: {reason}")


def _decoder(kind: type[T]) -> Decoder[T]:
    """The decoder for a kind of value; cached, since making one takes long."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = Decoder(kind)
    return decoder
