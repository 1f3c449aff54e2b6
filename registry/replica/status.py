"""The status report of a node."""

from ..identity import Identity
from ..policy.document import Right
from ..policy.rights import CLUSTER, Allowed
from ..types import NodeId
from ..wire.marks import FeedMark, MarkTold
from ..wire.status import CertificatePart, PeerStatus, QuotaUse, StatusReport
from .alarms import alarms_of
from .parts import Parts
from .step.node import Node, no_room, refusal

MAX_WORDS = 1_000
"""The most characters of what is said of damage."""


def status_report(
    parts: Parts,
    version: str,
    request_id: int,
    now_ms: float,
    quotas: tuple[QuotaUse, ...] = (),
    *,
    clients: bool = True,
) -> StatusReport:
    """The report on the node of these parts, `now_ms` after its start.

    Args:
        parts: of the node.
        version: of decreed.
        request_id: of the request.
        now_ms: the time.
        quotas: those whose use the caller may know.
        clients: whether the caller may know who is connected as a client.
    """
    node, secured, space = parts.node, parts.node.secured, parts.node.disk.space
    return StatusReport(
        request_id,
        node.name,
        parts.addresses.of(node.name),
        node.identity.cluster_id,
        node.identity.formation,
        node.identity.incarnation,
        version,
        node.accepts,
        "; ".join(filter(None, (_trouble(node), parts.catchup.trouble))),
        node.feed_end,
        parts.acceptors.unlearned,
        node.quorums.prepare,
        node.quorums.accept,
        max(0, int(now_ms)),
        tuple(_peer_status(parts, peer) for peer in node.other_members),
        *parts.scrubbing.summary(now_ms),
        len(parts.withholding.keys),
        node.epoch.number,
        _observes(node),
        parts.catchup.ends.lag if node.others and node.reachable else None,
        node.met_damage.count,
        node.met_damage.first[:MAX_WORDS],
        len(node.guests - node.observers),
        secured.expires_ms,
        secured.fault,
        tuple([c for c in secured.certificates if clients or c.part is not CertificatePart.CLIENT]),
        parts.policies.obeyed,
        parts.policies.known,
        parts.confirming.is_confirmed(now_ms),
        parts.policies.fault[:MAX_WORDS],
        quotas,
        alarms_of(parts, now_ms),
        space.free_bytes if space is not None else None,
        space.size_bytes if space is not None else None,
        node.disk.used_bytes,
        max(0, node.disk.grows_bytes),
    )


def bare_report(
    parts: Parts, version: str, request_id: int, quotas: tuple[QuotaUse, ...] = ()
) -> StatusReport:
    """What everybody may know of a node: its name and version, if it takes part, and the own quotas."""
    node = parts.node
    known = (request_id, node.name, "", "", None, 0, version, node.accepts)
    return StatusReport(*known, "", 0, 0, 0, 0, 0, (), quotas=quotas)


def uses_for(parts: Parts, identity: Identity, wall_ms: int) -> tuple[QuotaUse, ...]:
    """The use of quotas that somebody may know: an administrator of all, everybody of his own."""
    return parts.quotas.uses(None if administers(parts, identity, wall_ms) else identity)


def administers(parts: Parts, identity: Identity, wall_ms: int) -> bool:
    """Whether somebody may know of others: who is connected, and what they have used."""
    return isinstance(parts.policies.may(identity, Right.ADMIN, CLUSTER, wall_ms), Allowed)


def mark_told(parts: Parts, request_id: int) -> MarkTold:
    """Where the feed of this node ends, durably, unless it knows of damage on its disk."""
    node, identity = parts.node, parts.node.identity
    is_sound = not (
        parts.withholding.keys or node.met_damage.count or parts.scrubbing.summary(0.0)[1]
    )
    if not (node.voting and is_sound):
        return MarkTold(request_id, node.name, None)
    place = (identity.disk_id, identity.incarnation, node.settled_feed_end)
    return MarkTold(request_id, node.name, FeedMark(node.name, *place))


def _observes(node: Node) -> bool:
    return node.observes and node.formed and not node.takes_part and not node.failed


def _trouble(node: Node) -> str:
    """Why a node does not do what it was started for."""
    if node.undialled and not node.failed:
        return node.undialled
    if node.voting:
        return no_room(node) if node.is_full else ""
    if not _observes(node):
        return refusal(node)[1]
    return "" if node.reachable else f"no member is linked to {node.name}, which may be behind"


def _peer_status(parts: Parts, peer: NodeId) -> PeerStatus:
    node, membership = parts.node, parts.membership
    known = membership.known(peer)
    return PeerStatus(
        peer,
        parts.addresses.of(peer),
        peer in node.reachable,
        membership.refused.get(peer, ""),
        known.incarnation if known is not None else 0,
        parts.catchup.cursor(peer),
    )
