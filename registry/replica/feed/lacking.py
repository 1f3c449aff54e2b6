"""Whether decrees had better come along with the pages of a feed, rather than be fetched one by one.

That is so for a node that lacks most of a feed. It has no bearing on safety: what does not come with a
page is fetched later.
"""

from collections.abc import Sequence

from ...types import Decree, NodeId

LIGHT_BYTES = 4_096
"""Two pages of decrees with such values fit into the queue of a link, and larger ones are fetched."""


class Lacking:
    """What the last pages of feeds had shown."""

    def __init__(self) -> None:
        self._lacking: set[NodeId] = set()
        self._late: set[NodeId] = set()
        self._is_light = True

    def most_of(self, peer: NodeId) -> bool:
        """Whether a feed told mostly what was new here, in small values, and in time."""
        return self._is_light and peer in self._lacking and peer not in self._late

    def note(self, peer: NodeId, wanted: int, told: int) -> None:
        """Note that of so many entries of a page so many were wanted."""
        if 2 * wanted > told:
            self._lacking.add(peer)
        else:
            self._lacking.discard(peer)

    def weigh(self, decrees: Sequence[Decree]) -> None:
        """Note how large the values are that come."""
        if self._lacking:
            self._is_light = sum(len(one.value) for one in decrees) <= LIGHT_BYTES * len(decrees)

    def on_late(self, peer: NodeId) -> None:
        """Something did not come in time: fetch the decrees of the next page."""
        self._late.add(peer)

    def on_complete(self, peer: NodeId, *, with_decrees: bool) -> None:
        """A page is complete; if its decrees were fetched, they may come along with the next one."""
        if not with_decrees:
            self._late.discard(peer)
