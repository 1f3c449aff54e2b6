"""How a connection begins: who is there is proven before anything else is said, heard or believed.

A peer is proven in one of two ways (`proven_by`). If both ends of the connection have shown
certificates of nodes, those name them. Otherwise both ends prove the cluster's secret
(`wire.proof`). A node with TLS takes no peer without a certificate (`Securing`). A client proves
nothing but what its certificate or its token says, if it has one.

Invariants, S05 and S06:

* before its proof no word of a peer reaches the replica, so none is recorded, answered or believed;
* before its proof a peer is told the name of this node and random bytes, and nothing of its directory;
* a nonce is fresh random bytes, used for one greeting.
"""

import os
from collections.abc import Callable
from enum import Enum
from typing import Any

from msgspec import Struct

from ..cluster_secret import ClusterSecret
from ..errors import Denied, ProtocolError, Refused
from ..identity import Identity
from ..replica.membership import Membership
from ..types import NodeId
from ..wire.handshake import (
    GREETING_NONCE_BYTES,
    LOWEST_VERSION,
    MAGIC,
    VERSION,
    ClientHello,
    DirectoryRefusal,
    Greeting,
    Incarnation,
    PeerHello,
    PeerOpened,
    PeerOpening,
    PeerRecall,
    PeerReception,
    PeerWelcome,
    Refusal,
    Sealed,
    TokenHello,
)
from ..wire.proof import Seals, Unproven, answered, checked
from ..wire.status import CertificatePart
from . import log
from .admitted import RefusedByPolicy
from .connections import Connection
from .securing import Securing
from .versions import choose_version

NO_SECRET = (
    "it has neither a certificate nor the cluster's secret: give it a copy of the cluster.secret of the"
    " others"
)
NO_PROOF = (
    "a node proves the cluster's secret before its hello, and this one does not: it runs an earlier"
    " version; stop all nodes, give each the same cluster.secret, and start all with this version"
)


class ProvenBy(Enum):
    """How a peer is proven."""

    SECRET = "the secret of the cluster"
    CERTIFICATE = "a certificate of its node"


def proven_by(connection: Connection) -> ProvenBy:
    """How the peer on a connection is proven: a certificate takes the place of the secret."""
    return ProvenBy.SECRET if connection.certified is None else ProvenBy.CERTIFICATE


class PeerLine:
    """The greeting with one peer, from its proof to the welcome.

    Args:
        connection: the connection.
        node: the peer that is proven, or proves itself with its next message.
        seals: the codes of the messages; None if the connection itself proves them.
    """

    def __init__(self, connection: Connection, node: NodeId, seals: Seals | None) -> None:
        self._connection = connection
        self._seals = seals
        self.node = node

    async def say(self, message: object) -> None:
        """Send a message, with its proof."""
        await self._connection.send(message if self._seals is None else self._seals.seal(message))

    async def hear(self, kind: Any) -> Any:
        """The next message, once it is proven.

        Raises:
            Unproven: if its proof is wrong.
            ProtocolError: if it is late, malformed, or not of `kind`.
        """
        if self._seals is None:
            return await self._connection.greeting(kind)
        return self._seals.open(await self._connection.greeting(Sealed), kind)

    async def hear_hello(self) -> PeerHello:
        """The next hello, of the very node that is proven.

        Raises:
            ProtocolError: as for `hear`, and if it is another node's.
        """
        hello: PeerHello = await self.hear(PeerHello)
        self.check(hello)
        return hello

    def check(self, hello: PeerHello) -> None:
        """S04: whatever a hello says, it is of the node that is proven.

        Raises:
            ProtocolError: if it is another node's.
        """
        if hello.identity.node != self.node:
            raise ProtocolError(f"{self.node} is proven, and its hello says {hello.identity.node}")


class PeerGreeting(Struct, frozen=True):
    """A proven hello, and the line on which it is answered."""

    line: PeerLine
    hello: PeerHello


