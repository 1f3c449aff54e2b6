"""`InstanceCache`: the instances that were written or read last, as values.

Owns a bounded memory and nothing else. It knows neither disks nor records.

Invariant (R13, R14): what it gives is what the byte store holds. The store puts an instance in only
once its batch is written; and what a reader found is dropped if a batch was written meanwhile,
since it may be older than that batch.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from threading import Lock

from ..registry.paxos.instance import Instance
from ..registry.types import Key

CACHE_BYTES = 32 * 1024 * 1024

_OVERHEAD_BYTES = 1_300
"""What an instance takes besides its long texts: objects, short texts, its place in the cache."""


class InstanceCache:
    """Instances by key; those go first that were not asked for the longest.

    Threads may use it side by side.

    Args:
        capacity: how many bytes of memory it may take, as far as they can be told.
    """

    def __init__(self, capacity: int = CACHE_BYTES) -> None:
        self._capacity = capacity
        self._lock = Lock()
        # a plain dict would look for its oldest entry behind all that were dropped
        self._kept: OrderedDict[Key, tuple[Instance, int]] = OrderedDict()
        self._size = 0
        self._writes = 0

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return self._size

    @property
    def writes(self) -> int:
        """How many batches it has seen; `keep` asks for what this was before the reading."""
        return self._writes

    def find(self, keys: Iterable[Key]) -> dict[Key, Instance]:
        """What it has of `keys`."""
        found: dict[Key, Instance] = {}
        kept = self._kept
        with self._lock:
            for key in keys:
                entry = kept.get(key)
                if entry is not None:
                    kept.move_to_end(key)
                    found[key] = entry[0]
        return found

    def written(self, instances: Mapping[Key, Instance], gone: Collection[Key] = ()) -> None:
        """A batch is written: these are the instances now, and of those that are `gone` none is."""
        with self._lock:
            self._writes += 1
            for key in gone:
                self._drop(key)
            self._put({k: i for k, i in instances.items() if k not in gone} if gone else instances)

    def keep(self, instances: Mapping[Key, Instance], writes: int) -> None:
        """These were read, when as many batches had been written as `writes` says."""
        with self._lock:
            if self._writes == writes:
                self._put(instances)

    def clear(self) -> None:
        """Forget all of it."""
        with self._lock:
            self._kept.clear()
            self._size = 0

    def _put(self, instances: Mapping[Key, Instance]) -> None:
        kept, total = self._kept, self._size
        for key, instance in instances.items():
            before = kept.pop(key, None)
            size = _size(key, instance)
            kept[key] = instance, size
            total += size if before is None else size - before[1]
        while total > self._capacity:
            _, (_, size) = kept.popitem(last=False)
            total -= size
        self._size = total

    def _drop(self, key: Key) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self._size -= entry[1]


def _size(key: Key, instance: Instance) -> int:
    """The bytes of what may be long; a character of a text may take four."""
    size = _OVERHEAD_BYTES + len(key)
    accepted, learned = instance.accepted, instance.learned
    if accepted is not None:
        decree = accepted.decree
        size += len(decree.value) + 4 * (len(decree.note) + len(decree.claimant))
    if learned is not None:
        size += len(learned.value) + 4 * (len(learned.note) + len(learned.claimant))
    return size
