"""The secret of a claim of a lock: it proves that a request comes from the claimer.

The id of a claim is in its term's decree, which everybody can read, so it proves nothing. The claimer
draws a secret. The secret's hash is sent with the acquire and recorded in the decree. The secret itself
is sent only to nodes, with each keep-alive, release and give-up, and is never shown to people.
"""

from hashlib import sha256
from typing import Annotated, Never

from msgspec import Meta

from ..types import Value
from ..veiled import veiled

SECRET_BYTES = 32
SecretBytes = Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]
SecretHash = Annotated[bytes, Meta(min_length=32, max_length=32)]


def hash_of(secret: bytes) -> bytes:
    """The public part of a secret: its SHA-256."""
    return sha256(secret).digest()


class Secret:
    """A secret, held by its owner. It is not shown as text, and cannot be pickled.

    Args:
        data: `SECRET_BYTES` random bytes, used for one claim.
    """

    __slots__ = ("_data", "hash")

    def __init__(self, data: bytes) -> None:
        assert len(data) == SECRET_BYTES
        self._data = data
        self.hash = hash_of(data)

    def show(self) -> bytes:
        """The bytes, only for messages to nodes."""
        return self._data

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> Never:
        raise TypeError("a secret stays in the process that drew it")


class Secretive(Value, frozen=True):
    """A message whose ``repr`` leaves out its field ``secret``."""

    def __repr__(self) -> str:
        return veiled(self, "secret")
