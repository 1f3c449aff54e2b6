"""Decrees that are proposed together, and the one form in which they travel and are stored.

A decree's *body* is its MessagePack, which has one form for each decree. The home encodes it once. The
same bytes are in the message to the acceptors, on the page of the journal, in the row of the learned
decree, and are what its digest is taken of. So all nodes have the same bytes without encoding again.

It must not know who sends or stores them.
"""

from collections.abc import Iterable
from functools import cached_property

from msgspec import MsgspecError, Raw
from msgspec.msgpack import Decoder

from ..types import Decree, Key, body_of, digests_of

MAX_BATCH = 512
"""The largest number of proposals in a batch."""
_FEW, _MANY = 16, 1 << 16

_read = Decoder(tuple[Decree, ...]).decode
_split = Decoder(tuple[Raw, ...]).decode


class Decrees(tuple[Decree, ...]):
    """A batch of decrees in columns: equal to the tuple of them, with their keys and bodies.

    Each column is made when it is first asked for, and has one entry for each decree, in order.
    """

    @classmethod
    def of(cls, decrees: Iterable[Decree]) -> "Decrees":
        """These decrees as a batch; a batch is returned as it is."""
        return decrees if isinstance(decrees, Decrees) else cls(decrees)

    @classmethod
    def read(cls, packed: bytes) -> "Decrees":
        """The batch that is packed in these bytes.

        Raises:
            ValueError: if they are not the MessagePack of at most `MAX_BATCH` decrees.
        """
        try:
            read = cls(_read(packed))
        except (MsgspecError, UnicodeError) as error:
            raise ValueError(f"no batch of decrees: {error}") from error
        if len(read) > MAX_BATCH:
            raise ValueError(f"a batch of {len(read)} decrees; the limit is {MAX_BATCH}")
        read.packed = packed
        read.bodies = tuple(map(bytes, _split(packed)))
        return read

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The key of each decree."""
        return tuple([decree.key for decree in self])

    @cached_property
    def bodies(self) -> tuple[bytes, ...]:
        """The stored form of each decree."""
        return tuple([body_of(decree) for decree in self])

    @cached_property
    def packed(self) -> bytes:
        """All bodies as one MessagePack array: the form on the wire and on a page of the journal."""
        return _array_header(len(self)) + b"".join(self.bodies)

    @cached_property
    def digests(self) -> dict[Key, bytes]:
        """The digest of each decree, by key; see `types.decree_digest`."""
        return digests_of(self, self.bodies)


def _array_header(count: int) -> bytes:
    """The head of a MessagePack array of `count` items."""
    if count < _FEW:
        return bytes([0x90 | count])
    assert count < _MANY, "a batch is bounded"
    return b"\xdc" + count.to_bytes(2, "big")
