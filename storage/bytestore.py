"""The interface below the records: an ordered map of bytes that writes whole batches, and syncs them.

Owns only the interface. `decreed.storage.rocks` keeps the map on disk, `decreed.storage.memory` in
memory; `decreed.storage.store` keeps records in either and cannot tell them apart.

Reads return lists, never iterators: an iterator that is still referenced would keep the directory
locked after it was closed.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..registry.space import DiskSpace

Pair = tuple[bytes, bytes]
Range = tuple[bytes, bytes]
"""Keys from the first, included, to the second, excluded."""


class Unreadable(Exception):
    """Bytes that were written cannot be read back; the message names the file if possible."""


class ByteStore(Protocol):
    """An ordered map of bytes to bytes. Every reading method raises `Unreadable`."""

    @property
    def where(self) -> str:
        """The name of this store in messages, usually its directory."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        ...

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values at `keys`, in their order. One unreadable value fails the whole call."""
        ...

    def write(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:
        """Put every value, or delete it if it is None; atomically.

        Args:
            changes: what to put and to delete.
            sync: whether they are durable on return, with all earlier writes. If not, a crash may
                lose them, and with them all later writes.

        Raises:
            StorageFailed: if the write failed. Changes that were to be synced are then not visible.
        """
        ...

    def write_deferred(self) -> None:
        """Give the system what this store still keeps to itself of the writes without a sync, if any.

        Raises:
            StorageFailed: if the write failed.
        """
        ...

    def sync(self) -> None:
        """Make all writes durable.

        Raises:
            StorageFailed: if the sync failed.
        """
        ...

    def ascending(self, within: Range, limit: int) -> list[Pair]:
        """The first `limit` pairs of a range."""
        ...

    def walk(self, within: Range, limit: int) -> list[Pair]:
        """As `ascending`, to read everything once: what is kept in memory for others stays there."""
        ...

    def descending(self, within: Range, limit: int) -> list[Pair]:
        """The last `limit` pairs of a range, the last one first."""
        ...

    def space(self) -> DiskSpace | None:
        """What the store takes of its disk, and what is free there; None if no disk is below."""
        ...

    def close(self) -> None:
        """Release all resources. Safe to call twice."""
        ...
