"""Links between nodes: each node dials every other and sends on the link that it dialled.

So a pair of nodes has two links, one in each direction, and there is no tie to break. A link carries
messages only after the replica has judged the identity of the peer (`Membership`). Messages to a peer
without a link, or with a full queue, are dropped: Paxos may lose messages (R02), and a sender that
needs an answer sends again. Forwarded claims are the exception: they arrive once, or the link breaks
and the peer is suspected. A repetition could propose a claim that its caller was told is over.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

import trio
from msgspec import Struct

from ..config import ClusterConfig
from ..errors import IdentityRefused, ProtocolError
from ..paxos.messages import Commit, CommitMany
from ..replica.membership import Membership
from ..replica.step.effects import AskPast, Reject, UseLink, Welcome
from ..replica.step.events import FromPeer, Greeted, Welcomed
from ..replica.step.node import Node
from ..types import NodeId
from ..wire.codec import encode
from ..wire.handshake import VERSION, Incarnation, PeerHello, PeerRecall, PeerWelcome, Refusal
from ..wire.peers import PeerMessage, Ping
from ..wire.requests import ClaimNextRequest, ClaimRequest, Decreed, Failed
from . import log
from .connections import BROKEN, Connection, choose_version, reasons
from .liveness import Liveness
from .node_loop import NodeLoop
from .outbox import Outbox
from .sockets import Sockets
from .weights import weight

CONNECT_SECONDS = 2.0
REDIAL_SECONDS = (0.02, 1.0)
LEAST_SECONDS = 0.02
"""The least time between two dials, for nodes that repeatedly drop each other's links."""

DEFERRABLE = frozenset((Commit, CommitMany))
"""Commits are not urgent: they leave with the next urgent message to that peer, or after
`DEFERRABLE_MS`. A peer that says in its pings that requests wait for commits gets them immediately."""
SAID_ONCE = frozenset((ClaimRequest, ClaimNextRequest, Decreed, Failed))
"""Forwarded claims, and their answers."""

Verdict = Welcome | UseLink | Reject | AskPast


class Judged(Struct, eq=False):
    """A link that waits for the replica's verdict."""

    event: trio.Event
    verdict: Verdict | None = None


class OutboundLink(Struct, eq=False):
    """A link in use: its queue, whether a message in it is urgent, and the scope that ends the link."""

    outbox: Outbox
    scope: trio.CancelScope
    urgent: bool = False


class Peer(Struct, eq=False):
    """Takes the messages of a peer on the link that it dialled (`Taker`).

    Attributes:
        node: the peer.
        loop: where its messages go.
        liveness: notified when the peer is heard.
        wants_commits: the peers that want commits immediately.
        pinged: the latest ping of each peer.
        on_refusal: called when the peer refuses this node.
    """

    node: NodeId
    loop: NodeLoop
    liveness: Liveness
    wants_commits: set[NodeId]
    pinged: dict[NodeId, Ping]
    on_refusal: Callable[[NodeId, Refusal], None]

    def take(self, messages: Sequence[PeerMessage]) -> Sequence[PeerMessage]:
        """Take a frame of messages if the inbox has room; returns the rest."""
        if not self.loop.has_room:
            return messages
        self.liveness.heard(self.node)
        for message in messages:
            self._take_one(message)
        return ()

    async def room(self, message: PeerMessage) -> None:
        """Wait until the inbox has room."""
        await self.loop.room()

    def _take_one(self, message: PeerMessage) -> None:
        # types are compared: a failed isinstance costs more than one that succeeds
        if type(message) is Refusal:
            self.on_refusal(self.node, message)
            return
        if type(message) is Ping:
            self.liveness.says_voting(self.node, message.voting, self.loop)
            if message == self.pinged.get(self.node):
                return  # nothing new, and not worth a turn: an idle node hears little else
            self.pinged[self.node] = message
            (self.wants_commits.add if message.wants_commits else self.wants_commits.discard)(
                self.node
            )
        self.loop.post(FromPeer(self.node, message), weight(message))


