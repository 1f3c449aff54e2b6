"""One node as a server: the parts put together, from the first listener to the last sync.

`serve_node` runs until it is told to stop, a peer refuses this node's directory, or a part fails. It
raises the error that ended it, so that the process can report it.
"""

import os
import random
from collections.abc import Callable, Sequence

import trio

from ..addresses import split_address
from ..config import ClusterConfig
from ..disk import Storage
from ..errors import Busy, IdentityRefused, ProtocolError, Refused
from ..replica.replica import Replica
from ..replica.step.effects import Outgoing, Reply, Send
from ..version import described
from ..wire.decrees import encode_message
from ..wire.handshake import MAGIC, ClientHello, Greeting, PeerHello, Refusal
from . import log
from .clients import Clients
from .connections import BROKEN, Connection, NothingSaid, reasons
from .incoming import Incoming
from .links import Links
from .liveness import Liveness
from .node_loop import NodeLoop
from .sockets import Sockets
from .timers import Timers
from .trimming import give_back

BACKLOG = 1_024
DEFERRABLE_MS = 1.0
"""How long a message that is not urgent waits for an urgent one to the same peer."""


class Server:
    """A node's server.

    Args:
        config: the cluster.
        storage: the node's disk, opened for this incarnation.
        on_formed: called with the formation id when the cluster forms.
    """

    def __init__(
        self, config: ClusterConfig, storage: Storage, on_formed: Callable[[bytes], None]
    ) -> None:
        self._config = config
        self._replica = Replica(config, storage.recovered(), described())
        node = self._replica.node
        timers = Timers(random.Random(os.urandom(16)), self._replica.counts)
        self._sockets = Sockets()
        self.loop = NodeLoop(
            self._replica, storage, timers, self._deliver, on_formed, self._sockets
        )
        self._liveness = Liveness(node.others, config.timing.suspect_ms)
        self._clients = Clients(config, node, self._sockets)
        self.loop.crowded = self._clients.crowded
        self._links = Links(
            config,
            node,
            self._replica.membership,
            self._liveness,
            self._on_refused,
            self._sockets,
        )
        self._incoming = Incoming(config.limits.max_all_frame_bytes)
        self._connections = 0
        self._silent: dict[Connection, trio.CancelScope] = {}
        self._scope = trio.CancelScope()
        self._refused = ""

    async def run(
        self,
        listeners: Sequence[trio.SocketListener],
        stop: trio.Event,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve until `stop` is set, then drain and return.

        Raises:
            IdentityRefused: if a peer says that this node's directory must not take part.
        """
        node = self._replica.node
        with self._sockets, self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.loop.run)
                nursery.start_soon(self._liveness.run, self.loop, self._links.ping)
                nursery.start_soon(give_back, self._held_bytes)
                for peer in node.others:
                    nursery.start_soon(self._links.dial, peer, self.loop)
                accepting = await nursery.start(self._accept_on, listeners)
                log.info("serving", node=node.name, incarnation=node.identity.incarnation)
                started()
                await stop.wait()
                accepting.cancel()
                await self._drain()
                self._scope.cancel()
        if self._refused:
            raise IdentityRefused(self._refused)

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
        self._connections += 1
        try:
            async with stream:
                await self._serve_connection(connection, name)
        except* NothingSaid as errors:
            log.debug("a connection ended", address=name, reason=reasons(errors))
        except* ProtocolError as errors:
            log.strangers("a connection was ended", name, reason=reasons(errors))
        except* BROKEN as errors:
            log.debug("a connection broke", address=name, reason=reasons(errors))
        finally:
            connection.let_go()
            self._connections -= 1

    async def _serve_connection(self, connection: Connection, name: str) -> None:
        greeting = await self._greeting(connection, name)
        if greeting is None:
            return
        if greeting.magic != MAGIC:
            raise ProtocolError(f"the greeting says {greeting.magic!a}, not {MAGIC!a}")
        limit = self._config.limits.max_connections
        if isinstance(greeting, ClientHello) and self._clients.count >= limit:
            # the limit is for clients only, so that they never lock out peers
            message = f"{limit} connections are open, which is the limit; try again later"
            await connection.send(Refusal(Busy.code, message))
            return
        try:
            match greeting:
                case ClientHello():
                    await self._clients.serve(connection, greeting, self.loop)
                case PeerHello():
                    await self._links.serve(connection, greeting, self.loop)
        except ProtocolError:
            raise
        except Refused as refused:
            await connection.send(Refusal(refused.code, str(refused)))

    async def _greeting(self, connection: Connection, name: str) -> ClientHello | PeerHello | None:
        """The greeting of a connection; None if the connection is ended since it sent no greeting.

        With more than twice as many connections as clients are allowed, the one that has been silent
        longest is ended, so that silent connections never lock out others.
        """
        if self._connections > 2 * self._config.limits.max_connections and self._silent:
            self._silent.pop(next(iter(self._silent))).cancel()
        with trio.CancelScope() as scope:
            self._silent[connection] = scope
            try:
                greeting: ClientHello | PeerHello = await connection.greeting(Greeting)
                return greeting
            finally:
                self._silent.pop(connection, None)
        log.strangers("too many connections; a silent one was ended", name)
        return None

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
            elif type(item) is not Reply:
                assert not isinstance(item, Reply | Send), "each has its branch above"
                self._links.judge(item)
        # clients first: users see only their latency
        self._clients.flush()
        if self._links.flush():
            self.loop.later(DEFERRABLE_MS, self._links.flush_all)

    def _held_bytes(self) -> int:
        """The bytes that are held for clients."""
        return self._clients.held_bytes + self._incoming.held

    def _on_refused(self, reason: str) -> None:
        self._refused = reason
        self._scope.cancel()


async def listen(config: ClusterConfig, address: str) -> list[trio.SocketListener]:
    """Open the listeners for ``host:port``.

    Raises:
        Refused: if the address cannot be used.
    """
    host, port = split_address(address)
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    except OSError as error:
        raise Refused(f"cannot listen on {address}: {error.strerror or error}") from error


async def serve_node(
    config: ClusterConfig,
    storage: Storage,
    stop: trio.Event,
    *,
    listen_on: str | None = None,
    on_formed: Callable[[bytes], None] = lambda _: None,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Run one node until `stop` is set; the storage is closed when this returns.

    Args:
        config: the cluster.
        storage: the node's disk, opened for this incarnation.
        stop: set it to stop gracefully.
        listen_on: ``host:port`` to listen on, if it is not the node's own address.
        on_formed: called with the formation id when the cluster forms.
        started: called when the node accepts connections.

    Raises:
        IdentityRefused: if a peer says that this node's directory must not take part.
        Refused: if the address cannot be used.
    """
    try:
        node = storage.recovered().identity.node
        address = listen_on or dict(config.addresses)[node]
        listeners = await listen(config, address)
        await Server(config, storage, on_formed).run(listeners, stop, started)
    finally:
        # without a thread: a cancelled task could not wait for one
        storage.close()
