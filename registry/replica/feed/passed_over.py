"""How far feeds are read past keys whose records cannot be read here.

Such a key cannot be learned, and one bad record must not stop a feed. So the node reads on behind it,
in memory alone, as behind a base (M17): the cursor stays before the key. When the record can be read
again and the node starts again, it meets the key again and learns it. When it takes an epoch over
before that, it withholds the key (M18): a value is chosen there, and its own record may not show that.

Invariant kept here: a cursor passes over no key that is not learned, forgotten or, durably, withheld
here (M08, M18).
"""

from collections.abc import Collection

from msgspec import Struct

from ...types import Key, NodeId


class _Reading(Struct, eq=False):
    """One feed: the keys that were passed over, and how far it is read behind them."""

    keys: set[Key]
    index: int


class PassedOver:
    """All feeds in which a key was passed over."""

    def __init__(self) -> None:
        self._feeds: dict[NodeId, _Reading] = {}

    @property
    def feeds(self) -> Collection[NodeId]:
        """The peers in whose feeds something was passed over."""
        return self._feeds.keys()

    @property
    def keys(self) -> frozenset[Key]:
        """All keys that were passed over and are not settled yet."""
        return frozenset[Key]().union(*(feed.keys for feed in self._feeds.values()))

    def index(self, peer: NodeId) -> int:
        """How far a feed is read behind such a key; 0 if it has none."""
        feed = self._feeds.get(peer)
        return feed.index if feed is not None else 0

    def read_on(self, peer: NodeId, index: int, keys: Collection[Key]) -> bool:
        """A page up to `index` is read, except for these keys; returns whether the cursor must stay."""
        feed = self._feeds.get(peer)
        if feed is None and not keys:
            return False
        if feed is None:
            feed = self._feeds[peer] = _Reading(set(), 0)
        feed.keys.update(keys)
        feed.index = max(feed.index, index)
        return True

    def settled(self, keys: Collection[Key]) -> list[tuple[NodeId, int]]:
        """These keys are learned or forgotten here.

        Returns:
            The peers whose feeds lack nothing now, and how far each is read.
        """
        for feed in self._feeds.values():
            feed.keys.difference_update(keys)
        whole = [(peer, feed.index) for peer, feed in self._feeds.items() if not feed.keys]
        for peer, _ in whole:
            del self._feeds[peer]
        return whole

    def forget(self, peer: NodeId) -> None:
        """Another disk has this name now."""
        self._feeds.pop(peer, None)
