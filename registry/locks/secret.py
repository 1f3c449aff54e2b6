"""The secret behind a claim of a lock: whoever shows it is who claimed.

The id of a claim stands in its term's decree, for all to read, so it opens nothing. What does is a
secret that the claimer draws. Its hash travels with the acquire and stands in the decree; the secret
itself is shown to nodes alone, with each keep-alive, release and give-up, and is never shown to people.
"""

from hashlib import sha256
from typing import Annotated, Never

from msgspec import Meta

from ..types import Value

SECRET_BYTES = 32
SecretBytes = Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]
SecretHash = Annotated[bytes, Meta(min_length=32, max_length=32)]


def hash_of(secret: bytes) -> bytes:
    """What everybody may know of a secret: its SHA-256."""
    return sha256(secret).digest()


class Secret:
    """A secret in the hands of its owner. It has no text, and is not pickled.

    Args:
        data: `SECRET_BYTES` random bytes, used for one claim.
    """

    __slots__ = ("_data", "hash")

    def __init__(self, data: bytes) -> None:
        assert len(data) == SECRET_BYTES
        self._data = data
        self.hash = hash_of(data)

    def show(self) -> bytes:
        """The bytes, for a message to a node and nothing else."""
        return self._data

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> Never:
        raise TypeError("a secret stays in the process that drew it")


class Secretive(Value, frozen=True):
    """A message whose field ``secret`` is left out when it is written as text."""

    def __repr__(self) -> str:
        names = (name for name in self.__struct_fields__ if name != "secret")
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__name__}({shown}, secret=…)"
