"""A cluster of real servers in one trio program, on loopback, with in-memory disks; a raw client."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from decreed.registry.config import ClusterConfig, parse_config
from decreed.registry.server.serve import serve_node
from decreed.registry.types import NodeId
from decreed.registry.wire.codec import decode_batch, encode
from decreed.registry.wire.frames import FrameCutter, pack
from decreed.registry.wire.handshake import VERSION, ClientHello, ClientWelcome, Reception
from decreed.registry.wire.requests import Answer, Request, StatusRequest
from decreed.registry.wire.status import StatusReport
from decreed.storage.memory import MemoryDisk, open_memory

from .ports import hold, let_go

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
        """Send a request and wait for an answer."""
        await self.say(request)
        answer: Answer = await self.hear()
        return answer

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
    streams: list[trio.SocketStream] = field(default_factory=list)

    async def start(self, node: NodeId) -> None:
        """Start a node on its disk and wait until it listens."""
        disk = self.disks.setdefault(node, MemoryDisk(node))
        await self.nursery.start(self._run, node, disk)

    def kill(self, node: NodeId) -> None:
        """Stop a node without a clean shutdown; its disk keeps what was synced."""
        self.scopes[node].cancel()

    async def raw(self, node: str) -> RawClient:
        """A raw connection to a node."""
        stream = await trio.open_tcp_stream(*self.config.address(NodeId(node)))
        self.streams.append(stream)
        return RawClient(stream)

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

    async def _run(
        self, node: NodeId, disk: MemoryDisk, *, task_status: trio.TaskStatus[None]
    ) -> None:
        disk.holder = None
        stop = self.stops[node] = trio.Event()
        with trio.CancelScope() as scope:
            self.scopes[node] = scope
            storage = open_memory(disk, self.config, node, os.urandom)
            await serve_node(self.config, storage, stop, started=task_status.started)


@asynccontextmanager
async def live_cluster(config: ClusterConfig) -> AsyncIterator[Cluster]:
    """A cluster that votes, for as long as the block runs."""
    try:
        async with _started(config) as cluster:
            yield cluster
    finally:
        let_go(config.address(node)[1] for node in config.nodes)


@asynccontextmanager
async def _started(config: ClusterConfig) -> AsyncIterator[Cluster]:
    async with trio.open_nursery() as nursery:
        cluster = Cluster(config, nursery)
        for node in config.nodes:
            await cluster.start(node)
        with trio.fail_after(PATIENCE_S):
            await cluster.ready(config.nodes)
        try:
            yield cluster
        finally:
            for stream in cluster.streams:
                await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()
