"""The position of a watch in a node's feed, as a number that stays right after a crash (design 7).

A watch gets a decree before its feed entry is durable, because the decree is chosen. A crash may
take that entry, and then another one gets its index: a watch that continued after the old index
would miss the new entry. So:

* an index up to which the feed is durable is sent as it is.
* any other index is sent as *tentative*: the durable end at that time, the distance of the watch
  from it, and the node's incarnation.
* the same incarnation reads a tentative position as the index itself. The next incarnation knows
  how much of that feed it found on disk, and goes back to there at most. Later ones go back to the
  durable end. The entries between are sent again, at their new place.

A position names the feed by a hash of the disk's id (S20): the id leaves a node only to peers. The hash
is keyed with the formation, so it cannot be compared with those of another formation of the disk.

A position that does not fit into such a number waits until the entry is durable.
"""

from functools import lru_cache
from hashlib import blake2b

from ...disk import DirectoryIdentity
from ..step.node import Node

AHEAD_BITS = 9
DURABLE_BITS = 37
INCARNATION_BITS = 17
"""Together 63 bits, the size of a counter on the wire."""


def feed_of(identity: DirectoryIdentity) -> bytes:
    """S20: what positions call the feed of a directory: 16 bytes that tell nothing of the disk's id."""
    return _hashed(identity.disk_id, identity.formation or b"")


@lru_cache(maxsize=8)
def _hashed(disk_id: bytes, formation: bytes) -> bytes:
    return blake2b(disk_id, digest_size=16, key=formation, person=b"decreed-feed").digest()


def number_of(node: Node, index: int) -> int | None:
    """The position for `index` that may be sent at once; None if it must be durable first."""
    durable, incarnation = node.settled_feed_end, node.identity.incarnation
    ahead = index - durable
    if ahead <= 0:
        return index
    if ahead >> AHEAD_BITS or durable >> DURABLE_BITS or incarnation >> INCARNATION_BITS:
        return None
    return ((incarnation << DURABLE_BITS | durable) << AHEAD_BITS) | ahead


def index_of(node: Node, number: int) -> int | None:
    """The index to continue from at position `number`; None if this node never sent it."""
    incarnation, rest = divmod(number, 1 << DURABLE_BITS + AHEAD_BITS)
    durable, ahead = divmod(rest, 1 << AHEAD_BITS)
    if incarnation == 0:
        index = number
    elif incarnation == node.identity.incarnation:
        index = durable + ahead
        if node.failed:  # the entries after the durable end will never be durable
            index = min(index, node.feed_end)
    elif incarnation == node.identity.incarnation - 1:
        index = min(durable + ahead, node.found_feed_end)
    else:
        index = durable
    known = incarnation <= node.identity.incarnation and index <= node.feed_end
    return index if known else None
