"""Bytes to checked values and back.

Every byte from outside passes here. Nesting is bounded. Tags, indefinite lengths and duplicate keys
are refused. Each value is checked against its type and bounds. A failed check raises a
`ProtocolError`; there is no crash and no half-checked value.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Annotated, Any, Never, TypeVar

import cbor2
import msgspec
from msgspec import defstruct

from ..errors import ProtocolError

MAX_DEPTH = 12
MAX_MESSAGES = 16_384
"""How many messages a frame may hold; senders stay far below it."""

T = TypeVar("T")

# every tag that the decoder would interpret itself: dates, big numbers, regular expressions, …
_KNOWN_TAGS = (
    *range(6),
    *(21, 22, 23, 24, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799),
)


def _no_tag(*_: object) -> Never:
    raise ProtocolError("CBOR tags are not part of the protocol")


_NO_TAGS: dict[int, Any] = dict.fromkeys(_KNOWN_TAGS, _no_tag)


# what travels as it is stored; clients have no such messages, and do not import them
_packed_forms: dict[Any, Callable[[bytes], Any]] = {}
_plain_forms: dict[Any, Callable[[Any], object]] = {}


def travels_packed(
    kind: type[T],
    read: Callable[[bytes], T],
    message: type[Any],
    plain: Callable[[Any], object],
) -> None:
    """Say that fields of type `kind` travel as bytes.

    Args:
        kind: the type of the field.
        read: makes one of the bytes; raises `ValueError` if they are none.
        message: the message that has such a field.
        plain: what is encoded for a message: its tag and its fields.
    """
    _packed_forms[kind], _plain_forms[message] = read, plain


def encode(value: object) -> bytes:
    """The CBOR of a value or of a sequence of values."""
    plain = _plain_forms.get(type(value))
    if plain is not None:
        value = plain(value)
    return cbor2.dumps(msgspec.to_builtins(value, builtin_types=(bytes,)))


def array_header(count: int) -> bytes:
    """The head of a CBOR array of `count` items (RFC 8949, section 3)."""
    if count < 24:
        return bytes([0x80 | count])
    if count < 1 << 8:
        return bytes([0x98, count])
    if count < 1 << 16:
        return b"\x99" + count.to_bytes(2, "big")
    return b"\x9a" + count.to_bytes(4, "big")


def decode(data: bytes, kind: type[T]) -> T:
    """The value of type `kind` that `data` encodes.

    Raises:
        ProtocolError: if `data` is not CBOR, is nested too deeply, or is not of type `kind`.
    """
    return _convert(_loads(data), kind)


def decode_batch(data: bytes, kind: Any) -> Sequence[Any]:
    """The messages in one frame's payload, each one of the union `kind`.

    Raises:
        ProtocolError: if the payload is not a list of such messages.
    """
    return BatchDecoder().decode(data, kind)


class BatchDecoder:
    """Decodes the frames of one connection: making a decoder takes as long as a short frame.

    A frame with a fault ends its connection. So nothing that it leaves behind meets another frame.
    """

    def __init__(self) -> None:
        self._cbor: cbor2.CBORDecoder | None = None

    def decode(self, data: bytes, kind: Any) -> Sequence[Any]:
        """As `decode_batch`."""
        cbor, stream = self._cbor, BytesIO(data)
        if cbor is None:
            cbor = _decoder(stream)
        else:
            cbor.fp = stream
        self._cbor = None  # unless all goes well
        plain = _loaded(cbor, stream, data)
        self._cbor = cbor
        messages: Sequence[Any] = _convert([plain], _batch_of(kind)).messages
        return messages


@lru_cache
def _batch_of(kind: Any) -> Any:
    """A class that holds messages of `kind`; cached, since msgspec analyses each new class."""
    bounded = Annotated[tuple[kind, ...], msgspec.Meta(max_length=MAX_MESSAGES)]
    return defstruct("Batch", [("messages", bounded)], array_like=True, frozen=True)


def _loads(data: bytes) -> object:
    stream = BytesIO(data)
    return _loaded(_decoder(stream), stream, data)


def _decoder(stream: BytesIO) -> cbor2.CBORDecoder:
    return cbor2.CBORDecoder(
        stream,
        max_depth=MAX_DEPTH,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        tag_hook=_no_tag,
        semantic_decoders=_NO_TAGS,
    )


def _loaded(decoder: cbor2.CBORDecoder, stream: BytesIO, data: bytes) -> object:
    try:
        value: object = decoder.decode()
    except (cbor2.CBORError, UnicodeError) as error:
        raise ProtocolError(f"not CBOR as we speak it: {error}") from error
    if stream.tell() != len(data):
        raise ProtocolError(f"{len(data) - stream.tell()} bytes after the end of the CBOR")
    return value


def _read(kind: type[T], plain: object) -> T:
    """A field of a kind that has a form of its own."""
    read = _packed_forms.get(kind)
    if read is not None and isinstance(plain, bytes):
        value: T = read(plain)
        return value
    raise ValueError(f"a {type(plain).__name__} is no {kind.__name__}")


def _convert(plain: object, kind: type[T]) -> T:
    try:
        # text is not bytes: without this, msgspec would decode it as base64
        return msgspec.convert(plain, kind, builtin_types=(bytes,), dec_hook=_read)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"not a message of ours: {error}") from error
