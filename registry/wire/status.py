"""A node's status report to clients: itself and its peers."""

from ..types import Counter, NodeText, Value
from .handshake import IdBytes


class PeerStatus(Value, frozen=True):
    """How a node sees one of its peers."""

    node: NodeText
    address: str
    reachable: bool
    refused: str
    incarnation: Counter
    pulled: Counter


class StatusReport(Value, frozen=True, tag=75):
    """A node about itself.

    Args:
        id: the request's id.
        node, cluster_id, formation, incarnation, version: its identity.
        voting: whether it takes part in Paxos; `trouble` says why not.
        decrees: how many it has learned (the end of its feed).
        unlearned: instances in which it has accepted a proposal and does not know the outcome yet.
        prepare_quorum, accept_quorum: the quorum sizes.
        uptime_ms: milliseconds since its start.
        peers: how it sees the others.
    """

    id: Counter
    node: NodeText
    cluster_id: str
    formation: IdBytes | None
    incarnation: Counter
    version: str
    voting: bool
    trouble: str
    decrees: Counter
    unlearned: Counter
    prepare_quorum: Counter
    accept_quorum: Counter
    uptime_ms: Counter
    peers: tuple[PeerStatus, ...]
