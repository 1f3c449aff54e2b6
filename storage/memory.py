"""`MemoryStorage`: the in-memory twin, with a disk that loses writes that were not synced.

Owns a `MemoryDisk`, which outlives the storages opened on it as a real disk outlives a process, and
its injected faults. Records use the same codec and layout as on a real disk, so that errors there show
here.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from math import inf
from typing import TypeVar

from ..registry.config import ClusterConfig
from ..registry.disk import DirectoryIdentity
from ..registry.errors import IdentityRefused, StorageFailed
from ..registry.paxos.instance import Instance
from ..registry.types import Key, NodeId
from ..registry.unserved import Unserved
from .bytestore import ByteStore, Pair, Range, Unreadable
from .deferred import DeferredWrites
from .identity import RandomBytes, take
from .inline import MAX_INLINE
from .rows import Rows
from .store import RecordStore

Changes = Mapping[bytes, bytes | None]
T = TypeVar("T")


class MemoryDisk:
    """A disk in memory: its durable values, and the batches that are not synced yet.

    Attributes:
        writes: how many batches were written.
        syncs: how many syncs succeeded.
        fail_writes: how many of the next writes fail, with nothing written.
        fail_syncs: how many of the next syncs fail, with everything left unsynced.
        sync_failed: whether a sync has failed since the disk was last opened.
        damages: how often something on it was changed or lost by a fault.
        capacity: how many bytes of keys and values fit; None for no bound.
    """

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.writes = 0
        self.syncs = 0
        self.fail_writes = 0
        self.fail_syncs = 0
        self.sync_failed = False
        self.capacity: int | None = None
        self.holder: MemoryBytes | None = None
        self.values: dict[bytes, bytes] = {}
        self._size = 0
        self._durable: dict[bytes, bytes] = {}
        self._unsynced: list[Changes] = []
        self._unreadable: set[bytes] = set()
        self.damages = 0
        self._restore()

    @property
    def size(self) -> int:
        """How many bytes of keys and values it holds; `capacity` bounds them."""
        return self._size

    @property
    def unsynced(self) -> int:
        """How many batches are written but not synced."""
        return len(self._unsynced)

    def write(self, changes: Changes, *, sync: bool = True) -> None:
        """Write a batch.

        A batch whose own sync failed is not visible to reads, though it may be there after a crash:
        RocksDB makes a batch visible only after its log is synced. Earlier batches without a sync are
        visible, and may be lost.

        Raises:
            StorageFailed: if told to, or if the disk is full.
        """
        if self.fail_writes:
            self.fail_writes -= 1
            raise StorageFailed(f"a write to {self.name} failed: it was told to")
        grown = self._size + sum(self._growth(key, value) for key, value in changes.items())
        if self.capacity is not None and grown > self.capacity:
            raise StorageFailed(f"a write to {self.name} failed: no space left")
        self._unsynced.append(dict(changes))
        self.writes += 1
        if sync:
            self.sync()
        self._size = grown
        self._apply(changes)

    def sync(self) -> None:
        """Make everything written durable.

        Raises:
            StorageFailed: if told to.
        """
        if self.fail_syncs:
            self.fail_syncs -= 1
            self.sync_failed = True
            raise StorageFailed(f"a sync of {self.name} failed: it was told to")
        for changes in self._unsynced:
            _update(self._durable, changes)
        self._unsynced.clear()
        self.syncs += 1

    def crash(self, kept: int = 0) -> None:
        """Lose the unsynced batches, and the storage that has the disk open.

        Args:
            kept: how many of the unsynced batches, oldest first, had reached the disk nevertheless:
                any number is possible, whether no sync was requested or one failed. A batch is never
                torn: it is there as a whole or not at all.
        """
        for changes in self._unsynced[:kept]:
            _update(self._durable, changes)
        self._unsynced.clear()
        self.sync_failed = False
        self.holder = None
        self._restore()

    def copy(self) -> "MemoryDisk":
        """Another disk with the durable values of this one, like a backup."""
        other = MemoryDisk(self.name)
        other._durable = dict(self._durable)
        other._restore()
        return other

    def flip(self, key: bytes, position: int, mask: int = 1) -> None:
        """Change bits of one stored value, as a fault of the disk."""
        data = bytearray(self.values[key])
        data[position] ^= mask
        self.values[key] = self._durable[key] = bytes(data)
        self.damages += 1

    def lose(self, key: bytes) -> None:
        """Make the value at `key` unreadable, as a broken block of a real disk does."""
        self._unreadable.add(key)
        self.damages += 1

    def signing_key(self, known: bytes | None) -> bytes:
        """The public key in the disk's identity, or one that stands in for a key and signs nothing."""
        return known or blake2b(self.name.encode(), digest_size=32).digest()

    def has_durable(self, key: bytes) -> bool:
        """Whether `key` has a value that survives a crash."""
        return key in self._durable

    def legible(self, key: bytes) -> bool:
        """Whether the value at `key` can be read, if there is one."""
        return key not in self._unreadable

    def restore(self) -> None:
        """Make all lost values readable again."""
        self._unreadable.clear()
        self.damages += 1

    def read(self, key: bytes) -> bytes | None:
        """The value at `key`, or None.

        Raises:
            Unreadable: if it was lost.
        """
        if key in self._unreadable:
            raise Unreadable(f"a block of {self.name} cannot be read")
        return self.values.get(key)

    def keys_within(self, within: Range) -> Sequence[bytes]:
        """The keys of a range, in order."""
        start, end = within
        return self._keys[bisect_left(self._keys, start) : bisect_left(self._keys, end)]

    def _restore(self) -> None:
        self.values = dict(self._durable)
        self._keys = sorted(self.values)
        self._size = sum(len(key) + len(value) for key, value in self.values.items())

    def _growth(self, key: bytes, value: bytes | None) -> int:
        old = self.values.get(key)
        before = 0 if old is None else len(key) + len(old)
        return (0 if value is None else len(key) + len(value)) - before

    def _apply(self, changes: Changes) -> None:
        # a block that cannot be read lies under what was written since
        self._unreadable.difference_update(changes)
        for key, value in changes.items():
            if value is not None and key not in self.values:
                insort(self._keys, key)
            elif value is None and key in self.values:
                del self._keys[bisect_left(self._keys, key)]
        _update(self.values, changes)
        self._unreadable.difference_update(changes)  # a new write is in a sound block


