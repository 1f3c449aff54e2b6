"""Short digests: of a decree, by which two nodes notice that they disagree, and of many.

They are part of what peers say to each other and of the stored feed; `docs/protocol.md` gives the rule.
"""

from collections.abc import Iterable
from hashlib import blake2b

from msgspec.msgpack import Encoder

from ..types import Decree
from ..wire.peers import DIGEST_BYTES

_encode = Encoder().encode


def decree_digest(decree: Decree) -> bytes:
    """16 bytes of BLAKE2b over the decree's MessagePack, which has one form for each decree."""
    return blake2b(_encode(decree), digest_size=DIGEST_BYTES).digest()


def span_digest(decrees: Iterable[Decree]) -> bytes:
    """16 bytes of BLAKE2b over the MessagePack of decrees in key order, one behind the other.

    Each tells where it ends, and names its key, so lists of decrees that differ are different bytes.
    """
    return blake2b(b"".join(map(_encode, decrees)), digest_size=DIGEST_BYTES).digest()
