"""The lineage of a directory: all lives that it has had, each known by its nonce.

A copy of a directory shares the lives up to the copying and none behind it, however often either is
opened: each opening draws a new nonce. So whoever remembers one life can tell whether a directory
has been through it.
"""

from .types import Value
from .wire.handshake import Life

NONCE_BYTES = 16


class Lineage(Value, frozen=True):
    """All lives of a directory.

    Args:
        nonces: of the first life to the present one, 16 bytes each, in one piece.
    """

    nonces: bytes

    @property
    def lives(self) -> int:
        """How many there were, the present one included."""
        return len(self.nonces) // NONCE_BYTES

    def life(self, incarnation: int) -> Life | None:
        """The life with this number; None if there was none, as for 0."""
        if not 1 <= incarnation <= self.lives:
            return None
        end = incarnation * NONCE_BYTES
        return Life(incarnation, self.nonces[end - NONCE_BYTES : end])
