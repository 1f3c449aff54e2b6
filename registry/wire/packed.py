"""Pages of decrees in MessagePack: the form of rows, of digests and of the blocks of a snapshot.

A whole page, for a snapshot, comes so. It goes into the file as it came, and to encode and decode it
takes a sixth of the time that CBOR would take.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import DecodeError, Meta
from msgspec.msgpack import Decoder, Encoder

from ..errors import ProtocolError
from ..types import Counter, Decree, Value
from ..veiled import veiled

_pack = Encoder().encode
_unpack = Decoder(tuple[Decree, ...]).decode


def pack_decrees(decrees: Sequence[Decree]) -> bytes:
    """The MessagePack of an array of these decrees."""
    return _pack(tuple(decrees))


def unpack_decrees(body: bytes) -> tuple[Decree, ...]:
    """The decrees in `body`, each field checked against its type and bounds.

    Raises:
        ProtocolError: if it is no MessagePack of an array of decrees.
    """
    try:
        return _unpack(body)
    except (DecodeError, UnicodeError) as error:
        raise ProtocolError(f"not packed decrees: {error}") from error


class PackedPage(Value, frozen=True, tag=79):
    """As `ListPage`, for a snapshot: the decrees are in `body`, as `pack_decrees` makes it."""

    id: Counter
    body: bytes
    next_after: Annotated[str, Meta(max_length=512)] | None

    @property
    def decrees(self) -> tuple[Decree, ...]:
        """The decrees.

        Raises:
            ProtocolError: if the body is none of decrees.
        """
        return unpack_decrees(self.body)

    def __repr__(self) -> str:
        return veiled(self, "body")
