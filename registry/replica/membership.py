"""Membership: forming once, and refusing directories that have lost something (design 8).

A forgotten promise breaks Paxos (R13), so a disk that was wiped, copied or rolled back must never
vote. Every node remembers each peer's disk id and the last incarnation that it met, by number and
nonce. It refuses a peer that contradicts that memory, whichever other nodes are up. A later
incarnation must show that the remembered one is in the past of its own directory
(`IncarnationHistory`): with a count alone, an older copy that was opened often enough would be
admitted. A node with a fresh directory takes no part until every member has confirmed that it has
durably recorded the node's disk id. Until then no peer could tell it from a wiped one.

The formation id names this formation of the cluster. It is the hash of the cluster id and all disk
ids, so nodes that formed together compute the same id without a further agreement.
"""

import hashlib
from collections.abc import Iterable

from ..config import ClusterConfig
from ..disk import CursorRecord, FormationRecord, PeerRecord
from ..errors import DecreedError, IdentityRefused, Refused
from ..types import NodeId
from ..wire.handshake import (
    MAGIC,
    VERSION,
    Incarnation,
    PeerHello,
    PeerIdentity,
    PeerRecall,
    PeerWelcome,
    Refusal,
)
from .step.effects import AskPast, Reject, Send, UseLink, Welcome
from .step.events import Greeted, Link, Welcomed
from .step.node import Node, refusal
from .step.step_builder import StepBuilder


