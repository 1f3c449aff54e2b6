"""One node as a server: the parts put together, from the first listener to the last sync.

`serve_node` runs until it is told to stop, a peer refuses this node's directory, or a part fails. It
raises the error that ended it, so that the process can report it.
"""

import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import trio

from ..addresses import advertised
from ..audit import NOBODY, AuditRecord, Speaker, started
from ..config import ClusterConfig
from ..disk import Recovered, Storage
from ..errors import (
    ConfigError,
    DecreedError,
    IdentityRefused,
    ProtocolError,
    Refused,
)
from ..formed import has_other_members, has_peers, other_members, own_config, places_to_look
from ..members import change_of
from ..replica.replica import Replica
from ..replica.step.effects import Announce, Outgoing, PolicyObeyed, Reply, Send
from ..types import NodeId
from ..version import described
from ..wire.decrees import encode_message
from ..wire.handshake import ClientHello, DirectoryRefusal
from . import log
from .alarm_watch import AlarmWatch
from .audit_log import AuditLog
from .clients import Clients
from .connections import BROKEN, Connection, NothingSaid, reasons
from .denials import Denials, Line, tell_counts
from .disk_watch import DiskWatch
from .doorway import Doorway
from .greeting import NO_SECRET, Greeter, PeerGreeting
from .incoming import Incoming
from .links import Links
from .listening import open_listeners
from .liveness import Liveness
from .node_loop import NodeLoop
from .obeying import Obeying
from .scrub_times import scrub_at_times
from .securing import Securing
from .security_watch import SecurityWatch
from .seeding import Seed, sow
from .sockets import Sockets
from .start import PLAIN, ServerStart
from .timers import Timers
from .tokens import token_check
from .trimming import give_back


