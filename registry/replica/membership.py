"""Membership: forming once, and refusing directories that have lost something (design 8).

A forgotten promise breaks Paxos (R13), so a disk that was wiped, copied or rolled back must never
vote. Every node remembers each peer's disk id and the last incarnation that it met, by number and
nonce. It refuses a peer that contradicts that memory, whichever other nodes are up. A later
incarnation must show that the remembered one is in the past of its own directory
(`IncarnationHistory`): with a count alone, an older copy that was opened often enough would be
admitted. The signing key of a directory belongs to it like the disk id. A node tells it when it
welcomes, so each of two nodes learns it on the link that it dials, and has recorded all keys when it
forms. A node with a fresh directory takes no part until every member has confirmed that it has
durably recorded the node's disk id. Until then no peer could tell it from a wiped one.

The formation id names this formation of the cluster. It is the hash of the cluster id and all disk
ids, so nodes that formed together compute the same id without a further agreement.
"""

from collections.abc import Callable, Iterable, Sequence

from ..disk import CursorRecord, FormationRecord, PeerRecord
from ..errors import DecreedError, IdentityRefused, Refused
from ..types import NodeId
from ..wire.handshake import (
    LOWEST_VERSION,
    MAGIC,
    VERSION,
    DirectoryRefusal,
    Evidence,
    Incarnation,
    PeerHello,
    PeerIdentity,
    PeerWelcome,
    Refusal,
)
from .formations import formation_id, other_formation, restored_otherwise
from .peer_memory import PeerMemory
from .step.effects import Announce, AskPast, Reject, Send, UseLink, Welcome
from .step.events import Dialled, Greeted, Left, Link, LinksSecured, Welcomed
from .step.node import Node, refusal
from .step.step_builder import StepBuilder