class Membership:
    """What a node knows of its peers.

    Args:
        node: who we are.
        peers: what was remembered of them.
        cursors: how far their feeds have been read; shared with `CatchUp`.
    """

    def __init__(
        self, node: Node, peers: Iterable[PeerRecord], cursors: dict[NodeId, CursorRecord]
    ) -> None:
        self._node = node
        self._peers = {peer.node: peer for peer in peers}
        self._cursors = cursors
        self._confirmed: set[NodeId] = set()
        self.refused: dict[NodeId, str] = {}

    def known(self, node: NodeId) -> PeerRecord | None:
        """What is remembered of a peer."""
        return self._peers.get(node)

    def disk_of(self, node: NodeId) -> bytes | None:
        """The disk id that is remembered of a peer."""
        known = self._peers.get(node)
        return known.disk_id if known is not None else None

    def identity(self) -> PeerIdentity:
        """This node's identity, with its feed as far as it is durable."""
        node, identity = self._node, self._node.identity
        return PeerIdentity(
            identity.cluster_id,
            identity.digest,
            identity.node,
            identity.disk_id,
            identity.incarnation,
            identity.nonce,
            node.settled_feed_end,
            identity.formation,
        )

    def hello(self, peer: NodeId, past: Incarnation | None = None) -> PeerHello:
        """The greeting to a peer that this node has dialled, with an incarnation that it asked for."""
        known = self._peers.get(peer)
        recall = 0 if known is None else known.incarnation
        return PeerHello(MAGIC, VERSION, VERSION, self.identity(), recall, past)

    def past(self, incarnation: int) -> Incarnation | None:
        """An incarnation of this node's own directory; None if it had none with this number."""
        return self._node.history.incarnation(incarnation)

    def on_greeted(self, step: StepBuilder, event: Greeted) -> None:
        """Record and welcome a node that connected to us, or refuse it."""
        if self._admit(step, event):
            welcome = PeerWelcome(VERSION, self.identity(), self.past(event.recall))
            step.after(Welcome(event.link, event.identity.node, welcome))

    def on_welcomed(self, step: StepBuilder, event: Welcomed) -> None:
        """Use the link to a node that has recorded our disk id, unless it is refused."""
        if self._admit(step, event):
            self._confirmed.add(event.identity.node)
            step.after(UseLink(event.link, event.identity.node))
            self.form_if_confirmed(step)

    def form_if_confirmed(self, step: StepBuilder) -> None:
        """Take part from now on and tell all peers, if every member has confirmed our disk id."""
        node = self._node
        if node.formed or not self._confirmed.issuperset(node.others):
            return
        disks = {name: self._peers[name].disk_id for name in node.others}
        disks[node.name] = node.identity.disk_id
        formation = formation_id(node.config, disks)
        node.form(formation)
        step.record(FormationRecord(formation))
        for name in node.others:
            step.after(Send(name, node.ping()))
        step.notice(f"the cluster has formed: formation {formation.hex()}")

    def _admit(self, step: StepBuilder, event: Greeted | Welcomed) -> bool:
        """Record a node if it may take part, or refuse it; whether it may."""
        link, shown = event.link, event.identity
        if self._node.failed:  # no node can be recorded
            error_type, message = refusal(self._node)
            step.at_once(Reject(link, shown.node, Refusal(error_type.code, message)))
            return False
        fault = self._fault(shown, event.past)
        if fault is not None:
            self._refuse(step, link, shown.node, *fault)
            return False
        unproven = self._unproven(shown, event.past)
        if unproven is not None:
            step.at_once(AskPast(link, shown.node, unproven))
            return False
        self.refused.pop(shown.node, None)
        record = PeerRecord(shown.node, shown.disk_id, shown.incarnation, shown.nonce)
        if self._peers.get(shown.node) != record:
            self._peers[shown.node] = record
            step.record(record)
        return True

    def _refuse(
        self, step: StepBuilder, link: Link, node: NodeId, error: type[DecreedError], message: str
    ) -> None:
        # a stranger can use any name, so it must not change the state of a member that is reachable
        if node in self._node.others and node not in self._node.reachable:
            self.refused[node] = message
        step.at_once(Reject(link, node, Refusal(error.code, message)))

    def _unproven(self, shown: PeerIdentity, past: Incarnation | None) -> PeerRecall | None:
        """The question for the remembered incarnation; None if it is the one shown, or was proven."""
        known = self._peers.get(shown.node)
        if known is None or shown.nonce == known.nonce:
            return None
        if past is not None and past.incarnation == known.incarnation:
            return None
        return PeerRecall(known.incarnation)

    def _fault(
        self, shown: PeerIdentity, past: Incarnation | None
    ) -> tuple[type[DecreedError], str] | None:
        """Why the node shown may not take part; None if there is no reason so far."""
        stranger = self._stranger(shown)
        if stranger:
            return Refused, stranger
        lost = self._lost(shown, past)
        if not lost:
            return None
        if shown.formation and not self._node.formed:
            # either directory may be the wiped one, so neither node admits the other; but only a
            # formed node's memory may end a node that has formed as well
            return Refused, (
                f"{self._node.name} has not formed yet, and the {shown.node} that it met before is not"
                f" this one: a directory of {shown.node} or of {self._node.name} was wiped or replaced;"
                " put each node's own latest directory back"
            )
        return IdentityRefused, f"node {shown.node} was refused by {self._node.name}: {lost}"

    def _stranger(self, shown: PeerIdentity) -> str:
        """Why the node shown does not belong to this cluster, as it is configured."""
        ours = self.identity()
        who = f"node {shown.node}"
        if shown.cluster_id != ours.cluster_id:
            return f"{who} is of cluster {shown.cluster_id}, not {ours.cluster_id}: check addresses"
        if shown.node not in self._node.others:
            return f"{who} is not another member of cluster {ours.cluster_id}"
        if shown.digest != ours.digest:
            return (
                f"{who} has other members or quorum sizes than {ours.node}: give every node the"
                " same cluster.toml"
            )
        if shown.formation and ours.formation and shown.formation != ours.formation:
            return f"{who} is of formation {shown.formation.hex()}, not {ours.formation.hex()}"
        return ""

    def _lost(self, shown: PeerIdentity, past: Incarnation | None) -> str:
        """Why the directory shown must have lost something."""
        known = self._peers.get(shown.node)
        if known is None:
            return ""
        if shown.disk_id != known.disk_id:
            return f"its directory was wiped or replaced; {_WAY_OUT}"
        if shown.incarnation < known.incarnation:
            return f"its directory is an older copy of itself; {_WAY_OUT}"
        if shown.nonce == known.nonce:
            return (
                ""  # the remembered incarnation, whose feed only grows, in whatever order it is met
            )
        if shown.incarnation == known.incarnation:
            return f"its directory is an older copy, or runs twice; {_WAY_OUT}"
        if past is not None and past.incarnation == known.incarnation and past.nonce != known.nonce:
            return (
                f"its directory is an older copy that was opened again since, or runs twice: its"
                f" incarnation {known.incarnation} is not the one that was met; {_WAY_OUT}"
            )
        cursor = self._cursors.get(shown.node)
        if cursor is not None and shown.feed_end < cursor.index:
            return (
                f"its directory has {shown.feed_end} decrees, but {cursor.index} were read from it"
                f" before, so it was rolled back; {_WAY_OUT}"
            )
        return ""


_WAY_OUT = (
    "a node that forgot its promises must not vote, so this node stays out: restore its own latest"
    " directory, or leave it stopped (the others go on as long as they have a quorum)"
)


def formation_id(config: ClusterConfig, disks: dict[NodeId, bytes]) -> bytes:
    """The name of a formation: 16 bytes of BLAKE2b over the cluster id and all disk ids."""
    digest = hashlib.blake2b(config.cluster_id.encode(), digest_size=16)
    for node in sorted(disks):
        digest.update(node.encode() + b"\0" + disks[node])
    return digest.digest()
