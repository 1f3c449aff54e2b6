"""A door in front of each node: a TCP proxy at the node's address that knows who connects.

Peers and clients know only the door; the node listens elsewhere. The first frame of a connection names
its sender, so one door serves the wires from all senders to its node, and nodes and clients need no
extra configuration.

A dead wire accepts connections and then passes nothing on, as a route that drops packets. The
difference is that the connection is made: only the greeting gets no answer.
"""

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from decreed.registry.errors import ProtocolError
from decreed.registry.wire.codec import decode_batch
from decreed.registry.wire.frames import FrameCutter
from decreed.registry.wire.handshake import Greeting, PeerOpening

from .network import CLIENTS, Network, Wire

CHUNK_BYTES = 64 * 1024
CHUNKS_UNDER_WAY = 64
GREETING_BYTES = 4_096
BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Stranger(Exception):
    """The first frame of a connection does not name its sender."""


@dataclass(frozen=True, slots=True)
class Door:
    """The proxy before one node.

    Args:
        node: the node that it serves.
        address: where others connect to.
        behind: where the node listens.
        network: the weather on its wires.
    """

    node: str
    address: tuple[str, int]
    behind: tuple[str, int]
    network: Network

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept connections until cancelled."""
        host, port = self.address
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=1_024)
        task_status.started()
        await trio.serve_listeners(self._let_in, listeners)

    async def _let_in(self, outside: trio.SocketStream) -> None:
        try:
            greeting, source = await _greeting(outside)
        except (*BROKEN, ProtocolError, Stranger):
            await trio.aclose_forcefully(outside)
            return
        there = self.network.wire(source, self.node)
        back = self.network.wire(self.node, source)
        with trio.CancelScope() as scope, there.carrying(scope), back.carrying(scope):
            if not (there.weather.refused or back.weather.refused):
                await self._connect(outside, greeting, (there, back))
        _reset(outside)

    async def _connect(
        self, outside: trio.SocketStream, greeting: bytes, wires: Sequence[Wire]
    ) -> None:
        """Carry both directions, until both have ended or one breaks."""
        there, back = wires
        try:
            await there.passable()
            inside = await trio.open_tcp_stream(*self.behind, happy_eyeballs_delay=None)
        except OSError:
            return
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pump, outside, inside, there, greeting)
                nursery.start_soon(_pump, inside, outside, back)
        except* BROKEN:
            pass
        finally:
            _reset(inside)


async def _greeting(stream: trio.SocketStream) -> tuple[bytes, str]:
    """The bytes up to the end of the first frame, and the sender of the connection."""
    cutter, read = FrameCutter(GREETING_BYTES), b""
    while data := await stream.receive_some(GREETING_BYTES):
        read += data
        for payload in cutter.feed(bytes(data)):
            (hello,) = decode_batch(payload, Greeting)
            return read, hello.node if isinstance(hello, PeerOpening) else CLIENTS
    raise Stranger


async def _pump(
    source: trio.SocketStream, target: trio.SocketStream, wire: Wire, first: bytes = b""
) -> None:
    """Carry bytes in one direction, in order, each chunk when it is due, then the end of the stream."""
    into, under_way = trio.open_memory_channel[tuple[float, bytes]](CHUNKS_UNDER_WAY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_deliver, under_way, target, wire)
        async with into:
            due = 0.0
            data = first or await source.receive_some(CHUNK_BYTES)
            while data:
                if wire.breaks():
                    raise trio.BrokenResourceError("the weather took the connection")
                due = max(due, trio.current_time() + wire.delay_s())
                await into.send((due, bytes(data)))
                data = await source.receive_some(CHUNK_BYTES)


async def _deliver(
    under_way: trio.MemoryReceiveChannel[tuple[float, bytes]],
    target: trio.SocketStream,
    wire: Wire,
) -> None:
    async for due, data in under_way:
        await trio.sleep_until(due)
        await wire.passable()
        await target.send_all(data)
    await wire.passable()
    await target.send_eof()


def _reset(stream: trio.SocketStream) -> None:
    """Close immediately, with a reset for the other side."""
    if stream.socket.fileno() != -1:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()
