"""Where the members are: what they told at greetings, before what ``cluster.toml`` says.

Each member tells the address under which others reach it. That address holds for one incarnation of
its directory, so of two addresses the one from the later incarnation is the newer. Nodes pass on what
they were told: two members that moved at the same time find each other by way of a third.

An address is a hint and never an identity. Who is reached there proves its disk, its incarnation and
its formation as everybody does (`Membership`); otherwise it is refused, and the next address is tried.
So a wrong hint costs time, and nothing else.
"""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from ..addresses import advertised
from ..disk import PeerRecord
from ..errors import ConfigError
from ..types import EPOCH_BITS, NodeId
from ..wire.handshake import Member
from ..wire.peers import MAX_MEMBERS, MemberAddresses
from .step.effects import Announce
from .step.node import Node
from .step.step_builder import StepBuilder

MAX_ANNOUNCED = 256
"""So many observers are named to clients that are connected when they come; more to those that connect
later."""
Remember = Callable[[StepBuilder, NodeId, str | None], None]


class AddressBook:
    """The addresses of all members, as this node knows them.

    A member is where it told; else where it told an earlier incarnation of this node; else where the
    decree of members says; else where the config says.

    Args:
        node: who we are, and who the members are.
        peers: what was remembered of peers.
        own: the address that this node tells; None for that of the decree of members or the config.

    Attributes:
        version: how often `message` has changed.
        moves: how often the members or an address have changed.
    """

    def __init__(self, node: Node, peers: Iterable[PeerRecord], own: str | None = None) -> None:
        self._node = node
        self._name = node.name
        self._file = dict(node.config.addresses)
        self._remembered = {peer.node: peer.address for peer in peers if peer.address is not None}
        self._told: dict[NodeId, Member] = {}
        self._announced: dict[NodeId, str] = {}
        self._remember: Remember | None = None
        address = own or node.places.get(self._name) or self._file.get(self._name)
        if address is not None:
            self._told[self._name] = Member(self._name, address, node.identity.incarnation)
        self.version = self.moves = 0
        for peer in peers if node.joins else ():
            node.meet(peer.node)

    def tell(self, remember: Remember) -> None:
        """Register what remembers an address that the config does not have."""
        self._remember = remember

    def of(self, node: NodeId) -> str:
        """The likeliest address of `node`; empty if there is none."""
        return next(iter(self.all_of(node)), "")

    def all_of(self, node: NodeId) -> tuple[str, ...]:
        """All addresses at which to look for `node`, the likeliest first."""
        told = self._told.get(node)
        known = (
            *(told.address if told is not None else None, self._remembered.get(node)),
            *(self._node.places.get(node), self._file.get(node)),
        )
        return tuple(dict.fromkeys(filter(None, known)))

    @property
    def members(self) -> tuple[Member, ...]:
        """All members with their addresses, in order of name, for clients.

        What is told in a later epoch counts before what was told in an earlier one: another disk of a
        name begins to count its incarnations again.
        """
        node = self._node
        own = (self._name,) if node.is_voter(node.epoch) else ()
        known = sorted((*node.other_members, *own))
        found = (self._told.get(name) or Member(name, self.of(name), 0) for name in known)
        since = node.epoch.number << EPOCH_BITS
        return tuple(replace(m, incarnation=m.incarnation + since) for m in found if m.address)

    @property
    def observers(self) -> tuple[Member, ...]:
        """The observers that clients may read from: those that are linked, or this node."""
        linked = self._node.observers & self._node.guests
        own = {self._name} if self._observes else set[NodeId]()
        return tuple(self._told[name] for name in sorted((linked | own) & self._told.keys()))

    @property
    def _observes(self) -> bool:
        """Whether this node observes now; one that a decree makes a voter does so no more."""
        return self._node.observes and self._node.formed and not self._node.takes_part

    @property
    def message(self) -> MemberAddresses:
        """What this node tells its peers: what it was told itself, and nothing from its file."""
        known = sorted(self._told.keys() & {self._name, *self._node.sources})
        told = tuple(self._told[name] for name in known[:MAX_MEMBERS])
        return MemberAddresses(told, self._observes)

    def on_sealed(self, step: StepBuilder) -> None:
        """Others are members now: peers and clients are told."""
        self.version += 1
        self.moves += 1
        step.at_once(Announce(()))

    def on_told(self, step: StepBuilder, sender: NodeId, message: MemberAddresses) -> None:
        """Take what is newer of what a peer says; peers are told then, clients if a member moved."""
        met = [member.node for member in message.members if self._node.meet(member.node)]
        news = [member for member in _usable(message.members) if self._is_news(sender, member)]
        moved = tuple(m.node for m in news if m.address != self.of(m.node))
        for member in news:
            self._told[member.node] = member
        if sender in self._told and self._remember is not None:
            address = self._told[sender].address
            self._remember(step, sender, address if address != self._file.get(sender) else None)
        self.version += bool(news)
        named = self._note_observer(sender, message)
        if moved or met or named:
            self.moves += named or any(node in self._node.sources for node in moved)
            step.at_once(Announce(moved))

    def _note_observer(self, sender: NodeId, message: MemberAddresses) -> bool:
        """Note whether a guest observes; returns whether clients should hear of it.

        They do not hear that an observer has gone: their own links tell them, and one that comes and
        goes must not cost a message to each client.
        """
        node = self._node
        if not message.observes or sender not in node.guests or sender not in self._told:
            node.observers.discard(sender)
            return False
        node.observers.add(sender)
        before, here = self._announced.get(sender), self._told[sender].address
        if before is None and len(self._announced) >= MAX_ANNOUNCED:
            return False
        self._announced[sender] = here
        return before != here

    def _is_news(self, sender: NodeId, member: Member) -> bool:
        """Whether to take it: a node speaks for itself, of members the later incarnation counts."""
        if member.node == self._name or not self._is_wanted(sender, member.node):
            return False
        known = self._told.get(member.node)
        if known is None or member.incarnation > known.incarnation:
            return member != known
        return member.node == sender and member != known

    def _is_wanted(self, sender: NodeId, node: NodeId) -> bool:
        if node in self._file or node in self._node.sources:
            return True
        return node == sender and node in self._node.guests


def _usable(members: Iterable[Member]) -> list[Member]:
    """The members whose address can be one, in its usual form."""
    usable: list[Member] = []
    for member in members:
        try:
            address = advertised(member.address)
        except ConfigError:
            continue
        usable.append(Member(member.node, address, member.incarnation))
    return usable
