"""The status report of a node."""

from ..types import NodeId
from ..wire.status import PeerStatus, StatusReport
from .parts import Parts
from .step.node import refusal


def status_report(parts: Parts, version: str, request_id: int, now_ms: float) -> StatusReport:
    """The report on the node of these parts, `now_ms` after its start."""
    node = parts.node
    return StatusReport(
        request_id,
        node.name,
        node.identity.cluster_id,
        node.identity.formation,
        node.identity.incarnation,
        version,
        node.voting,
        "" if node.voting else refusal(node)[1],
        node.feed_end,
        parts.acceptors.unlearned,
        node.config.quorums.prepare,
        node.config.quorums.accept,
        max(0, int(now_ms)),
        tuple(_peer_status(parts, peer) for peer in node.others),
    )


def _peer_status(parts: Parts, peer: NodeId) -> PeerStatus:
    node, membership = parts.node, parts.membership
    known = membership.known(peer)
    return PeerStatus(
        peer,
        dict(node.config.addresses)[peer],
        peer in node.reachable,
        membership.refused.get(peer, ""),
        known.incarnation if known is not None else 0,
        parts.catchup.cursor(peer),
    )
