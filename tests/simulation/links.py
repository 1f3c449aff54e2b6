"""Links between nodes, as the real server has them: one each way, dialled by the node that sends on it.

This module owns the links, and when each node heard each other. It does nothing by itself:
`link_faults` dials, delivers and checks. Both ends notice when a link breaks. A node is suspected no
longer once it is heard again.
"""

from dataclasses import dataclass

from decreed.registry.types import NodeId

from .network import Pair


@dataclass(slots=True, eq=False)
class Link:
    """One connection.

    Attributes:
        number: identifies it, to the nodes too.
        pair: the node that dialled, and the one that it dialled; messages go only this way.
        since_ms: when it was dialled.
        used: both ends have checked each other.
        open: it was not reset.
        left: the one that was dialled has noticed its end; a server takes no hello from it any more.
        pinged: the content of the last ping on it.
    """

    number: int
    pair: Pair
    since_ms: float
    used: bool = False
    open: bool = True
    left: bool = False
    pinged: tuple[int, bool] | None = None


class Links:
    """All links of a cluster, and when each node heard each other.

    Attributes:
        current: the link of each pair, while it is dialled or used.
        redial_ms: the earliest time to dial a pair without a link again.
    """

    def __init__(self) -> None:
        self.current: dict[Pair, Link] = {}
        self.redial_ms: dict[Pair, float] = {}
        self._numbered: dict[int, Link] = {}
        self._heard_ms: dict[Pair, float] = {}
        self._voting: dict[Pair, bool] = {}
        self._said: dict[Pair, bool] = {}

    def dial(self, pair: Pair, now_ms: float) -> Link:
        """Begin a link, which replaces an earlier one."""
        self.close(pair)
        link = Link(len(self._numbered) + 1, pair, now_ms)
        self.current[pair] = self._numbered[link.number] = link
        return link

    def numbered(self, number: int) -> Link:
        """The link with this number, which may be closed."""
        return self._numbered[number]

    def usable(self, pair: Pair) -> Link | None:
        """The link to send on."""
        link = self.current.get(pair)
        return link if link is not None and link.used else None

    def close(self, pair: Pair) -> bool:
        """Reset a link: what is on it is lost. Returns whether there was one in use."""
        link = self.current.pop(pair, None)
        if link is None:
            return False
        link.open = False
        return link.used

    def let_go(self, pair: Pair) -> None:
        """The sender is gone; messages that are on the link still arrive."""
        self.current.pop(pair, None)

    # -- who was heard; here a pair is the node that listens and the node that is heard

    def hear(self, pair: Pair, now_ms: float, voting: bool) -> None:
        """The first of the pair heard the other, which says whether it votes."""
        self._heard_ms[pair] = now_ms
        self._voting[pair] = voting

    def hear_no_more(self, pair: Pair) -> None:
        """The link on which the first heard the other has ended."""
        self._heard_ms.pop(pair, None)

    def suspect(self, pair: Pair, reachable: bool) -> None:
        """The first was told whether it can reach the other, rightly or not."""
        self._said[pair] = reachable

    def forget(self, node: NodeId) -> None:
        """A node has died, so what it heard is gone."""
        for known in (self._heard_ms, self._voting, self._said):
            for pair in [pair for pair in known if pair[0] == node]:
                del known[pair]

    def news(self, pair: Pair, since_ms: float) -> bool | None:
        """Whether the first of the pair can reach the other; None if it knows that already.

        Args:
            since_ms: the other must have been heard since then.
        """
        heard = self._heard_ms.get(pair, float("-inf")) > since_ms and self._voting[pair]
        reachable = heard and self.usable(pair) is not None
        if reachable == self._said.get(pair, False):
            return None
        self._said[pair] = reachable
        return reachable
