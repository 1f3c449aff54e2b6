"""A cluster of real servers in one trio program, on loopback, with in-memory disks; a raw client."""

import os
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import trio

from decreed.registry.cluster_secret import parse_secret, secret_text
from decreed.registry.config import ClusterConfig, parse_config
from decreed.registry.server.credentials import Credentials
from decreed.registry.server.serve import serve_node
from decreed.registry.server.start import ServerStart
from decreed.registry.types import NodeId
from decreed.registry.wire.codec import decode_batch, encode
from decreed.registry.wire.frames import FrameCutter, pack
from decreed.registry.wire.handshake import VERSION, ClientHello, ClientWelcome, Reception
from decreed.registry.wire.requests import Answer, Request, StatusRequest
from decreed.registry.wire.status import StatusReport
from decreed.storage.memory import MemoryDisk, open_memory

from .ports import hold, let_go

SECRET = parse_secret(secret_text(bytes(range(32))).encode())
"""What the nodes of these clusters prove to each other."""
PATIENCE_S = 120.0
"""Far more than a cluster needs to form, also on a busy machine."""


async def live_config(size: int = 3, **sections: Any) -> ClusterConfig:
    """A configuration with ports of this machine, which are held until `live_cluster` ends."""
    members = {f"n{n + 1}": f"127.0.0.1:{port}" for n, port in enumerate(hold(size))}
    return parse_config({"cluster_id": "live-test", "members": members, **sections})


class RawClient:
    """Speaks the protocol by hand, so that tests can send what the client library never sends."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._cutter = FrameCutter(64 * 1024 * 1024)
        self._received: list[Any] = []

    async def say(self, *messages: object) -> None:
        """Send messages."""
        for frame in pack(map(encode, messages)):
            await self.stream.send_all(frame)

    async def hear(self, kind: Any = Answer) -> Any:
        """The next message."""
        while not self._received:
            data = await self.stream.receive_some(1 << 20)
            if not data:
                raise EOFError("the server closed the connection")
            for payload in self._cutter.feed(bytes(data)):
                self._received += decode_batch(payload, kind)
        return self._received.pop(0)

    async def ask(self, request: Request) -> Answer:
        """Send a request and wait for an answer; a welcome that comes again meanwhile is dropped."""
        await self.say(request)
        while isinstance(answer := await self.hear(Answer | ClientWelcome), ClientWelcome):
            pass
        return cast(Answer, answer)

    async def greet(self) -> ClientWelcome:
        """Send a client's greeting, and return the welcome."""
        await self.say(ClientHello("decreed", VERSION, VERSION, "test"))
        welcome = await self.hear(Reception)
        assert isinstance(welcome, ClientWelcome), welcome
        return welcome

    async def ended(self) -> bool:
        """Wait until the server has closed the connection."""
        try:
            while await self.stream.receive_some(1 << 20):
                pass
        except trio.BrokenResourceError:
            pass
        return True


@dataclass
class Cluster:
    """Servers that run in a nursery."""

    config: ClusterConfig
    nursery: trio.Nursery
    disks: dict[NodeId, MemoryDisk] = field(default_factory=dict)
    scopes: dict[NodeId, trio.CancelScope] = field(default_factory=dict)
    stops: dict[NodeId, trio.Event] = field(default_factory=dict)
    ended: dict[NodeId, trio.Event] = field(default_factory=dict)
    streams: list[trio.SocketStream] = field(default_factory=list)
    credentials: dict[NodeId, Credentials] = field(default_factory=dict)
    dials: ssl.SSLContext | None = None

    async def start(self, node: NodeId) -> None:
        """Start a node on its disk and wait until it listens."""
        disk = self.disks.setdefault(node, MemoryDisk(node))
        await self.nursery.start(self._run, node, disk)

    def kill(self, node: NodeId) -> None:
        """Stop a node without a clean shutdown; its disk keeps what was synced."""
        self.scopes[node].cancel()

    async def restart(self, node: NodeId) -> None:
        """Stop a node as its operator does, and start it, with what there is for it now."""
        self.stops[node].set()
        await self.ended[node].wait()
        await self.start(node)

    async def raw(self, node: str) -> RawClient:
        """A raw connection to a node; with TLS if its own connections have it."""
        stream = await self.plain(node)
        if self.dials is None:
            return RawClient(stream)
        secured = trio.SSLStream(stream, self.dials, https_compatible=False)
        return RawClient(cast(trio.SocketStream, secured))

    async def plain(self, node: str) -> trio.SocketStream:
        """A connection to a node, without a byte."""
        stream = await trio.open_tcp_stream(*self.config.address(NodeId(node)))
        self.streams.append(stream)
        return stream

    async def client(self, node: str) -> RawClient:
        """A connection to a node that has been greeted."""
        client = await self.raw(node)
        await client.greet()
        return client

    async def report(self, node: str) -> StatusReport:
        """The status report of a node."""
        client = await self.client(node)
        async with client.stream:
            answer = await client.ask(StatusRequest(1))
        assert isinstance(answer, StatusReport)
        return answer

    async def ready(self, nodes: Sequence[str]) -> None:
        """Wait until these nodes vote and see each other."""
        for node in nodes:
            while not await self._is_ready(node, set(nodes) - {node}):
                await trio.sleep(0.01)

    async def _is_ready(self, node: str, others: set[str]) -> bool:
        report = await self.report(node)
        return report.voting and others <= {p.node for p in report.peers if p.reachable}

    def _proves(self, node: NodeId) -> bool:
        """Whether a node has the secret: without TLS, and while it meets others without."""
        return node not in self.credentials or self.config.tls.accept_plain

    async def _run(
        self, node: NodeId, disk: MemoryDisk, *, task_status: trio.TaskStatus[None]
    ) -> None:
        disk.holder = None
        stop = self.stops[node] = trio.Event()
        ended = self.ended[node] = trio.Event()
        with trio.CancelScope() as scope:
            self.scopes[node] = scope
            storage = open_memory(disk, self.config, node, os.urandom)
            how = ServerStart(
                secret=SECRET if self._proves(node) else None,
                credentials=self.credentials.get(node),
            )
            await serve_node(self.config, storage, stop, how, started=task_status.started)
        ended.set()


@asynccontextmanager
async def live_cluster(
    config: ClusterConfig,
    credentials: Mapping[NodeId, Credentials] | None = None,
    dials: ssl.SSLContext | None = None,
) -> AsyncIterator[Cluster]:
    """A cluster that votes, for as long as the block runs.

    Args:
        config: its members.
        credentials: of the nodes, for TLS.
        dials: with what `Cluster.raw` shakes hands then.
    """
    try:
        async with _started(config, credentials or {}, dials) as cluster:
            yield cluster
    finally:
        let_go(config.address(node)[1] for node in config.nodes)


@asynccontextmanager
async def _started(
    config: ClusterConfig,
    credentials: Mapping[NodeId, Credentials],
    dials: ssl.SSLContext | None,
) -> AsyncIterator[Cluster]:
    async with trio.open_nursery() as nursery:
        cluster = Cluster(config, nursery, credentials=dict(credentials), dials=dials)
        for node in config.nodes:
            await cluster.start(node)
        with trio.fail_after(PATIENCE_S):
            await cluster.ready(config.nodes)
        try:
            yield cluster
        finally:
            # all of them, also if a node has failed and everything is cancelled
            with trio.CancelScope(shield=True):
                for stream in cluster.streams:
                    await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()
