"""What a node says when it is asked for its status."""

from typing import TYPE_CHECKING

from ..types import NodeId
from ..wire.status import PeerStatus, StatusReport
from .node import refusal

if TYPE_CHECKING:
    from .replica import Replica


def status_report(replica: "Replica", request_id: int, now_ms: float) -> StatusReport:
    """A report on the node that `replica` is, at `now_ms` since it started."""
    node = replica.node
    return StatusReport(
        request_id,
        node.name,
        node.identity.cluster_id,
        node.identity.formation,
        node.identity.incarnation,
        replica.version,
        node.voting,
        "" if node.voting else refusal(node)[1],
        node.feed_end,
        replica.unlearned,
        node.config.quorums.prepare,
        node.config.quorums.accept,
        max(0, int(now_ms)),
        tuple(_peer_status(replica, peer) for peer in node.others),
    )


def _peer_status(replica: "Replica", peer: NodeId) -> PeerStatus:
    node, membership = replica.node, replica.membership
    known = membership.known(peer)
    return PeerStatus(
        peer,
        dict(node.config.addresses)[peer],
        peer in node.reachable,
        membership.refused.get(peer, ""),
        known.incarnation if known is not None else 0,
        replica.catchup.cursor(peer),
    )