class Links:
    """All links of a node.

    Args:
        config: members and bounds.
        node: this node.
        membership: the identities of this node and its peers.
        liveness: notified of the peers that are heard.
        on_refused: called with the reason when a peer refuses this node's directory.
        sockets: where messages are read.
    """

    def __init__(
        self,
        config: ClusterConfig,
        node: Node,
        membership: Membership,
        liveness: Liveness,
        on_refused: Callable[[str], None],
        sockets: Sockets,
    ) -> None:
        self._config = config
        self._node = node
        self._membership = membership
        self._liveness = liveness
        self._on_refused = on_refused
        self._sockets = sockets
        self._outbound_links: dict[NodeId, OutboundLink] = {}
        self._wants_commits: set[NodeId] = set()
        self._pinged: dict[NodeId, Ping] = {}
        self._judged: dict[int, Judged] = {}
        self._incoming: dict[NodeId, trio.CancelScope] = {}
        self._dialled = {peer: trio.Event() for peer in node.others}
        self._refusals: dict[NodeId, str] = {}
        self._count = 0

    def deliver(self, node: NodeId, message: PeerMessage, encoded: bytes) -> None:
        """Queue a message for a peer, or drop it (R02).

        Forwarded claims and their answers are sent once. If one of them does not fit into the queue,
        the link is made again, so that both sides know that it is lost.
        """
        outbound_link = self._outbound_links.get(node)
        if outbound_link is None:
            return
        urgent = type(message) not in DEFERRABLE or node in self._wants_commits
        outbound_link.urgent = outbound_link.urgent or urgent
        if type(message) in SAID_ONCE:
            if not outbound_link.outbox.put(encoded):
                log.warning("the queue to a peer is full; the link is made again", peer=node)
                outbound_link.scope.cancel()
        elif not outbound_link.outbox.put_once(encoded):
            log.debug("the queue to a peer is full; a message is dropped", peer=node)

    def flush(self) -> bool:
        """Send what this turn has queued; returns whether anything was left for `flush_all`.

        Messages that are not urgent are left for the next urgent one: alone they would cost the peer a
        turn.
        """
        left = False
        for outbound_link in self._outbound_links.values():
            if outbound_link.urgent:
                self._flush(outbound_link)
            else:
                left = left or outbound_link.outbox.has_waiting
        return left

    def flush_all(self) -> None:
        """Send what is left."""
        for outbound_link in self._outbound_links.values():
            self._flush(outbound_link)

    def _flush(self, outbound_link: OutboundLink) -> None:
        outbound_link.outbox.flush()
        outbound_link.urgent = False

    def judge(self, verdict: Verdict) -> None:
        """Pass on the replica's verdict about the peer of a link."""
        judged = self._judged.get(verdict.link)
        if judged is not None:
            judged.verdict = verdict
            judged.event.set()

    # -- links that we dialled

    async def dial(self, peer: NodeId, loop: NodeLoop) -> None:
        """Keep a link to `peer` until cancelled."""
        pause = REDIAL_SECONDS[0]
        while True:
            began = trio.current_time()
            self._dialled[peer] = trio.Event()
            try:
                await self._dial_once(peer, loop)
            except* (*BROKEN, ProtocolError, trio.TooSlowError) as errors:
                log.debug("no link to a peer", peer=peer, reason=reasons(errors))
            if trio.current_time() - began > CONNECT_SECONDS:
                pause = REDIAL_SECONDS[0]
            await self._pause(peer, began, pause)
            pause = min(2 * pause, REDIAL_SECONDS[1])

    async def _pause(self, peer: NodeId, began: float, pause: float) -> None:
        """Wait before `peer` is dialled again; less if it dials us meanwhile, which shows it is up."""
        with trio.move_on_after(pause):
            await self._dialled[peer].wait()
        await trio.sleep_until(began + LEAST_SECONDS)

    async def _dial_once(self, peer: NodeId, loop: NodeLoop) -> None:
        with trio.fail_after(CONNECT_SECONDS):
            stream = await trio.open_tcp_stream(*self._config.address(peer))
        async with stream:
            connection = Connection(stream, self._config.limits.max_frame_bytes)
            with trio.fail_after(CONNECT_SECONDS):
                reception = await self._greet(peer, connection)
                if isinstance(reception, Refusal):
                    self._take_refusal(peer, reception)
                    return
                verdict = await self._judge_welcome(peer, reception, loop)
            match verdict:
                case Reject():
                    _say_refused(connection, verdict)
                    await connection.send(verdict.refusal)
                case AskPast():
                    pass  # a newer incarnation of the peer was met; the next hello asks for that one
                case UseLink():
                    await self._carry(peer, connection, loop)
                case Welcome():
                    raise AssertionError("an outgoing link is never judged as an incoming one")

    async def _greet(self, peer: NodeId, connection: Connection) -> PeerWelcome | Refusal:
        """Send our identity, and prove each past incarnation that the peer asks for."""
        past: Incarnation | None = None
        while True:
            await connection.send(self._membership.hello(peer, past))
            reception: PeerWelcome | PeerRecall | Refusal = await connection.greeting(
                PeerWelcome | PeerRecall | Refusal
            )
            if not isinstance(reception, PeerRecall):
                return reception
            past = self._membership.past(reception.incarnation)
            if past is None:
                asked = f"{peer} asks for incarnation {reception.incarnation}"
                raise ProtocolError(f"{asked} of this node: there was none")

    async def _judge_welcome(self, peer: NodeId, welcome: PeerWelcome, loop: NodeLoop) -> Verdict:
        shown = welcome.identity
        if shown.node != peer:
            raise ProtocolError(f"the address of {peer} is answered by {shown.node}")
        return await self._await_verdict(loop, lambda link: Welcomed(link, shown, welcome.past))

    async def _carry(self, peer: NodeId, connection: Connection, loop: NodeLoop) -> None:
        """Send the queue to `peer` until the link breaks."""
        outbox = Outbox(self._config.limits.max_peer_queue_bytes, connection.send_some)
        log.info("linked to a peer", peer=peer)
        try:
            async with trio.open_nursery() as nursery:
                self._outbound_links[peer] = OutboundLink(outbox, nursery.cancel_scope)
                self._liveness.linked(peer, loop)
                nursery.start_soon(outbox.write_to, connection.stream)
                self._ping(outbox, encode(self._node.ping()))
                # the peer sends nothing on this link, so this ends when it closes the link
                await connection.stream.receive_some(1)
                nursery.cancel_scope.cancel()
        finally:
            self._outbound_links.pop(peer, None)
            self._liveness.unlinked(peer, loop)
            log.info("the link to a peer is gone", peer=peer)

    def ping(self) -> None:
        """Send a ping on each link. While our own disk blocks the process, none is sent."""
        ping = encode(self._node.ping())
        for outbound_link in self._outbound_links.values():
            self._ping(outbound_link.outbox, ping)

    def _ping(self, outbox: Outbox, ping: bytes) -> None:
        outbox.put_once(ping)
        outbox.flush()

    # -- links that peers dialled

    async def serve(self, connection: Connection, hello: PeerHello, loop: NodeLoop) -> None:
        """Judge the peer that connected, and take its messages until it goes.

        Raises:
            Refused: if it supports no protocol version of ours.
            ProtocolError: if it sends a malformed message.
        """
        choose_version(hello.lowest_version, hello.highest_version, VERSION)
        try:
            with trio.fail_after(CONNECT_SECONDS):
                verdict = await self._judge_hello(connection, hello, loop)
        except trio.TooSlowError:
            return
        match verdict:
            case Welcome(_, node, message):
                self._dialled[node].set()
                await connection.send(message)
                await self._take(connection, node, loop)
            case Reject(_, _, refusal):
                _say_refused(connection, verdict)
                await connection.send(refusal)
            case UseLink() | AskPast():
                raise AssertionError("an incoming link is never judged as an outgoing one")

    async def _judge_hello(
        self, connection: Connection, hello: PeerHello, loop: NodeLoop
    ) -> Verdict:
        """The verdict on the peer, once it has proved the past incarnation that it is asked for."""
        while True:
            verdict = await self._await_verdict(loop, partial(_greeted, hello))
            if not isinstance(verdict, AskPast):
                return verdict
            await connection.send(verdict.message)
            hello = await connection.greeting(PeerHello)

    async def _take(self, connection: Connection, node: NodeId, loop: NodeLoop) -> None:
        with trio.CancelScope() as scope:
            older = self._incoming.pop(node, None)
            if older is not None:
                older.cancel()
            self._incoming[node] = scope
            self._pinged.pop(node, None)  # the first ping of a link is news
            taker = Peer(
                node, loop, self._liveness, self._wants_commits, self._pinged, self._take_refusal
            )
            await connection.read(PeerMessage, taker, self._sockets)
        if self._incoming.get(node) is scope:
            del self._incoming[node]
            self._liveness.unheard(node, loop)

    # -- both

    async def _await_verdict(
        self, loop: NodeLoop, event_for: Callable[[int], Greeted | Welcomed]
    ) -> Verdict:
        self._count += 1
        link = self._count
        judged = self._judged[link] = Judged(trio.Event())
        try:
            loop.post(event_for(link))
            await judged.event.wait()
        finally:
            del self._judged[link]
        assert judged.verdict is not None, "the event is set with the verdict"
        return judged.verdict

    def _take_refusal(self, peer: NodeId, refusal: Refusal) -> None:
        if refusal.code == IdentityRefused.code:
            self._on_refused(refusal.message)
        elif self._refusals.get(peer) != refusal.message:
            self._refusals[peer] = refusal.message
            log.error("a peer refuses this node", peer=peer, reason=refusal.message)


def _greeted(hello: PeerHello, link: int) -> Greeted:
    return Greeted(link, hello.identity, hello.recall, hello.past)


def _say_refused(connection: Connection, verdict: Reject) -> None:
    address, reason = connection.peer_name, verdict.refusal.message
    log.strangers(
        "a node is refused", address, level=logging.ERROR, node=verdict.node, reason=reason
    )
