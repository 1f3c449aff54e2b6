"""What was learned lately, so that a peer's feed and our own cost no disk reads while in step.

Owns a bounded copy of the end of this node's feed. Invariant: the entry behind the last one that was
added is the next one of the feed, so that a position in one is a position in the other.
"""

from collections.abc import Mapping, Sequence

from ..types import Key
from ..wire.peers import DIGEST_BYTES

CAPACITY = 65_536
_DROPPED = 1_024
"""So many of the oldest go at once; one at a time would cost more than all else here."""


class Recent:
    """The last keys of the feed and the digests of their decrees; the oldest go first.

    Args:
        start: where the feed ended when this node started.
    """

    def __init__(self, start: int = 0) -> None:
        self._start = start
        self._keys: list[Key] = []
        self._digests: list[bytes] = []
        self._by_key: dict[Key, bytes] = {}

    def add(self, digests: Mapping[Key, bytes]) -> None:
        """These keys were learned, with decrees of these digests; the feed has so many entries more."""
        self._keys += digests.keys()
        self._digests += digests.values()
        self._by_key.update(digests)
        while len(self._keys) >= CAPACITY + _DROPPED:
            self._drop()

    def page(self, start: int, end: int) -> tuple[tuple[Key, ...], bytes] | None:
        """The entries from `start` up to `end` in the columns of a page; None if some are gone."""
        first, behind = start - self._start, end - self._start
        if not 0 <= first <= behind <= len(self._keys):
            return None
        return tuple(self._keys[first:behind]), b"".join(self._digests[first:behind])

    def news(self, keys: Sequence[Key], digests: bytes) -> Sequence[tuple[Key, bytes]]:
        """Those entries of a page that are not known to have been learned with just this digest."""
        known = self._by_key.get
        if b"".join([known(key, b"") for key in keys]) == digests:
            return ()  # in step, as nearly always: one look-up a key, and one comparison for all
        each = [digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)]
        pairs = zip(keys, each, strict=True)
        return [(key, digest) for key, digest in pairs if known(key) != digest]

    def _drop(self) -> None:
        for key in self._keys[:_DROPPED]:
            self._by_key.pop(key, None)
        del self._keys[:_DROPPED]
        del self._digests[:_DROPPED]
        self._start += _DROPPED
