"""Whether a refusal of this node's directory is borne out by that directory itself. S06.

A node whose directory has lost something must end, and it cannot know that by itself: its peers
remember more. But a mistake of one peer must not end a node whose directory is sound. So a refusal
carries what the peer remembers, and the node ends only if its own directory cannot agree with that.
"""

from ..wire.handshake import Evidence
from ..wire.peers import SeatTold
from .step.node import Node


def is_borne_out(evidence: Evidence, node: Node, seat: SeatTold) -> bool:
    """Whether this node's directory must have lost something, if the evidence is true.

    Args:
        evidence: what a peer remembers of the directory that has this node's name.
        node: who we are.
        seat: our seat, as peers are told of it.
    """
    if evidence.disk_id != node.identity.disk_id:
        return _has_lost_its_name(evidence, node)
    return (
        _is_without_incarnation(evidence, node)
        # its feed has grown since it was opened, so its end now says nothing
        or evidence.feed_end > node.found_feed_end
        or _has_other_key(evidence, node)
        or _shows_less(evidence, seat)
    )


def _has_lost_its_name(evidence: Evidence, node: Node) -> bool:
    """Another directory has the name: by a decree that this one cannot deny, or since it is wiped.

    A directory that has formed is in the formation's id, so no peer of that formation remembers
    another one, except by a later decree (M20).
    """
    if not evidence.epoch:
        return not node.formed
    is_news = evidence.epoch > node.seat.known
    return is_news or node.epoch.disk_of(node.name) == evidence.disk_id


def _is_without_incarnation(evidence: Evidence, node: Node) -> bool:
    if not evidence.incarnation:
        return False
    had = node.history.incarnation(evidence.incarnation)
    return had is None or had.nonce != evidence.nonce


def _has_other_key(evidence: Evidence, node: Node) -> bool:
    return evidence.signing_key not in (None, node.identity.signing_key)


def _shows_less(evidence: Evidence, seat: SeatTold) -> bool:
    """M22: as `Seats` compares what a directory told before with what it tells now."""
    ours, theirs = (-1 if one is None else one for one in (seat.ready, evidence.ready))
    if seat.known < evidence.known or ours < theirs:
        return True
    return ours == theirs > 0 and seat.since != evidence.since
