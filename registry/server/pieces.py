"""Answers with large values in pieces, so that a value is in memory once, for all its receivers.

A small answer is one string of bytes. An answer with a large value consists of pieces: the bytes before
the value, the value itself, and the bytes after it. All waiting answers share one object for the value,
even if it was read from the disk several times. Joined, the pieces equal the result of `codec.encode`,
byte for byte.
"""

from collections.abc import Iterable, Sequence
from weakref import WeakValueDictionary

from cbor2 import dumps
from msgspec import Struct
from msgspec.structs import astuple

from ..types import Decree, Key, Value
from ..veiled import veiled
from ..wire.codec import array_header, encode
from ..wire.decrees import encode_decree, encode_message
from ..wire.packed import PackedPage
from ..wire.requests import Answer, Decreed, ListPage, Undecided, WatchPage

LARGE_BYTES = 128 * 1024
"""A value of this size is a piece of its own: sending it separately is cheaper than copying it."""


class Shared(Struct, eq=False, weakref=True):
    """A large value.

    Attributes:
        data: its bytes.
        holders: how many waiting answers have it; `Backlog` counts it once.
    """

    data: bytes
    holders: int = 0

    def __repr__(self) -> str:
        return veiled(self, "data")


class Pieces(Struct, eq=False):
    """An encoded answer in pieces; its `len` is that of all its bytes."""

    items: tuple[bytes | Shared, ...]
    size: int

    def __repr__(self) -> str:
        return veiled(self, "items")

    def __len__(self) -> int:
        return self.size

    def data(self) -> Iterable[bytes]:
        """The bytes, piece by piece."""
        return (item.data if isinstance(item, Shared) else item for item in self.items)


Encoded = bytes | Pieces

_SHARED: WeakValueDictionary[Key, Shared] = WeakValueDictionary()
"""The large values in waiting answers, by key; a value goes with the last answer that has it."""


def encode_answer(answer: Answer) -> Encoded:
    """The CBOR of an answer to a client, in pieces if it carries a large value."""
    # called for every claim, so types are compared before any function is called
    if type(answer) is Decreed and len(answer.decree.value) < LARGE_BYTES:
        return encode_message(answer)
    if type(answer) is Undecided:
        return encode_message(answer)
    match answer:
        case Decreed(_, decree):
            return _message(answer, [encode(answer.id), *_pieces_of(decree)])
        case ListPage(_, decrees, after) if any(map(_is_large, decrees)):
            return _message(answer, [encode(answer.id), *_pieces_of_all(decrees), encode(after)])
        case PackedPage(_, body, after) if len(body) >= LARGE_BYTES:
            fields = [encode(answer.id) + _bytes_header(len(body)), Shared(body), encode(after)]
            return _message(answer, fields)
        case WatchPage(_, decrees, position, lost) if any(map(_is_large, decrees)):
            last = encode(position) + encode(lost)
            return _message(answer, [encode(answer.id), *_pieces_of_all(decrees), last])
        case _:
            return encode_message(answer)


def _is_large(decree: Decree) -> bool:
    return len(decree.value) >= LARGE_BYTES


def _message(message: Value, fields: list[bytes | Shared]) -> Pieces:
    """The pieces of a message, which is an array of its tag and its fields."""
    count = 1 + len(message.__struct_fields__)
    head = array_header(count) + encode(message.__struct_config__.tag)
    items = tuple(_joined([head, *fields]))
    return Pieces(items, sum(map(_size, items)))


def _pieces_of_all(decrees: Sequence[Decree]) -> Iterable[bytes | Shared]:
    yield array_header(len(decrees))
    for decree in decrees:
        yield from _pieces_of(decree)


def _pieces_of(decree: Decree) -> list[bytes | Shared]:
    return _pieces_of_decree(decree) if _is_large(decree) else [encode_decree(decree)]


def _pieces_of_decree(decree: Decree) -> list[bytes | Shared]:
    key, value, *rest = astuple(decree)
    head = array_header(2 + len(rest)) + dumps(key) + _bytes_header(len(value))
    return [head, _shared(decree.key, value), b"".join(map(encode, rest))]


def _shared(key: Key, value: bytes) -> Shared:
    """The shared value of a key: the one that waits already, or a new one."""
    known = _SHARED.get(key)
    if known is None or known.data != value:
        known = _SHARED[key] = Shared(value)
    return known


def _bytes_header(size: int) -> bytes:
    """The head of a CBOR string of bytes that is large (RFC 8949, section 3)."""
    return b"\x5a" + size.to_bytes(4, "big")


def _joined(items: Iterable[bytes | Shared]) -> Iterable[bytes | Shared]:
    """The same items, with small neighbours joined."""
    small = b""
    for item in items:
        if type(item) is bytes:
            small += item
            continue
        if small:
            yield small
        small = b""
        yield item
    if small:
        yield small


def _size(item: bytes | Shared) -> int:
    return len(item.data) if isinstance(item, Shared) else len(item)
