"""`DeferredWrites`: batches that ask for no sync wait for the next one that does, and go with it.

Owns the changes that the store below has not been given yet. It must not know what they mean, nor when
they have waited long enough: who writes says so with `write_deferred`.

Invariants:

* R13, R14: a synced batch and all changes that waited for it are one batch below. So what a crash takes
  is a suffix of what was written, and nothing that was synced.
* Every read sees what waits. A reader looks at that first and at the store below second. So a change
  that goes down meanwhile is seen in one of the two.
* After a failed write nothing goes down any more, not even at the end: what waits is older than the
  batch that failed, which may be on the disk.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from ..registry.errors import StorageFailed
from ..registry.space import DiskSpace
from .bytestore import ByteStore, Pair, Range

MAX_BYTES = 1024 * 1024
"""How much may wait; what is more goes down at once. Pages of another node's feed are large."""

Changes = Mapping[bytes, bytes | None]
ReadRange = Callable[[Range, int], list[Pair]]


class DeferredWrites:
    """A `ByteStore` above another. One thread writes; others may read meanwhile.

    Args:
        data: the store below; this one owns it from now on.
        max_bytes: how many bytes of keys and values may wait.
    """

    def __init__(self, data: ByteStore, max_bytes: int = MAX_BYTES) -> None:
        self._data = data
        self._max_bytes = max_bytes
        self._waiting: dict[bytes, bytes | None] = {}
        self._size = 0
        self._has_failed = False

    @property
    def where(self) -> str:
        """The name of the store below."""
        return self._data.where

    @property
    def waiting(self) -> Changes:
        """What waits: the store below does not have it yet."""
        return self._waiting

    @property
    def below(self) -> ByteStore:
        """The store below, without what waits."""
        return self._data

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values at `keys`, in their order."""
        waiting = self._waiting
        if not waiting or waiting.keys().isdisjoint(keys):
            return self._data.get_many(keys)
        rest = [key for key in keys if key not in waiting]
        found = dict(zip(rest, self._data.get_many(rest), strict=True))
        return [found[key] if key in found else waiting[key] for key in keys]

    def write(self, changes: Changes, *, sync: bool = True) -> None:
        """Write one batch with all that waits, or let it wait if it asks for no sync."""
        if sync:
            self._put_down(changes, sync=True)
            return
        self._waiting.update(changes)
        self._size += sum(map(len, changes)) + sum(map(len, filter(None, changes.values())))
        if self._size > self._max_bytes:
            self.write_deferred()

    def write_deferred(self) -> None:
        """Write what waits, without a sync.

        Raises:
            StorageFailed: if the write failed.
        """
        if self._waiting:
            self._put_down({}, sync=False)

    def sync(self) -> None:
        """Make everything durable that was written, also what waits."""
        if self._waiting:
            self._put_down({}, sync=True)
        else:
            self._data.sync()

    def ascending(self, within: Range, limit: int) -> list[Pair]:
        """The first `limit` pairs of a range."""
        return self._joined(within, limit, self._data.ascending)

    def walk(self, within: Range, limit: int) -> list[Pair]:
        """As `ascending`, to read everything once."""
        return self._joined(within, limit, self._data.walk)

    def descending(self, within: Range, limit: int) -> list[Pair]:
        """The last `limit` pairs of a range, the last one first."""
        return self._joined(within, limit, self._data.descending, last_first=True)

    def space(self) -> DiskSpace | None:
        """What the store below has to itself, and what is left of its disk."""
        return self._data.space()

    def close(self) -> None:
        """Write what waits, and close the store below. Safe to call twice.

        No promise waits, so no error is raised here; one of an earlier write was raised there.
        """
        with suppress(StorageFailed):
            self.write_deferred()
        self._data.close()

    def _put_down(self, changes: Changes, *, sync: bool) -> None:
        if self._has_failed:
            raise StorageFailed(f"an earlier write to {self.where} failed")
        batch = {**self._waiting, **changes} if self._waiting else changes
        self._has_failed = True
        self._data.write(batch, sync=sync)
        self._has_failed = False
        if self._waiting:
            # another one rather than an empty one: a reader may be looking at it
            self._waiting, self._size = {}, 0

    def _joined(
        self, within: Range, limit: int, read: ReadRange, *, last_first: bool = False
    ) -> list[Pair]:
        """What waits in a range, before what is below; so many more are read as may be replaced."""
        start, end = within
        waiting = {k: value for k, value in list(self._waiting.items()) if start <= k < end}
        if not waiting:
            return read(within, limit)
        found = {**dict(read(within, limit + len(waiting))), **waiting}
        pairs = [(key, value) for key, value in found.items() if value is not None]
        return sorted(pairs, reverse=last_first)[:limit]
