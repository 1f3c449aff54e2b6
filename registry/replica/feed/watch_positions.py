"""Where a watch stands in a node's feed, as a number that stays right whatever a crash takes.

A decree is chosen, so it is told before its feed entry is durable. A crash may take that entry, and
then another one gets its index: who went on behind the old index would miss the new entry. So:

* an index up to which the feed is durable is told as it is.
* any other is told as *tentative*: how far the feed was durable then, how far ahead of that the watch
  was, and the incarnation of the node that said so.
* the incarnation that said it takes it at its word. The next one knows how much of that
incarnation's feed it has
  found, and goes back to there at most; a later one goes back to what was durable. What lies between
  is told again, at its new place.

What does not fit into such a number is told behind a sync.
"""

from ..step.node import Node

AHEAD_BITS = 9
DURABLE_BITS = 37
INCARNATION_BITS = 17
"""Together 63, as many as a counter on the wire has."""


def number_of(node: Node, index: int) -> int | None:
    """The number that tells `index` at once; None if it may be told only once it is durable."""
    durable, incarnation = node.settled_feed_end, node.identity.incarnation
    ahead = index - durable
    if ahead <= 0:
        return index
    if ahead >> AHEAD_BITS or durable >> DURABLE_BITS or incarnation >> INCARNATION_BITS:
        return None
    return ((incarnation << DURABLE_BITS | durable) << AHEAD_BITS) | ahead


def index_of(node: Node, number: int) -> int | None:
    """From where to go on behind `number`; None if this node's disk cannot have told it."""
    incarnation, rest = divmod(number, 1 << DURABLE_BITS + AHEAD_BITS)
    durable, ahead = divmod(rest, 1 << AHEAD_BITS)
    if incarnation == 0:
        index = number
    elif incarnation == node.identity.incarnation:
        index = durable + ahead
        if node.failed:  # what it was ahead of will never be durable
            index = min(index, node.feed_end)
    elif incarnation == node.identity.incarnation - 1:
        index = min(durable + ahead, node.found_feed_end)
    else:
        index = durable
    known = incarnation <= node.identity.incarnation and index <= node.feed_end
    return index if known else None