class Server:
    """A node's server.

    Args:
        config: the cluster.
        storage: the node's disk, opened for this incarnation.
        start: what else it is started with.
    """

    def __init__(self, config: ClusterConfig, storage: Storage, start: ServerStart = PLAIN) -> None:
        self._config, self._join_at, self._admin_at = config, start.join_at, start.admin
        self._replica = Replica(
            config,
            storage.recovered(),
            described(),
            start.advertise,
            observes=start.observes,
            enforces=True,
            secured=start.credentials is not None,
        )
        node = self._replica.node
        self._tokens = token_check(self._replica.parts, lambda: self.loop.now_ms())
        self._securing = Securing(
            config.cluster_id,
            node.name,
            start.credentials,
            self._tokens,
            accepts_plain=config.tls.accept_plain,
        )
        greeter = Greeter(node.name, config.cluster_id, start.secret, securing=self._securing)
        self._chance = random.Random(os.urandom(16))
        if start.observes and node.takes_part:
            log.warning("a decree of members gives this node a vote, so it does not observe")
        timers = Timers(self._chance, self._replica.counts)
        self._sockets = Sockets()
        self.loop = NodeLoop(
            self._replica, storage, timers, self._deliver, start.on_formed, self._sockets
        )
        self._liveness = Liveness(node.others, config.timing.suspect_ms)
        self._clients = Clients(config, node, self._replica.parts.addresses, self._sockets)
        self.loop.crowded = self._clients.crowded
        self._audit, self._denials = start.audit, Denials()
        if start.audit is not None:
            self.loop.audit = partial(self._tell, start.audit)
            identity = node.identity
            self.loop.audit([started(identity.incarnation, identity.formation)])
        self._obeying = Obeying(self._securing, self._clients, self.loop, start.audit)
        self._obeying.begin(self._replica.parts.policies)
        self._links = Links(
            config,
            node,
            self._replica.membership,
            self._replica.parts.addresses,
            self._liveness,
            self._on_refused,
            self._sockets,
            greeter,
        )
        self._incoming = Incoming(config.limits.max_all_frame_bytes)
        self._refused, self._moves = "", 0
        most = config.limits.max_connections
        self._doorway = Doorway(self._securing, greeter, most, self._tell_stranger)
        self._scope, self._stop = trio.CancelScope(), trio.Event()
        self._storage = storage
        self._seed = self._useful(start.seed)
        self._seed_fault: DecreedError | None = None

    def _useful(self, seed: Seed | None) -> Seed | None:
        """The seed, if the node can learn anything from it; feeds wait for it then."""
        seeding = self._replica.parts.seeding
        if seed is None:
            return None
        if not seeding.is_useful:
            log.info("the seed is not read: this node follows the others already", file=seed.name)
            return None
        seeding.wait()
        return seed

    async def run(
        self,
        listeners: Sequence[trio.SocketListener],
        stop: trio.Event,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve until `stop` is set, or this node has lost its vote and is not needed; then drain.

        Raises:
            IdentityRefused: if a peer says that this node's directory must not take part.
            Refused: if the seed is of another formation.
            Damaged: if the seed cannot be read.
        """
        node = self._replica.node
        with self._sockets, self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.loop.run)
                ping = partial(self._links.ping, self.loop)
                nursery.start_soon(self._liveness.run, self.loop, ping)
                nursery.start_soon(give_back, self._held_bytes)
                nursery.start_soon(self._links.peers.run, self.loop)
                insecure = self._config.insecure
                nursery.start_soon(
                    SecurityWatch(self._securing, self.loop.post, insecure=insecure).run
                )
                nursery.start_soon(self._securing.pace)
                if self._audit is not None:
                    write = partial(self._write, self._audit)
                    nursery.start_soon(tell_counts, self._denials, write)
                every_hours = self._config.scrub.every_hours
                nursery.start_soon(scrub_at_times, every_hours, self._chance, self.loop.post)
                if self._join_at:
                    nursery.start_soon(self._links.join, self._join_at, self.loop)
                if self._seed is not None:
                    nursery.start_soon(self._sow, self._seed)
                accepting = await nursery.start(self._accept_on, listeners)
                log.info("serving", node=node.name, incarnation=node.identity.incarnation)
                started()
                nursery.start_soon(self._watch_disk)
                nursery.start_soon(AlarmWatch(self._replica.parts, self.loop.now_ms).run)
                if self._admin_at:
                    nursery.start_soon(self._administer)
                nursery.start_soon(self._stop_with, stop)
                await self._stop.wait()
                accepting.cancel()
                await self._drain()
                self._scope.cancel()
        if self._refused:
            raise IdentityRefused(self._refused)
        if self._seed_fault is not None:
            raise self._seed_fault

    async def _sow(self, seed: Seed) -> None:
        """Learn from the seed; if that fails, the node ends, since it was not told to do without.

        Nobody asks soon for what is learned, and to enter it in the cache takes as long as to write it.
        """
        self._storage.keep_in_memory(False)
        try:
            await sow(seed, lambda: self._replica.node.identity.formation, self.loop)
        except DecreedError as error:
            self._seed_fault = error
            self._scope.cancel()
        finally:
            self._storage.keep_in_memory(True)

    async def _watch_disk(self) -> None:
        loop, marks = self.loop, self._config.disk
        await DiskWatch(self._storage.space, loop.syncs_ms, marks, loop.post).run()

    async def _administer(self) -> None:
        """Tell health and metrics; what that needs is loaded only here, once the node serves."""
        from .admin.askers import Askers
        from .admin.listener import AdminListener
        from .admin.sources import NodeSources

        sources = NodeSources(self._replica.parts, self.loop, self._storage, self._clients)
        askers = Askers(sources, self._securing, self._tokens, self._tell_of)
        await AdminListener(sources, self._securing, askers).run(self._admin_at)

    async def _stop_with(self, stop: trio.Event) -> None:
        await stop.wait()
        self._stop.set()

    async def _accept_on(
        self,
        listeners: Sequence[trio.SocketListener],
        task_status: trio.TaskStatus[trio.CancelScope],
    ) -> None:
        """Accept connections; open connections continue when accepting is cancelled."""
        async with trio.open_nursery() as handlers:
            with trio.CancelScope() as scope:
                task_status.started(scope)
                await trio.serve_listeners(
                    self._serve_stream, list(listeners), handler_nursery=handlers
                )

    async def _drain(self) -> None:
        """Answer the requests in flight, within the time limit; writes are synced as always."""
        log.info("stopping", in_flight=self._replica.in_flight)
        with trio.move_on_after(self._config.timing.drain_ms / 1000):
            self._clients.stop_reading()
            while self._replica.in_flight:
                await trio.sleep(0.005)
            await self._clients.drained()

    async def _serve_stream(self, stream: trio.SocketStream) -> None:
        """One connection, from greeting to end. Its errors end only this connection."""
        connection = Connection(stream, self._config.limits.max_frame_bytes, self._incoming)
        name = connection.peer_name
        self._doorway.connections += 1
        try:
            async with connection:
                await self._serve_connection(connection, name)
        except* NothingSaid as errors:
            log.debug("a connection ended", address=name, reason=reasons(errors))
        except* ProtocolError as errors:
            say = log.strangers if connection.greeted else log.unproven
            say("a connection was ended", name, reason=reasons(errors))
        except* BROKEN as errors:
            log.debug("a connection broke", address=name, reason=reasons(errors))
        finally:
            connection.let_go()
            self._doorway.connections -= 1

    async def _serve_connection(self, connection: Connection, name: str) -> None:
        try:
            match await self._doorway.greeting(connection):
                case ClientHello() as hello:
                    await self._clients.serve(connection, hello, self.loop)
                case PeerGreeting() as greeting:
                    await self._links.serve(connection, greeting, self.loop)
                case None:
                    pass
        except ProtocolError:
            raise
        except DecreedError as refused:
            await self._doorway.turn_away(connection, name, refused)

    def _deliver(self, outgoing: Sequence[Outgoing]) -> None:
        """Queue messages; one that goes to several peers is encoded once."""
        # types are compared: a failed isinstance costs more than one that succeeds
        self._clients.deliver([item for item in outgoing if type(item) is Reply])
        encoded: dict[int, bytes] = {}
        for item in outgoing:
            if type(item) is Send:
                message = item.message
                data = encoded.get(id(message))
                if data is None:
                    data = encoded[id(message)] = encode_message(message)
                self._links.deliver(item.to, message, data)
            elif type(item) is Announce:
                self._announce(item)
            elif type(item) is PolicyObeyed:
                self._obeying.obey(item.policy, item.number)
            elif type(item) is not Reply:
                assert not isinstance(item, Reply | Send | Announce | PolicyObeyed), "each is above"
                self._links.judge(item)
        # clients first: users see only their latency
        self._clients.flush()
        self.loop.later(self._links.flush(), self._links.flush_all)

    def _tell(self, audit: AuditLog, records: Sequence[AuditRecord]) -> None:
        """Write records to the audit log, with who is at the connections that they name.

        Raises:
            Refused: if that fails, and the log is required.
        """
        asked = (record.connection for record in records)
        speakers = [NOBODY if each is None else self._clients.speaker(each) for each in asked]
        self._write(audit, self._denials.sift(records, speakers))

    def _tell_stranger(self, record: AuditRecord, address: str) -> None:
        """Tell the audit log of somebody who was not let in, at a bounded rate (S83)."""
        self._tell_of(record, Speaker(address=address))

    def _tell_of(self, record: AuditRecord, speaker: Speaker) -> None:
        """Tell the audit log what somebody was refused who has no connection of a client."""
        if self._audit is not None:
            self._write(self._audit, self._denials.sift([record], [speaker]))

    def _write(self, audit: AuditLog, lines: Sequence[Line]) -> None:
        if lines:
            audit.write([record for record, _ in lines], [speaker for _, speaker in lines])

    def _announce(self, news: Announce) -> None:
        """The members or addresses have changed; clients hear of it if it concerns members."""
        if self._replica.parts.leaving.is_over:
            self._stop.set()
        self._links.peers.regroup()
        self._links.look_for(news.moved)
        moves = self._replica.parts.addresses.moves
        if moves != self._moves:
            self._moves = moves
            self._clients.welcome_again()

    def _held_bytes(self) -> int:
        """The bytes that are held for clients."""
        return self._clients.held_bytes + self._incoming.held

    def _on_refused(self, refusal: DirectoryRefusal) -> bool:
        """S06: end the node if its own directory agrees; returns whether it does."""
        if self._replica.parts.bears_out(refusal.evidence):
            self._refused = refusal.message
            self._scope.cancel()
        return bool(self._refused)


def _further_places(config: ClusterConfig, recovered: Recovered) -> Sequence[str]:
    """Where else members may be met, if the file names others than the directory."""
    if not has_other_members(config, recovered):
        return ()
    log.warning("the file names other members", found=other_members(config, recovered.identity))
    return places_to_look(config, recovered)


def _check_start(config: ClusterConfig, recovered: Recovered, start: ServerStart) -> None:
    """Whether a node may start in this way, with this directory: that of an observer was made to join.

    Raises:
        IdentityRefused: if it was not.
        ConfigError: if it has peers, and nothing to prove itself to them with (S05).
        Refused: if the node may not be without an audit log, and has none (S22).
    """
    identity = recovered.identity
    if start.observes and not identity.joins:
        raise IdentityRefused(
            f"the directory of {identity.node} is that of a member with which the cluster formed,"
            " not of an observer: start it without --observe, or observe with an empty one"
        )
    proves_nothing = start.secret is None and start.credentials is None
    if proves_nothing and (start.join_at or has_peers(config, recovered)):
        raise ConfigError(f"node {identity.node} has peers, and {NO_SECRET}")
    if config.audit.required and start.audit is None:
        raise Refused(
            "audit.required is set, and this node has no audit log: start it with --audit"
        )


async def serve_node(
    config: ClusterConfig,
    storage: Storage,
    stop: trio.Event,
    start: ServerStart = PLAIN,
    *,
    listen_on: Sequence[str] = (),
    started: Callable[[], None] = lambda: None,
) -> None:
    """Run one node until `stop` is set; the storage is closed when this returns.

    It also ends when the node has lost its vote by a change of members and is not needed any more.

    Args:
        config: the cluster.
        storage: the node's disk, opened for this incarnation.
        stop: set it to stop gracefully.
        start: what else it is started with; the directory of an observer must have joined.
        listen_on: ``host:port`` of all that it listens on, if it is not the node's own address.
        started: called when the node accepts connections.

    Raises:
        IdentityRefused: if a peer says that this node's directory must not take part, or if that of an
            observer was not made to join.
        Refused: if the address cannot be used, the seed is of another formation, or the audit log is
            required and cannot be written.
        ConfigError: if it is no address that others could be told, or beyond loopback without TLS; or
            if nothing proves the node to its peers.
    """
    try:
        recovered = storage.recovered()
        _check_start(config, recovered, start)
        start = replace(start, join_at=(*start.join_at, *_further_places(config, recovered)))
        own = _own_address(config, recovered)
        places = listen_on or [_known(own, recovered.identity.node)]
        has_only_tls = start.credentials is not None and not config.tls.accept_plain
        guarded = has_only_tls or config.insecure
        listeners = await open_listeners(places, guarded=guarded)
        if own is None and start.advertise is None:
            # an address of no machine can be told to nobody
            start = replace(start, advertise=advertised(places[0]))
        if listen_on or start.advertise:
            log.info("listening", on=",".join(places), advertised=start.advertise or own)
        await Server(config, storage, start).run(listeners, stop, started)
    finally:
        # without a thread: a cancelled task could not wait for one
        storage.close()


def _own_address(config: ClusterConfig, recovered: Recovered) -> str | None:
    """Where a node is by the decree of members that it knows, or by its config; None if unknown."""
    node = recovered.identity.node
    places: dict[NodeId, str] = {}
    if recovered.members is not None:
        with suppress(ProtocolError):  # the replica says so, and does not vote
            places = change_of(recovered.members).places
    return places.get(node) or dict(own_config(config, recovered).addresses).get(node)


def _known(own: str | None, node: NodeId) -> str:
    if own is None:
        raise Refused(f"no address of {node} is known: say where it listens, with --listen")
    return own
