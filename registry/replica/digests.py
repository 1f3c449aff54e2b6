"""A short digest of a decree, by which two nodes notice that they disagree.

It is part of what peers say to each other and of the stored feed; `docs/protocol.md` gives the rule.
"""

from hashlib import blake2b

from msgspec.msgpack import Encoder

from ..types import Decree
from ..wire.peers import DIGEST_BYTES

_encode = Encoder().encode


def decree_digest(decree: Decree) -> bytes:
    """16 bytes of BLAKE2b over the decree's MessagePack, which has one form for each decree."""
    return blake2b(_encode(decree), digest_size=DIGEST_BYTES).digest()
