"""The disk of a node: how much is free, and from which marks on the node takes less, or nothing.

A failed write is the one thing that a node recovers from only by a restart, since nobody knows then
what its disk holds. The marks keep it from coming to that: below the *soft* mark a node begins
no new claims, and others coordinate them; below the *hard* mark it accepts nothing either, so that it
writes next to nothing. Both end by themselves when there is room again.
"""

from enum import IntEnum

from .types import Counter, Value


class DiskSpace(Value, frozen=True):
    """What was measured of the disk below a node's directory.

    Args:
        free_bytes: what this process may still write there.
        size_bytes: the size of the file system.
        used: the bytes of the directory's own files, by kind.
    """

    free_bytes: Counter
    size_bytes: Counter
    used: tuple[tuple[str, Counter], ...] = ()

    @property
    def used_bytes(self) -> int:
        """The bytes of all its files."""
        return sum(size for _, size in self.used)


class RoomLeft(IntEnum):
    """How much room a disk has."""

    ENOUGH = 0
    LOW = 1
    FULL = 2


CLEARS = 1.1
"""A mark is left only above so many times its bytes, so that it is not met and left with each write."""


def room(
    free_bytes: int, low_bytes: int, full_bytes: int, before: RoomLeft = RoomLeft.ENOUGH
) -> RoomLeft:
    """How much room there is.

    Args:
        free_bytes: what is free.
        low_bytes, full_bytes: the soft mark and the hard mark; 0 for none.
        before: what was found before.
    """
    full = full_bytes * (CLEARS if before is RoomLeft.FULL else 1.0)
    low = low_bytes * (CLEARS if before is not RoomLeft.ENOUGH else 1.0)
    if free_bytes < full:
        return RoomLeft.FULL
    return RoomLeft.LOW if free_bytes < max(low, full) else RoomLeft.ENOUGH
