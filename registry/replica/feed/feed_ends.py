"""How long the feeds of peers are, as they told last, and how much of them is not read here."""

from collections.abc import Callable, Collection, Iterable

from ...types import NodeId
from ...wire.peers import Ping
from ..step.node import Node
from ..step.step_builder import StepBuilder
from .feed_faults import FeedFaults


class FeedEnds:
    """Where the feeds of peers end.

    Args:
        node: who we are.
        read_end: gives up to where a peer's feed is read.
        faults: the feeds that cannot be read on.
    """

    def __init__(self, node: Node, read_end: Callable[[NodeId], int], faults: FeedFaults) -> None:
        self._node = node
        self._read_end = read_end
        self._faults = faults
        self._ends: dict[NodeId, int] = {}

    @property
    def met(self) -> Collection[NodeId]:
        """The peers that have told how long their feeds are."""
        return self._ends.keys()

    def on_ping(self, step: StepBuilder, sender: NodeId, ping: Ping) -> None:
        """Note the length of a peer's feed."""
        self._ends[sender] = ping.feed_end

    def end_of(self, peer: NodeId) -> int | None:
        """How long a peer says that its feed is; None if it has not said."""
        return self._ends.get(peer)

    def reaches(self, peer: NodeId, end: int) -> None:
        """A peer has told of entries below `end`, which no ping may have named."""
        self._ends[peer] = max(end, self._ends.get(peer, 0))

    def forget(self, peer: NodeId) -> None:
        """Another disk has this name now."""
        self._ends.pop(peer, None)

    def unread(self, peer: NodeId) -> int:
        """How many entries of a peer's feed are not read; not above 0 if none is known."""
        return self._ends.get(peer, 0) - self._read_end(peer)

    def behind(self, peer: NodeId, end: int) -> int:
        """How many entries are not read yet of the feed of a peer, which ends at `end`.

        If that peer's feed is not read here, it is of the feed that is read furthest. If that peer
        cannot read its feed, it is of another voter's: one whole series will do (M09).
        """
        lag = self.lag
        if peer in self._faults:
            lag = self._least_lag(node for node in self._node.others if node not in self._faults)
        elif peer in self._node.sources:
            lag = end - self._read_end(peer)
        return end if lag is None else max(0, lag)

    @property
    def lag(self) -> int | None:
        """How many entries of the feed that is read furthest are not read yet, if any is known.

        A node without a vote tells how long its feed is too, and nobody reads it.
        """
        return self._least_lag(self._node.sources)

    def _least_lag(self, peers: Iterable[NodeId]) -> int | None:
        known = (peer for peer in peers if peer in self._ends)
        return min((max(0, self.unread(peer)) for peer in known), default=None)
