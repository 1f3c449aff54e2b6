"""The seam below the records: an ordered map of bytes that writes whole batches, and syncs them.

Owns the interface and nothing else. `decreed.storage.rocks` keeps the map on disk,
`decreed.storage.memory` in memory; `decreed.storage.store` keeps records in either and cannot tell
them apart.

Reads hand out lists, never iterators: an iterator that somebody still holds would keep the
directory locked after it was closed.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

Pair = tuple[bytes, bytes]
Range = tuple[bytes, bytes]
"""Keys from the first, included, to the second, excluded."""


class Unreadable(Exception):
    """Bytes that were written cannot be read back; the message names the file where it can."""


class ByteStore(Protocol):
    """An ordered map of bytes to bytes. Every reading method raises `Unreadable`."""

    @property
    def where(self) -> str:
        """What to call this store in a message: the directory, as a rule."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        ...

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values at `keys`, in their order. One unreadable value fails them all."""
        ...

    def write(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:
        """Put every value, or delete where it is None, all of them or none.

        Args:
            changes: what to put and to delete.
            sync: whether they are durable on return, with all that was written before. If not, a
                loss of power may take them, and with them all that was written later.

        Raises:
            StorageFailed: if that failed. Changes that were to be synced are not read then.
        """
        ...

    def sync(self) -> None:
        """Make everything durable that was written.

        Raises:
            StorageFailed: if that failed.
        """
        ...

    def ascending(self, within: Range, limit: int) -> list[Pair]:
        """The first `limit` pairs of a range."""
        ...

    def descending(self, within: Range, limit: int) -> list[Pair]:
        """The last `limit` pairs of a range, the last one first."""
        ...

    def close(self) -> None:
        """Give everything back. Safe to call twice."""
        ...
