"""Marks: how far the feed of each voter is in a snapshot, so that a joiner need not read that again.

A mark is taken before the first page of a save is asked for. `replica.feed.marks` has what follows.
"""

from ..types import Counter, NodeText, Value
from .handshake import IdBytes


class FeedMark(Value, frozen=True):
    """Below `index`, the snapshot has every decree of the feed of a node, except for reserved keys.

    Args:
        node: whose feed it is.
        disk_id: of the directory that has this feed.
        incarnation: how often that was opened, when it told this.
        index: its feed was durable up to here.
    """

    node: NodeText
    disk_id: IdBytes
    incarnation: Counter
    index: Counter


class MarkRequest(Value, frozen=True, tag=78):
    """Ask a node where its feed ends, for a snapshot that is begun or completed. Answer: `MarkTold`."""

    id: Counter


class MarkTold(Value, frozen=True, tag=77):
    """Where the feed of a node ends.

    Args:
        id: the request's id.
        node: the node.
        mark: None if it knows of damage on its disk, or takes no part: its feed is read whole then.
    """

    id: Counter
    node: NodeText
    mark: FeedMark | None
