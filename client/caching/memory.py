"""Decrees in memory, bounded by number and by bytes; least recently used dropped first. No I/O."""

from collections import OrderedDict

from ...registry.types import Decree

# memory of a decree besides its texts and bytes: the objects, and its entry in the table
OVERHEAD_BYTES = 512


class Memory:
    """A bounded table of decrees, which never change. Reading is safe from any thread.

    Args:
        max_decrees: how many it holds at most.
        max_bytes: their total size at most, approximately.
    """

    def __init__(self, max_decrees: int, max_bytes: int) -> None:
        self._max_decrees = max_decrees
        self._max_bytes = max_bytes
        self._bytes = 0
        self._table: OrderedDict[str, Decree] = OrderedDict()

    def __len__(self) -> int:
        return len(self._table)

    def get(self, key: str) -> Decree | None:
        """The decree of `key`, if it is held; this makes it the most recently used."""
        decree = self._table.get(key)
        if decree is not None:
            try:
                self._table.move_to_end(key)
            except KeyError:
                # dropped by another thread since; a decree stays true
                return decree
        return decree

    def put(self, decree: Decree) -> None:
        """Hold `decree`, and drop others if there is no room; one larger than the bound is not held."""
        size = size_of(decree)
        if decree.key in self._table or size > self._max_bytes:
            return
        self._table[decree.key] = decree
        self._bytes += size
        while len(self._table) > self._max_decrees or self._bytes > self._max_bytes:
            _, dropped = self._table.popitem(last=False)
            self._bytes -= size_of(dropped)

    def recount(self) -> None:
        """Sum the sizes again: a fork may have happened between adding a decree and its size."""
        # copied to a list in one step, since other threads may read meanwhile
        self._bytes = sum(map(size_of, list(self._table.values())))

    def clear(self) -> None:
        """Drop everything."""
        self._table.clear()
        self._bytes = 0


def size_of(decree: Decree) -> int:
    """The approximate number of bytes of memory that `decree` takes."""
    texts = len(decree.key) + len(decree.content_type) + len(decree.claimant) + len(decree.note)
    return OVERHEAD_BYTES + len(decree.value) + len(decree.claim_id) + texts