class MemoryBytes:
    """A `ByteStore` on a `MemoryDisk`, until it is closed or the disk crashes.

    Raises:
        IdentityRefused: if the disk is open already.
    """

    def __init__(self, disk: MemoryDisk) -> None:
        if disk.holder is not None:
            raise IdentityRefused(f"{disk.name} is in use by another process")
        disk.holder = self
        self.disk = disk

    @property
    def where(self) -> str:
        """The disk's name."""
        return self.disk.name

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        return self._held().read(key)

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values at `keys`, in their order."""
        return [self._held().read(key) for key in keys]

    def write(self, changes: Changes, *, sync: bool = True) -> None:
        """One batch."""
        self._writable().write(changes, sync=sync)

    def write_deferred(self) -> None:
        """Do nothing: every write is on the disk at once."""

    def sync(self) -> None:
        """Make everything written durable."""
        self._writable().sync()

    def ascending(self, within: Range, limit: int) -> list[Pair]:
        """The first `limit` pairs of a range."""
        return self._pairs(self._held().keys_within(within)[:limit])

    def walk(self, within: Range, limit: int) -> list[Pair]:
        """As `ascending`."""
        return self.ascending(within, limit)

    def descending(self, within: Range, limit: int) -> list[Pair]:
        """The last `limit` pairs of a range, the last one first."""
        return self._pairs(self._held().keys_within(within)[::-1][:limit])

    def space(self) -> None:
        """There is no disk below."""

    def close(self) -> None:
        """Release the disk. Safe to call twice."""
        if self.disk.holder is self:
            self.disk.holder = None

    def _writable(self) -> MemoryDisk:
        if self.disk.holder is not self:
            raise StorageFailed(f"a write to {self.where} failed: it is not open any more")
        return self.disk

    def _held(self) -> MemoryDisk:
        if self.disk.holder is not self:
            raise Unreadable(f"{self.where} is not open any more")
        return self.disk

    def _pairs(self, keys: Iterable[bytes]) -> list[Pair]:
        found = ((key, self.disk.read(key)) for key in keys)
        return [(key, value) for key, value in found if value is not None]


class MemoryRows(Rows):
    """Rows in memory. Equal bytes at one place decode to the same value, so each is decoded once."""

    _KEPT = 4_096

    def __init__(self, data: ByteStore) -> None:
        super().__init__(data)
        self._known: dict[tuple[bytes, bytes], object] = {}

    def unpack(self, stored: bytes, data: bytes, kind: type[T]) -> T:
        """The value in a row."""
        value = self._known.get((stored, data))
        if not isinstance(value, kind):
            value = super().unpack(stored, data, kind)
            if len(self._known) >= self._KEPT:
                self._known.clear()
            self._known[stored, data] = value
        return value


class MemoryStorage(RecordStore):
    """The node's `Storage` on a `MemoryDisk`; `open_memory` makes it.

    Args:
        data: the bytes on the disk.
        identity, max_inline: as in `RecordStore`.
        defers: whether writes without a sync wait in memory, as they do above RocksDB; otherwise the
            disk has them at once, and a crash may keep any number of them.
    """

    def __init__(
        self,
        data: MemoryBytes,
        identity: DirectoryIdentity,
        max_inline: int = MAX_INLINE,
        *,
        defers: bool = False,
    ) -> None:
        self._disk = data.disk
        self._damages = self._disk.damages
        store: ByteStore = DeferredWrites(data) if defers else data
        super().__init__(store, identity, max_inline=max_inline, rows=MemoryRows(store))

    def load(
        self, keys: Collection[Key], max_bytes: float = inf
    ) -> Mapping[Key, Instance | Unserved]:
        """The instances of `keys`. After a damage the cache is cleared, so that it does not hide it."""
        if self._damages != self._disk.damages:
            self._damages = self._disk.damages
            self._cache.clear()
        return super().load(keys, max_bytes)


def open_memory(
    disk: MemoryDisk,
    config: ClusterConfig,
    node: NodeId,
    random_bytes: RandomBytes,
    max_inline: int = MAX_INLINE,
    *,
    joins: bool = False,
    defers: bool = False,
) -> MemoryStorage:
    """Open the node's disk, with the same checks and the same next incarnation as for a directory.

    Args:
        disk, config, node, random_bytes: as in `identity.take`.
        max_inline: how many accepted instances are kept on pages of the journal.
        joins: whether a disk that is empty joins a cluster that has formed.
        defers: whether writes without a sync wait in memory; see `MemoryStorage`.
    """
    data = MemoryBytes(disk)
    try:
        identity = take(
            data, config, node, random_bytes, disk.signing_key, fresh=not disk.values, joins=joins
        )
        return MemoryStorage(data, identity, max_inline, defers=defers)
    except Exception:
        data.close()
        raise


def _update(values: dict[bytes, bytes], changes: Changes) -> None:
    for key, value in changes.items():
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value
