"""`InstanceCache`: the instances that were written or read last, as values.

Owns a bounded memory and nothing else. It knows neither disks nor records.

Invariant (R13, R14): what it gives is what the byte store holds. The store puts an instance in only
once its batch is written; and what a reader found is dropped if a batch was written meanwhile,
since it may be older than that batch.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from threading import Lock

from ..registry.disk import Unserved
from ..registry.paxos.instance import EMPTY, Instance
from ..registry.types import Decree, Key

CACHE_BYTES = 32 * 1024 * 1024

_SHORT_BYTES = 256
_SHORT_COST = 1_600
"""What an instance with short texts takes: objects, the texts, its place in the cache."""


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
        self._kept: OrderedDict[Key, Instance] = OrderedDict()
        self._long: dict[Key, int] = {}
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

    def find(self, keys: Iterable[Key]) -> dict[Key, Instance | Unserved]:
        """What it has of `keys`, to be added to; it has nothing of what is not served."""
        found: dict[Key, Instance | Unserved] = {}
        kept = self._kept
        with self._lock:
            for key in keys:
                instance = kept.get(key)
                if instance is not None:
                    kept.move_to_end(key)
                    found[key] = instance
        return found

    def blank(self, keys: Iterable[Key]) -> list[Key]:
        """Those of `keys` that it knows to have nothing stored."""
        kept = self._kept
        with self._lock:
            return [key for key in keys if kept.get(key) is EMPTY]

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
            self._long.clear()
            self._size = 0

    def _put(self, instances: Mapping[Key, Instance]) -> None:
        kept, long = self._kept, self._long
        before = len(kept)
        for key, instance in instances.items():
            kept[key] = instance
            if instance is EMPTY:
                continue
            # nearly all are short, and counted by number: to measure each costs more than to keep it
            decree = instance.learned or _proposed(instance)
            if key in long or (decree is not None and _length(key, decree) > _SHORT_BYTES):
                self._measure(key, instance)
        self._size += _SHORT_COST * (len(kept) - before)
        while self._size > self._capacity:
            self._drop(next(iter(kept)))

    def _measure(self, key: Key, instance: Instance) -> None:
        """Count what a long instance takes above a short one, instead of what it took before."""
        decrees = (instance.learned, _proposed(instance))
        length = sum(_length(key, decree) for decree in decrees if decree is not None)
        self._size += length - self._long.get(key, 0)
        self._long[key] = length
        self._kept.move_to_end(key)

    def _drop(self, key: Key) -> None:
        if self._kept.pop(key, None) is not None:
            self._size -= _SHORT_COST + self._long.pop(key, 0)


def _length(key: Key, decree: Decree) -> int:
    """The bytes of what may be long; a character of a text may take four."""
    return len(key) + len(decree.value) + 4 * (len(decree.note) + len(decree.claimant))


def _proposed(instance: Instance) -> Decree | None:
    return instance.accepted.decree if instance.accepted is not None else None
