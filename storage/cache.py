"""`InstanceCache`: the instances that were written or read recently, as values.

Owns a bounded memory and nothing else. It knows neither disks nor records.

Invariant (R13, R14): an instance in the cache equals the one in the byte store. The store adds an
instance only once its batch is written. An instance that was read is dropped if a batch was written
meanwhile, since it may be older than that batch.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from threading import Lock

from ..registry.counting import CacheCounts
from ..registry.paxos.instance import EMPTY, Instance
from ..registry.types import Decree, Key
from ..registry.unserved import Unserved

CACHE_BYTES = 32 * 1024 * 1024

_SHORT_BYTES = 256
_SHORT_COST = 1_600
"""The memory of an instance with short texts: objects, the texts, its entry in the cache."""


class InstanceCache:
    """Instances by key, least recently used evicted first. Thread-safe.

    Args:
        capacity: how many bytes of memory it may take, approximately.

    Attributes:
        counts: how often it had a key, and had it not; approximate, as other threads look too.
        grows: whether instances are added; otherwise only those that are here are kept up to date.
    """

    def __init__(self, capacity: int = CACHE_BYTES) -> None:
        self._capacity = capacity
        self._lock = Lock()
        # a plain dict would search for its oldest entry past all evicted ones
        self._kept: OrderedDict[Key, Instance] = OrderedDict()
        self._long: dict[Key, int] = {}
        self._size = 0
        self._writes = 0
        self.counts = CacheCounts()
        self.grows = True

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return self._size

    @property
    def writes(self) -> int:
        """How many batches were written; `keep` needs the value from before the read."""
        return self._writes

    def find(self, keys: Collection[Key]) -> dict[Key, Instance | Unserved]:
        """The cached instances of `keys`, in a new dict; keys that are not served are never cached."""
        found: dict[Key, Instance | Unserved] = {}
        kept = self._kept
        with self._lock:
            for key in keys:
                instance = kept.get(key)
                if instance is not None:
                    kept.move_to_end(key)
                    found[key] = instance
        self.counts.hits += len(found)
        self.counts.misses += len(keys) - len(found)
        return found

    def blank(self, keys: Iterable[Key]) -> list[Key]:
        """The ones of `keys` that are known to have no stored instance."""
        kept = self._kept
        with self._lock:
            return [key for key in keys if kept.get(key) is EMPTY]

    def written(self, instances: Mapping[Key, Instance], gone: Collection[Key] = ()) -> None:
        """Update the cache after a write: `instances` are stored now, `gone` were deleted."""
        with self._lock:
            self._writes += 1
            for key in gone:
                self._drop(key)
            kept = instances if self.grows else instances.keys() & self._kept.keys()
            if gone or kept is not instances:
                instances = {k: i for k, i in instances.items() if k in kept and k not in gone}
            self._put(instances)

    def written_whole(self, instances: Mapping[Key, Instance], longest: int) -> None:
        """Update the cache after a batch was written whole, with the longest stored form in it.

        The keys are not in the cache with anything long: they were blank, or held in a batch.
        """
        if longest > _SHORT_BYTES or not self.grows or self._long:
            self.written(instances)
            return
        with self._lock:
            self._writes += 1
            before = len(self._kept)
            self._kept.update(instances)
            self._grow(len(self._kept) - before)

    def keep(self, instances: Mapping[Key, Instance], writes: int) -> None:
        """Add instances that were read after `writes` batches; dropped if there were more since."""
        with self._lock:
            if self._writes == writes and self.grows:
                self._put(instances)

    def clear(self) -> None:
        """Drop all instances."""
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
            # nearly all are short and counted by number: measuring one costs more than storing it
            decree = instance.learned or _proposed(instance)
            if (long and key in long) or (decree is not None and _is_long(key, decree)):
                self._measure(key, instance)
        self._grow(len(kept) - before)

    def _grow(self, count: int) -> None:
        """Count so many new instances, and evict the oldest ones over the capacity."""
        self._size += _SHORT_COST * count
        while self._size > self._capacity:
            self._drop(next(iter(self._kept)))

    def _measure(self, key: Key, instance: Instance) -> None:
        """Count the extra memory of a long instance over a short one; replaces an earlier count."""
        decrees = (instance.learned, _proposed(instance))
        length = sum(_length(key, decree) for decree in decrees if decree is not None)
        self._size += length - self._long.get(key, 0)
        self._long[key] = length
        self._kept.move_to_end(key)

    def _drop(self, key: Key) -> None:
        if self._kept.pop(key, None) is not None:
            self._size -= _SHORT_COST + self._long.pop(key, 0)


def _is_long(key: Key, decree: Decree) -> bool:
    texts = len(decree.note) + len(decree.claimant)
    return len(key) + len(decree.value) + 4 * texts > _SHORT_BYTES


def _length(key: Key, decree: Decree) -> int:
    """The bytes of the parts that may be long; a character of a text may take four."""
    return len(key) + len(decree.value) + 4 * (len(decree.note) + len(decree.claimant))


def _proposed(instance: Instance) -> Decree | None:
    return instance.accepted.decree if instance.accepted is not None else None
