"""Requests to the admin listener of a node, byte by byte, and what it answers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import h11
import trio

from decreed.registry.config import ClusterConfig
from decreed.registry.server.admin.askers import Askers
from decreed.registry.server.admin.listener import AdminListener
from decreed.registry.server.admin.sources import NodeSources
from decreed.registry.server.serve import Server
from decreed.registry.server.start import PLAIN, ServerStart
from decreed.registry.types import NodeId
from decreed.storage.memory import MemoryDisk, open_memory

from .live import PATIENCE_S
from .ports import hold, let_go


class Told(NamedTuple):
    """An answer."""

    status: int
    body: bytes
    headers: dict[str, str]


class AdminNode(NamedTuple):
    """A node that serves, with its admin listener, and the port for its clients."""

    server: Server
    admin: AdminListener
    port: int

    @property
    def admin_port(self) -> int:
        """Where the admin listener is."""
        return int(self.admin.places[0].rsplit(":", 1)[1])


def request(path: str, method: str = "GET", host: str = "localhost", **headers: str) -> bytes:
    """The bytes of a request after which the connection ends."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n".encode()


async def ended(stream: trio.abc.ReceiveStream) -> bytes:
    """All that comes until the other side has ended."""
    data = b""
    with trio.fail_after(PATIENCE_S):
        while more := await stream.receive_some(1 << 16):
            data += more
    return data


def answer(data: bytes) -> Told:
    """The answer that bytes are."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    http.receive_data(data)
    http.receive_data(b"")
    told = Told(0, b"", {})
    while not isinstance(event := http.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
        if isinstance(event, h11.Response):
            headers = {name.decode(): value.decode() for name, value in event.headers}
            told = told._replace(status=event.status_code, headers=headers)
        elif isinstance(event, h11.Data):
            told = told._replace(body=told.body + bytes(event.data))
    return told


@asynccontextmanager
async def serving(config: ClusterConfig, start: ServerStart = PLAIN) -> AsyncIterator[AdminNode]:
    """The node n1 of a cluster, with its admin listener on loopback, while the block runs."""
    [port] = hold(1)
    storage = open_memory(MemoryDisk("n1"), config, NodeId("n1"), bytes)
    server, stop, started = Server(config, storage, start), trio.Event(), trio.Event()
    sources = NodeSources(server._replica.parts, server.loop, storage, server._clients)
    askers = Askers(sources, server._securing, server._tokens, server._tell_of)
    admin = AdminListener(sources, server._securing, askers)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run, listeners, stop, started.set)
        let_go([port])
        nursery.start_soon(admin.run, f"127.0.0.1:{port}")
        with trio.fail_after(PATIENCE_S):
            await started.wait()
            await until(lambda: bool(admin.places))
        yield AdminNode(server, admin, listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()
    storage.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.001)
