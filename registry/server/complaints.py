"""What is wrong between this node and its peers, in the log: each once, until it is mended."""

from ..types import NodeId
from . import log


class Complaints:
    """The last complaint about each peer."""

    def __init__(self) -> None:
        self._said: dict[NodeId, str] = {}

    def say(self, peer: NodeId, event: str, reason: str) -> bool:
        """Write a line, unless the last one about this peer gave that reason; returns if it did."""
        is_news = self._said.get(peer) != reason
        if is_news:
            self._said[peer] = reason
            log.error(event, peer=peer, reason=reason)
        return is_news

    def mended(self, peer: NodeId) -> None:
        """There is a sound link to a peer: what comes later is news."""
        self._said.pop(peer, None)
