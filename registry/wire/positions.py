"""Places in the feed of a node, where watches go on."""

from ..types import Counter, NodeText, Value
from .handshake import IdBytes


class Position(Value, frozen=True):
    """A place in a feed of `node`. Only the node knows what `index` means.

    `feed` is a hash of the id of the disk with that feed: the id itself is for peers alone (S20).
    """

    node: NodeText
    feed: IdBytes
    index: Counter
