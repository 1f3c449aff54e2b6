"""Links between nodes: each node dials every other and sends on the link that it dialled.

So a pair of nodes has two links, one in each direction, and there is no tie to break. A link carries
messages only after the peer is proven (`Greeter`) and the replica has judged its identity
(`Membership`). Messages to a peer without a link, or with a full queue, are dropped: Paxos may lose
messages (R02), and a sender that needs an answer sends again. Forwarded claims are the exception: they
arrive once, or the link breaks and the peer is suspected. A repetition could propose a claim that its
caller was told is over.

The peers are the other voters, those of the epoch before while they are needed, and nodes without a
vote that dialled us (`PeerSet`).
"""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from math import inf

import trio
from msgspec import Struct

from ..config import ClusterConfig
from ..errors import ProtocolError
from ..paxos.messages import Commit, CommitMany
from ..replica.member_addresses import AddressBook
from ..replica.membership import Membership
from ..replica.step.effects import AskPast, Reject, UseLink, Welcome
from ..replica.step.events import Dialled, Greeted, Left, Welcomed
from ..replica.step.node import Node
from ..types import NodeId
from ..wire.codec import encode
from ..wire.handshake import DirectoryRefusal, PeerHello, PeerWelcome, Refusal
from ..wire.peers import PassedClaim, PeerMessage, Ping
from ..wire.requests import Decreed, Failed
from . import log
from .complaints import Complaints
from .connections import BROKEN, Connection, reasons
from .dialling import PeerDial
from .greeting import Greeter, PeerGreeting, PeerLine, greet
from .guests import DialFaults, GuestQueues, OutboundLink, Undialled
from .liveness import Liveness
from .node_loop import NodeLoop
from .outbox import Outbox
from .peer import Peer
from .peer_set import PeerSet
from .sockets import Sockets
from .versions import check_version, choose_version

CONNECT_SECONDS = 2.0
REDIAL_SECONDS = (0.02, 1.0)
LEAST_SECONDS = 0.02
"""The least time between two dials, for nodes that repeatedly drop each other's links."""

DEFERRABLE_MS: dict[type[object], float] = {Commit: 1.0, CommitMany: 10.0}
"""Commits are not urgent: they leave with the next urgent message to that peer, or after so long; a
batch is followed by another. A peer that says in its pings that it wants commits gets them at once."""
SAID_ONCE = frozenset((PassedClaim, Decreed, Failed))
"""Forwarded claims, and their answers."""

Verdict = Welcome | UseLink | Reject | AskPast


class Judged(Struct, eq=False):
    """A link that waits for the replica's verdict."""

    event: trio.Event
    verdict: Verdict | None = None