OnReplaced = Callable[[StepBuilder, NodeId], None]


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
        self._memory = PeerMemory(peers, cursors)
        self._confirmed: set[NodeId] = set()
        # a node that dials twice at a time keeps either link, so all that last are counted
        self._guests: dict[NodeId, dict[Link, PeerIdentity]] = {}
        self._present: dict[NodeId, set[Link]] = {}
        self._on_replaced: Sequence[OnReplaced] = ()
        self.refused: dict[NodeId, str] = {}

    def tell(self, *, replaced: Sequence[OnReplaced]) -> None:
        """Register what follows when another disk has a member's name, after all parts exist."""
        self._on_replaced = replaced

    def known(self, node: NodeId) -> PeerRecord | None:
        """What is remembered of a peer."""
        return self._memory.known(node)

    def disk_of(self, node: NodeId) -> bytes | None:
        """The disk id that is remembered of a peer."""
        return self._memory.disk_of(node)

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

    def hello(self, peer: NodeId | None, past: Incarnation | None = None) -> PeerHello:
        """The greeting to a peer that this node has dialled, with an incarnation that it asked for.

        A node that joins dials addresses, and does not know yet who is there.
        """
        known = self._memory.known(peer) if peer is not None else None
        recall = 0 if known is None else known.incarnation
        return PeerHello(MAGIC, LOWEST_VERSION, VERSION, self.identity(), recall, past)

    def past(self, incarnation: int) -> Incarnation | None:
        """An incarnation of this node's own directory; None if it had none with this number."""
        return self._node.history.incarnation(incarnation)

    def on_greeted(self, step: StepBuilder, event: Greeted) -> bool:
        """Record and welcome a node that connected to us, or refuse it; returns whether it may."""
        admitted = self._admit(step, event)
        if admitted:
            key = self._node.identity.signing_key
            assert key is not None, "each directory has a key from its first opening on"
            past = self.past(event.recall)
            facts = (event.version, self.identity(), past, key)
            welcome = PeerWelcome(*facts, self._node.restoration)
            step.after(Welcome(event.link, event.identity.node, welcome))
        return admitted

    def on_welcomed(self, step: StepBuilder, event: Welcomed) -> bool:
        """Use the link to a node that has recorded our disk id, unless it is refused."""
        admitted = self._admit(step, event)
        if admitted:
            # an empty directory under a member's name confirms nothing
            if not event.identity.joins:
                self._confirmed.add(event.identity.node)
            step.after(UseLink(event.link, event.identity.node))
            self._join(step, event)
            self.form_if_confirmed(step)
        return admitted

    def on_left(self, event: Left) -> None:
        """A node has gone that greeted us on this link."""
        present = self._present.get(event.node, set())
        present.discard(event.link)
        if not present:
            self._present.pop(event.node, None)
        links = self._guests.get(event.node, {})
        links.pop(event.link, None)
        if not links:
            self._guests.pop(event.node, None)
            self._node.guests.discard(event.node)
            self._node.unreached.pop(event.node, None)

    def on_sealed(self, step: StepBuilder) -> None:
        """M19: guests that the decree makes voters are remembered from the seal on, in its batch.

        Those who left two epochs ago and are still linked become guests: nobody else would tell them.
        """
        for links in list(self._guests.values()):
            for link, shown in list(links.items()):
                if self._is_named(shown):
                    self._record(step, shown, None)
                    self._seat(shown)
                    self._present.setdefault(shown.node, set()).add(link)
        for node in self._node.guests - self._guests.keys():  # voters of earlier epochs
            if self._node.named_disk(node) == self.disk_of(node):
                self._node.guests.discard(node)
        self._node.guests.update(self._present.keys() - set(self._node.sources))

    def remember_address(self, step: StepBuilder, node: NodeId, address: str | None) -> None:
        """Remember where a peer is if the file does not say so; None if it does."""
        self._memory.remember_address(step, node, address)

    def on_links(self, event: Dialled | LinksSecured) -> None:
        """Note how links are secured, why a guest that is linked to us is not reached, or nobody is.

        Of another voter it is told only that what is at its address is not proven to be a peer.
        """
        if isinstance(event, LinksSecured):
            self._node.secured = event
            return
        if event.node == self._node.name:
            self._node.undialled = event.fault
            return
        self._node.unreached.pop(event.node, None)
        if event.fault and event.node in self._node.guests:
            self._node.unreached[event.node] = event.fault
        elif event.fault and event.node in set(self._node.sources) - self._node.reachable:
            self.refused[event.node] = event.fault

    def _join(self, step: StepBuilder, event: Welcomed) -> None:
        """M19: a directory that joins takes the formation of the first member that welcomes it.

        It takes how that formation was restored in the same batch: without it, it would say of a lock
        that the restore did not know that no term was given.
        """
        node, member = self._node, event.identity
        if node.joins and not node.formed and member.formation is not None:
            node.form(member.formation)
            node.restoration = event.restoration
            step.record(FormationRecord(member.formation, event.restoration))
            step.notice(f"this node joins formation {member.formation.hex()}")
        if node.meet(member.node):
            step.at_once(Announce(()))

    def form_if_confirmed(self, step: StepBuilder) -> None:
        """Take part from now on and tell all peers, if every member has confirmed our disk id."""
        node = self._node
        if node.formed or node.joins or not self._confirmed.issuperset(node.others):
            return
        disks = self._memory.disks_of(node.others)
        disks[node.name] = node.identity.disk_id
        formation = formation_id(node.config.cluster_id, disks)
        node.form(formation)
        step.record(FormationRecord(formation))
        for name in node.others:
            step.after(Send(name, node.ping()))
        step.notice(f"the cluster has formed: formation {formation.hex()}")

    def _admit(self, step: StepBuilder, event: Greeted | Welcomed) -> bool:
        """Record a node if it may take part, or refuse it; whether it may."""
        link, shown = event.link, event.identity
        key = event.signing_key if isinstance(event, Welcomed) else None
        if self._node.failed:  # no node can be recorded
            error_type, message = refusal(self._node)
            step.at_once(Reject(link, shown.node, Refusal(error_type.code, message)))
            return False
        stranger = self._stranger(shown) or self._untimely(event)
        if stranger:
            # whatever name it uses, it is no member of ours: that name's state stays as it is
            step.at_once(Reject(link, shown.node, Refusal(Refused.code, stranger)))
            return False
        replaced = self._replaced(shown)
        if replaced:  # its name has another directory now, whose state stays as it is
            named = self._node.named_disk(shown.node)
            assert named is not None, "a decree has given the name to another directory"
            evidence = Evidence(named, self._node.epoch.number)
            step.at_once(Reject(link, shown.node, DirectoryRefusal(replaced, evidence)))
            return False
        if not self._is_remembered(event):
            self._receive(event)
            return True
        fault = self._fault(shown, event.past, key)
        if fault is not None:
            self._refuse(step, link, shown.node, *fault)
            return False
        unproven = self._memory.unproven(shown, event.past)
        if unproven is not None:
            step.at_once(AskPast(link, shown.node, unproven))
            return False
        self.refused.pop(shown.node, None)
        self._record(step, shown, key)
        if self._may_count(shown):
            self._seat(shown)
            if isinstance(event, Greeted):
                self._present.setdefault(shown.node, set()).add(event.link)
        else:
            self._receive(event)
        return True

    def _seat(self, shown: PeerIdentity) -> None:
        self._guests.pop(shown.node, None)
        self._node.guests.discard(shown.node)

    def _may_count(self, shown: PeerIdentity) -> bool:
        """Whether answers of this directory count under its name, as far as names decide that (M19).

        A voter of the epoch before that was left is no peer: only as a guest is it linked, and told.
        """
        named, node = self._node.named_disk(shown.node), self._node
        if shown.node not in node.sources:
            return False
        if named is not None:
            return named == shown.disk_id
        return not shown.joins or shown.node in node.met

    def _receive(self, event: Greeted | Welcomed) -> None:
        """M19: admit a node that has no vote; its answers do not count, and it is told what is learned.

        Only who greets us sends on that link, so who is dialled needs no mark.
        """
        if isinstance(event, Greeted):
            self._guests.setdefault(event.identity.node, {})[event.link] = event.identity
            self._node.guests.add(event.identity.node)

    def _is_remembered(self, event: Greeted | Welcomed) -> bool:
        """Whether the identity of a node is checked against memory, and remembered durably.

        That is so for each disk that was remembered before or that a decree of members names, and for
        the members of epoch 0. A joiner remembers whom it chose to dial as well.
        """
        shown = event.identity
        if self._is_named(shown) or self.disk_of(shown.node) == shown.disk_id:
            return True
        if shown.node in self._node.config.nodes and not shown.joins:
            return True
        chosen = self._node.joins and not self._node.seat.known and isinstance(event, Welcomed)
        return chosen and self.disk_of(shown.node) is None

    def _is_named(self, shown: PeerIdentity) -> bool:
        """Whether a known decree of members names this disk, as the latest for its name."""
        return self._node.named_disk(shown.node) == shown.disk_id

    def _untimely(self, event: Greeted | Welcomed) -> str:
        """Why a node cannot be admitted now, though it may be of the cluster."""
        shown, node = event.identity, self._node
        if isinstance(event, Welcomed) and node.joins and not node.formed and not shown.formation:
            return f"node {shown.node} has not formed yet, so {node.name} cannot join by it"
        if isinstance(event, Welcomed) and self._is_restored_otherwise(event):
            return restored_otherwise(shown.node, node.name)
        if self._is_remembered(event):
            return ""
        if shown.node in self._present:
            return (
                f"node {shown.node} is up with another directory: stop that one first, or join under"
                " another name"
            )
        is_new = isinstance(event, Greeted) and shown.node not in node.guests
        limit = node.config.limits.max_guests
        if is_new and len(node.guests) >= limit:
            return (
                f"{limit} nodes without a vote are linked to {node.name}, which is its limit: join by"
                f" another member, or raise limits.max_guests in the file of {node.name}, and"
                " restart that"
            )
        return ""

    def _is_restored_otherwise(self, event: Welcomed) -> bool:
        """Whether a node of this formation says another thing of its restore than this one knows."""
        is_ours = self._node.formed and event.identity.formation is not None
        return is_ours and event.restoration != self._node.restoration

    def _record(self, step: StepBuilder, shown: PeerIdentity, key: bytes | None) -> None:
        """Remember what a node has shown, and its key if it was told by now."""
        if self._memory.record(step, shown, key):
            for listener in self._on_replaced:
                listener(step, shown.node)

    def _refuse(
        self, step: StepBuilder, link: Link, node: NodeId, error: type[DecreedError], message: str
    ) -> None:
        # another directory can use a member's name: the state of one that is reachable stays, and of
        # one that is down it is told only that somebody with its name was refused
        if node not in self._node.reachable:
            self.refused[node] = f"a node that calls itself {node} was refused: {message}"
        step.at_once(Reject(link, node, self._refusal(node, error, message)))

    def _refusal(
        self, node: NodeId, error: type[DecreedError], message: str
    ) -> Refusal | DirectoryRefusal:
        """What a node is told; with it what is remembered, if its directory must have lost that."""
        if error is not IdentityRefused:
            return Refusal(error.code, message)
        return DirectoryRefusal(message, self._memory.evidence(node))

    def _fault(
        self, shown: PeerIdentity, past: Incarnation | None, key: bytes | None
    ) -> tuple[type[DecreedError], str] | None:
        """Why a node of this cluster may not take part; None if there is no reason so far."""
        ours, memory = self._node.identity, self._memory
        if shown.digest != ours.digest and not shown.joins and not ours.joins:
            return Refused, (
                f"node {shown.node} has other members or quorum sizes than {self._node.name}: give"
                " every node the same cluster.toml"
            )
        leaps = memory.leaps(shown)
        if leaps:
            return Refused, leaps
        lost = memory.lost(shown, past, named=self._is_named(shown)) or memory.other_key(shown, key)
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
        """Why the node shown cannot be a member of this cluster."""
        ours = self.identity()
        who = f"node {shown.node}"
        if shown.cluster_id != ours.cluster_id:
            return f"{who} is of cluster {shown.cluster_id}, not {ours.cluster_id}: check addresses"
        if shown.node == self._node.name:
            return f"{who} is not another member: the node that it greets has the same name"
        if not self._may_greet(shown):
            return f"{who} is not another member of cluster {ours.cluster_id}"
        if shown.formation and ours.formation and shown.formation != ours.formation:
            made = self._node.restoration
            return other_formation(who, shown.formation, ours.formation, made)
        return ""

    def _replaced(self, shown: PeerIdentity) -> str:
        """M20: why a directory has no name any more; one that joins is a guest instead."""
        if shown.joins or self._node.named_disk(shown.node) in (None, shown.disk_id):
            return ""
        return (
            f"node {shown.node} was refused by {self._node.name}: its place was given to another"
            f" directory (epoch {self._node.epoch.number}); this one votes no more, and no node needs"
            " it once that epoch serves ('decreed member list')"
        )

    def _may_greet(self, shown: PeerIdentity) -> bool:
        """M19: a name that is known, a directory that joins, or one that belongs to our formation."""
        node = self._node
        if shown.node in node.config.nodes or shown.node in node.sources or shown.joins:
            return True
        # after a change the file may be one without some of those with which the cluster formed; that
        # the formation is ours is checked elsewhere
        may_be_older = node.seat.known > 0 or node.joins
        return may_be_older and shown.formation is not None