class Greeter:
    """Opens greetings, and answers those that others open.

    Args:
        node: this node.
        cluster_id: of its cluster.
        secret: what peers without a certificate prove; None if there is none, and so no such peer.
        fresh: draws as many random bytes as it is asked for, never the same again.
        securing: what is demanded of connections besides; None for a node without TLS.
    """

    def __init__(
        self,
        node: NodeId,
        cluster_id: str,
        secret: ClusterSecret | None,
        fresh: Callable[[int], bytes] = os.urandom,
        securing: Securing | None = None,
    ) -> None:
        self._node = node
        self._cluster_id = cluster_id
        self._secret = secret
        self._fresh = fresh
        self._securing = securing or Securing(cluster_id, node, None)

    def distrusts(self, errors: BaseExceptionGroup[BaseException]) -> bool:
        """Whether the errors of a dial say that another is there than should be."""
        return errors.subgroup(Unproven) is not None or self._securing.distrusts(errors)

    # -- connections that we dialled

    async def dial(self, connection: Connection, peer: NodeId | None) -> PeerLine | Refusal:
        """Prove ourselves and what is there to each other.

        Args:
            connection: to the place where `peer` should be.
            peer: the wanted node; None for any.

        Returns:
            The line to a proven peer; or an unproven refusal, which is worth a line in the log alone.

        Raises:
            Unproven: if what is there does not have the secret.
            ProtocolError: if it is another node, or speaks another protocol.
        """
        await self._securing.dial(connection, peer)
        match proven_by(connection):
            case ProvenBy.CERTIFICATE:
                line = PeerLine(connection, _certified_node(connection), None)
            case ProvenBy.SECRET:
                opened = await self._open(connection, peer)
                if isinstance(opened, Refusal):
                    return opened
                line = opened
        if line.node == self._node:
            raise ProtocolError(f"the node there is called {line.node}, as this one is")
        if peer is not None and line.node != peer:
            raise ProtocolError(f"the address of {peer} is answered by {line.node}")
        try:
            self._admit(connection, line)
        except RefusedByPolicy as denied:
            raise ProtocolError(str(denied)) from denied
        return line

    async def _open(self, connection: Connection, peer: NodeId | None) -> PeerLine | Refusal:
        if self._secret is None:
            raise Unproven(f"node {self._node} dials nobody, since {NO_SECRET}")
        versions = (MAGIC, LOWEST_VERSION, VERSION)
        nonce = self._fresh(GREETING_NONCE_BYTES)
        opening = PeerOpening(*versions, self._cluster_id, self._node, peer, nonce)
        await connection.send(opening)
        opened: PeerOpened | Refusal = await connection.greeting(PeerOpened | Refusal)
        if isinstance(opened, Refusal):
            return opened
        return PeerLine(connection, opened.node, checked(self._secret, opening, opened))

    # -- connections of others

    async def answer(self, connection: Connection) -> ClientHello | PeerGreeting:
        """The hello of a client, or of a proven peer; after the handshake, if there is TLS.

        Raises:
            WrongCertificate: if the certificate is not of whom the greeting says.
            RefusedByPolicy: if the policy refuses the client or the peer; the other side is told.
            TokenRefused: if a token is not accepted.
            Unreachable: if this node cannot say yet whose a token is.
            NothingSaid: if the other side closes the connection without a byte.
            Refused: if there is no common version, or no way of proof; the other side is told.
            ProtocolError: if it does not prove itself, or speaks another protocol.
        """
        greeting: ClientHello | TokenHello | PeerOpening | PeerHello
        greeting = await connection.greeting(Greeting)
        if greeting.magic != MAGIC:
            raise ProtocolError(f"the greeting says {greeting.magic!a}, not {MAGIC!a}")
        try:
            self._securing.identify(connection, greeting)
        except RefusedByPolicy as denied:
            await connection.send(Refusal(Denied.code, str(denied)))
            raise
        if isinstance(greeting, TokenHello):
            return greeting.hello
        if isinstance(greeting, ClientHello):
            return greeting
        choose_version(greeting.lowest_version, greeting.highest_version)
        if isinstance(greeting, PeerHello):
            line, hello = self._certified(connection), greeting
            line.check(hello)
        else:
            line = await self._answer(connection, greeting)
            hello = await line.hear_hello()
        try:
            self._admit(connection, line)
        except RefusedByPolicy as denied:
            await line.say(Refusal(Denied.code, str(denied)))
            raise
        return PeerGreeting(line, hello)

    def _admit(self, connection: Connection, line: PeerLine) -> None:
        """Let a proven peer in, unless the policy refuses it (S36)."""
        self._securing.admitted.admit(connection, Identity("node", line.node), CertificatePart.PEER)

    def _certified(self, connection: Connection) -> PeerLine:
        if proven_by(connection) is not ProvenBy.CERTIFICATE:
            raise _refused(connection, NO_PROOF)
        return PeerLine(connection, _certified_node(connection), None)

    async def _answer(self, connection: Connection, opening: PeerOpening) -> PeerLine:
        """Prove ourselves first, by a code that depends on what was asked and tells nothing."""
        if self._secret is None:
            raise _refused(connection, f"node {self._node} can have no peers, since {NO_SECRET}")
        nonce = self._fresh(GREETING_NONCE_BYTES)
        opened, seals = answered(self._secret, opening, self._node, nonce)
        await connection.send(opened)
        return PeerLine(connection, opening.node, seals)


async def greet(
    line: PeerLine, membership: Membership, peer: NodeId | None
) -> PeerWelcome | DirectoryRefusal | Refusal:
    """Show our identity to a proven peer, and each past incarnation that it asks for.

    Args:
        line: to the peer.
        membership: the identities of this node and its peers.
        peer: the node that was wanted; None for any.
    """
    past: Incarnation | None = None
    while True:
        await line.say(membership.hello(peer, past))
        reception: PeerWelcome | PeerRecall | DirectoryRefusal | Refusal
        reception = await line.hear(PeerReception)
        if not isinstance(reception, PeerRecall):
            return reception
        past = membership.past(reception.incarnation)
        if past is None:
            asked = f"{line.node} asks for incarnation {reception.incarnation}"
            raise ProtocolError(f"{asked} of this node: there was none")


def _certified_node(connection: Connection) -> NodeId:
    """S04: a certificate of a client is never a peer's."""
    certified = connection.certified
    if certified is None or certified.kind != "node":
        raise ProtocolError(f"the certificate of {certified} is no peer's")
    return NodeId(certified.name)


def _refused(connection: Connection, reason: str) -> Refused:
    log.unproven("an unproven greeting is refused", connection.peer_name, reason=reason)
    return Refused(reason)
