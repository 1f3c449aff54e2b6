"""The history of a directory: all its incarnations, each with its nonce.

A copy of a directory shares the incarnations before the copying and none after it, however often either
is opened, since each opening draws a new nonce. So a node that remembers one incarnation can tell
whether a directory has had it.
"""

from .types import Value
from .wire.handshake import Incarnation

NONCE_BYTES = 16


class IncarnationHistory(Value, frozen=True):
    """All incarnations of a directory.

    Args:
        nonces: the nonces of the first incarnation to the present one, 16 bytes each, joined.
    """

    nonces: bytes

    @property
    def incarnations(self) -> int:
        """How many there were, including the present one."""
        return len(self.nonces) // NONCE_BYTES

    def incarnation(self, incarnation: int) -> Incarnation | None:
        """The incarnation with this number; None if there is no such, as for 0."""
        if not 1 <= incarnation <= self.incarnations:
            return None
        end = incarnation * NONCE_BYTES
        return Incarnation(incarnation, self.nonces[end - NONCE_BYTES : end])