class Links:
    """All links of a node.

    Args:
        config: members and bounds.
        node: this node.
        membership: the identities of this node and its peers.
        addresses: where the peers are, and what they are told of it.
        liveness: notified of the peers that are heard.
        on_refused: called when a proven peer refuses this node's directory; returns whether that ends
            the node.
        sockets: where messages are read.
        greeter: proves this node and its peers to each other.
    """

    def __init__(
        self,
        config: ClusterConfig,
        node: Node,
        membership: Membership,
        addresses: AddressBook,
        liveness: Liveness,
        on_refused: Callable[[DirectoryRefusal], bool],
        sockets: Sockets,
        greeter: Greeter,
    ) -> None:
        self._config = config
        self._node = node
        self._membership = membership
        self._addresses = addresses
        self._liveness = liveness
        self._on_refused = on_refused
        self._sockets = sockets
        self._greeter = greeter
        self._outbound_links: dict[NodeId, OutboundLink] = {}
        self._wants_commits: set[NodeId] = set()
        self._pinged: dict[NodeId, Ping] = {}
        self._judged: dict[int, Judged] = {}
        self._incoming: dict[NodeId, trio.CancelScope] = {}
        self._dialled: defaultdict[NodeId, trio.Event] = defaultdict(trio.Event)
        self._ways: defaultdict[NodeId, PeerDial] = defaultdict(PeerDial)
        self.peers = PeerSet(self._wanted, self.dial, liveness)
        self._complaints = Complaints()
        self._dial_faults, self._undialled = DialFaults(), Undialled()
        self._guest_queues = GuestQueues(config.limits.max_peer_queue_bytes)
        self._count = 0

    def deliver(self, node: NodeId, message: PeerMessage, encoded: bytes) -> None:
        """Queue a message for a peer, or drop it (R02).

        Forwarded claims and their answers are sent once. If one of them does not fit into the queue,
        the link is made again, so that both sides know that it is lost.
        """
        outbound_link = self._outbound_links.get(node)
        if outbound_link is None:
            return
        wait_ms = DEFERRABLE_MS.get(type(message), 0.0) if node not in self._wants_commits else 0.0
        outbound_link.wait_ms = min(outbound_link.wait_ms, wait_ms)
        if type(message) in SAID_ONCE:
            if not outbound_link.outbox.put(encoded):
                log.warning("the queue to a peer is full; the link is made again", peer=node)
                outbound_link.scope.cancel()
        elif not outbound_link.outbox.put_once(encoded):
            log.debug("the queue to a peer is full; a message is dropped", peer=node)

    def flush(self) -> float:
        """Send what this turn has queued; returns when `flush_all` is to send what was left, in ms.

        Messages that are not urgent are left for the next urgent one: alone they would cost the peer a
        turn. If nothing was left, the time is infinite.
        """
        left_ms = inf
        for outbound_link in self._outbound_links.values():
            if not outbound_link.wait_ms:
                self._flush(outbound_link)
            else:
                left_ms = min(left_ms, outbound_link.wait_ms)
        self._guest_queues.bound()
        return left_ms

    def flush_all(self) -> None:
        """Send what is left."""
        for outbound_link in self._outbound_links.values():
            self._flush(outbound_link)

    def _flush(self, outbound_link: OutboundLink) -> None:
        outbound_link.outbox.flush()
        outbound_link.wait_ms = inf

    def judge(self, verdict: Verdict) -> None:
        """Pass on the replica's verdict about the peer of a link."""
        judged = self._judged.get(verdict.link)
        if judged is not None:
            judged.verdict = verdict
            judged.event.set()

    def look_for(self, moved: Iterable[NodeId]) -> None:
        """Dial these peers at once if there is no link: they are said to be somewhere else."""
        for node in moved:
            self._dialled[node].set()

    # -- which links there are

    def _wanted(self) -> set[NodeId]:
        """The peers of the replica, and the guests that are linked to us (M19)."""
        return {*self._node.sources, *(self._node.guests & self._incoming.keys())}

    async def join(self, seeds: Sequence[str], loop: NodeLoop) -> None:
        """M19: dial these addresses whenever there is no link, for as long as a member is sought.

        Who is there says its name, and is a peer from then on.
        """
        ways = [(PeerDial(), seed) for seed in seeds]
        pause = REDIAL_SECONDS[0]
        while True:
            faults = dict[str, str]()
            for way, seed in ways:
                if not self._outbound_links:
                    dialling = self._dial_at(None, way, [seed], loop)
                    faults[seed] = await self._try(dialling, seed, loop)
            if pause == REDIAL_SECONDS[0] and not self._node.formed:
                why = "; ".join(f"{seed}: {fault}" for seed, fault in faults.items() if fault)
                log.warning("no member has answered yet", tried=",".join(seeds), reason=why)
            await trio.sleep(pause)
            pause = min(2 * pause, REDIAL_SECONDS[1])

    # -- links that we dialled

    async def dial(self, peer: NodeId, loop: NodeLoop) -> None:
        """Keep a link to `peer` until cancelled."""
        pause = REDIAL_SECONDS[0]
        while True:
            began = trio.current_time()
            self._dialled[peer] = trio.Event()
            if peer not in self._outbound_links:  # a joiner may have met it at another address
                fault = await self._try(self._dial_once(peer, loop), peer, loop)
                if fault and peer in self._node.guests:
                    tried = self._addresses.all_of(peer)
                    self._dial_faults.failed(peer, tried, fault, loop)
            if trio.current_time() - began > CONNECT_SECONDS:
                pause = REDIAL_SECONDS[0]
            await self._pause(peer, began, pause)
            pause = min(2 * pause, REDIAL_SECONDS[1])

    async def _try(self, dialling: Awaitable[None], peer: str, loop: NodeLoop) -> str:
        """Dial, and use the link until it breaks; returns why, if it did."""
        fault = ""
        try:
            await dialling
        except* trio.TooSlowError:
            fault = f"no answer within {CONNECT_SECONDS:g} s"
        except* BROKEN as errors:
            fault = reasons(errors)
        except* ProtocolError as errors:
            fault = reasons(errors)
            if self._greeter.distrusts(errors):
                self._distrust(NodeId(peer), fault, loop)
        if fault:
            log.debug("no link to a peer", peer=peer, reason=fault)
        return fault

    def _distrust(self, peer: NodeId, fault: str, loop: NodeLoop) -> None:
        """Say, once, why what is at a peer's address is not proven to be that peer."""
        if self._complaints.say(peer, "a peer is not proven", fault):
            loop.post(Dialled(peer, fault))

    async def _pause(self, peer: NodeId, began: float, pause: float) -> None:
        """Wait before `peer` is dialled again; less if it dials us meanwhile, which shows it is up."""
        with trio.move_on_after(pause):
            await self._dialled[peer].wait()
        await trio.sleep_until(began + LEAST_SECONDS)

    async def _dial_once(self, peer: NodeId, loop: NodeLoop) -> None:
        addresses = self._addresses.all_of(peer)
        if addresses:  # else it has to dial us first, and to say where it is
            await self._dial_at(peer, self._ways[peer], addresses, loop)

    async def _dial_at(
        self, peer: NodeId | None, way: PeerDial, addresses: Sequence[str], loop: NodeLoop
    ) -> None:
        """Dial a peer at these addresses; None for the node that is there, which says its name."""
        with trio.fail_after(CONNECT_SECONDS):
            stream = await way.connect(addresses)
        async with Connection(stream, self._config.limits.max_frame_bytes) as connection:
            with trio.fail_after(CONNECT_SECONDS):
                line = await self._greeter.dial(connection, peer)
                if isinstance(line, Refusal):
                    there = peer or NodeId(addresses[0])
                    self._complaints.say(
                        there, "a greeting was refused without a proof", line.message
                    )
                    return
                reception = await greet(line, self._membership, peer)
                if not isinstance(reception, PeerWelcome):
                    self._take_refusal(line.node, reception)
                    return
                verdict = await self._judge_welcome(line.node, reception, loop)
            match verdict:
                case Reject():
                    _say_refused(connection, verdict)
                    await connection.send(verdict.refusal)
                case AskPast():
                    pass  # a newer incarnation of the peer was met; the next hello asks for that one
                case UseLink():
                    way.worked()
                    await self._carry(verdict.node, connection, reception, loop)
                case Welcome():
                    raise AssertionError("an outgoing link is never judged as an incoming one")

    async def _judge_welcome(self, peer: NodeId, welcome: PeerWelcome, loop: NodeLoop) -> Verdict:
        shown = welcome.identity
        if shown.node != peer:
            raise ProtocolError(f"{peer} is proven, and its welcome says {shown.node}")
        check_version(welcome.version)
        facts = (shown, welcome.past, welcome.signing_key, welcome.restoration)
        return await self._await_verdict(loop, lambda link: Welcomed(link, *facts))

    async def _carry(
        self, peer: NodeId, connection: Connection, welcome: PeerWelcome, loop: NodeLoop
    ) -> None:
        """Send the queue to `peer` until the link breaks."""
        if peer in self._outbound_links:
            return
        backlog = self._guest_queues.backlog if peer in self._node.guests else None
        outbox = Outbox(self._config.limits.max_peer_queue_bytes, connection.send_some, backlog)
        log.info("linked to a peer", peer=peer, address=connection.peer_name)
        try:
            async with trio.open_nursery() as nursery:
                link = OutboundLink(outbox, nursery.cancel_scope, welcome.identity.nonce)
                self._outbound_links[peer] = link
                if backlog is not None:
                    self._guest_queues.begin(peer, link)
                self._dial_faults.worked(peer, loop)
                self._complaints.mended(peer)
                self._liveness.linked(peer, loop)
                nursery.start_soon(outbox.write_to, connection)
                self._ping(link, encode(self._node.ping()))
                # the peer sends nothing on this link, so this ends when it closes the link
                await connection.stream.receive_some(1)
                nursery.cancel_scope.cancel()
        finally:
            self._outbound_links.pop(peer, None)
            self._guest_queues.end(peer)
            outbox.close()
            self._liveness.unlinked(peer, loop)
            log.info("the link to a peer is gone", peer=peer)

    def ping(self, loop: NodeLoop) -> None:
        """Send a ping on each link. While our own disk blocks the process, none is sent."""
        self._look_for_links_to_us(loop)
        ping = encode(self._node.ping())
        for outbound_link in self._outbound_links.values():
            self._ping(outbound_link, ping)

    def _look_for_links_to_us(self, loop: NodeLoop) -> None:
        name, linked = self._node.name, self._outbound_links.keys()
        fault = self._undialled.look(self._addresses.of(name), linked, self._incoming.keys())
        if fault != self._node.undialled:
            loop.post(Dialled(name, fault))

    def _ping(self, outbound_link: OutboundLink, ping: bytes) -> None:
        """Send a ping, and addresses if they have changed, first of all ours."""
        outbox, told = outbound_link.outbox, self._addresses.version
        if outbound_link.told != told and outbox.put_once(encode(self._addresses.message)):
            outbound_link.told = told
        outbox.put_once(ping)
        outbox.flush()

    # -- links that peers dialled

    async def serve(self, connection: Connection, greeting: PeerGreeting, loop: NodeLoop) -> None:
        """Judge the proven peer that connected, and take its messages until it goes.

        Raises:
            Refused: if it supports no protocol version of ours.
            ProtocolError: if it sends a malformed message.
        """
        line, hello = greeting.line, greeting.hello
        version = choose_version(hello.lowest_version, hello.highest_version)
        try:
            with trio.fail_after(CONNECT_SECONDS):
                verdict = await self._judge_hello(line, hello, version, loop)
        except trio.TooSlowError:
            return
        match verdict:
            case Welcome(_, node, message):
                self._dialled[node].set()
                self._leave_older(node, hello.identity.nonce)
                try:
                    await line.say(message)
                    await self._take(connection, node, loop)
                finally:
                    loop.post(Left(verdict.link, node))
            case Reject(_, _, refusal):
                _say_refused(connection, verdict)
                await line.say(refusal)
            case UseLink() | AskPast():
                raise AssertionError("an incoming link is never judged as an outgoing one")

    async def _judge_hello(
        self, line: PeerLine, hello: PeerHello, version: int, loop: NodeLoop
    ) -> Verdict:
        """The verdict on the peer, once it has proved the past incarnation that it is asked for."""
        while True:
            verdict = await self._await_verdict(loop, partial(_greeted, hello, version))
            if not isinstance(verdict, AskPast):
                return verdict
            await line.say(verdict.message)
            hello = await line.hear_hello()

    async def _take(self, connection: Connection, node: NodeId, loop: NodeLoop) -> None:
        with trio.CancelScope() as scope:
            older = self._incoming.pop(node, None)
            if older is not None:
                older.cancel()
            self._incoming[node] = scope
            self._pinged.pop(node, None)  # the first ping of a link is news
            self.peers.regroup()
            taker = Peer(
                node, loop, self._liveness, self._wants_commits, self._pinged, self._take_refusal
            )
            await connection.read(PeerMessage, taker, self._sockets)
        if self._incoming.get(node) is scope:
            del self._incoming[node]
            self._dial_faults.forget(node)
            self._liveness.unheard(node, loop)
            self.peers.regroup()

    def _leave_older(self, node: NodeId, nonce: bytes) -> None:
        """End our link to an earlier incarnation of a node: its machine may have vanished silently."""
        outbound_link = self._outbound_links.get(node)
        if outbound_link is not None and outbound_link.nonce != nonce:
            outbound_link.scope.cancel()

    # -- both

    async def _await_verdict(
        self, loop: NodeLoop, event_for: Callable[[int], Greeted | Welcomed]
    ) -> Verdict:
        self._count += 1
        link = self._count
        judged = self._judged[link] = Judged(trio.Event())
        event = event_for(link)
        try:
            loop.post(event)
            await judged.event.wait()
        finally:
            del self._judged[link]
            if not judged.event.is_set() and isinstance(event, Greeted):
                loop.post(Left(link, event.identity.node))  # nobody waits for the verdict any more
        assert judged.verdict is not None, "the event is set with the verdict"
        return judged.verdict

    def _take_refusal(self, peer: NodeId, refusal: Refusal | DirectoryRefusal) -> None:
        """S06: only what a proven peer remembers can end this node, if its own directory agrees."""
        if not isinstance(refusal, DirectoryRefusal):
            self._complaints.say(peer, "a peer refuses this node", refusal.message)
        elif not self._on_refused(refusal):
            self._complaints.say(peer, "a peer refuses a directory that is sound", refusal.message)


def _greeted(hello: PeerHello, version: int, link: int) -> Greeted:
    return Greeted(link, hello.identity, hello.recall, hello.past, version)


def _say_refused(connection: Connection, verdict: Reject) -> None:
    address, reason = connection.peer_name, verdict.refusal.message
    log.strangers(
        "a node is refused", address, level=logging.ERROR, node=verdict.node, reason=reason
    )
