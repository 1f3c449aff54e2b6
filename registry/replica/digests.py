"""A short digest of a decree, by which two nodes notice that they disagree."""

import hashlib

from ..types import Decree
from ..wire.codec import encode


def decree_digest(decree: Decree) -> bytes:
    """16 bytes of BLAKE2b over the decree's encoding."""
    return hashlib.blake2b(encode(decree), digest_size=16).digest()
