"""A frame must be complete in time, however it is cut; time in which we do not read does not count."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from decreed.registry.errors import ProtocolError
from decreed.registry.identity import ANONYMOUS
from decreed.registry.server.connections import FRAME_SECONDS, Connection
from decreed.registry.server.sockets import Sockets
from decreed.registry.types import Key
from decreed.registry.wire.codec import encode
from decreed.registry.wire.frames import pack
from decreed.registry.wire.handshake import VERSION, ClientHello
from decreed.registry.wire.requests import GetRequest, Request

pytestmark = pytest.mark.trio
HALF_A_MIB = 512 * 1024


def frame_of(count: int) -> bytes:
    """One frame of `count` requests."""
    [data] = pack([encode(GetRequest(number, 1_000, Key("k"))) for number in range(count)])
    return data


class Heard:
    """Takes messages while there is room for them, and notes how many at a time."""

    def __init__(self, room: int) -> None:
        self.counts: list[int] = []
        self.left = room
        self.emptied = trio.Event()
        self.waited = trio.Event()

    def take(self, messages: Sequence[Any]) -> Sequence[Any]:
        taken = messages[: self.left]
        self.left -= len(taken)
        if taken:
            self.counts.append(len(taken))
        return messages[len(taken) :]

    async def room(self, message: Any) -> None:
        self.waited.set()
        await self.emptied.wait()
        self.left = 1_000

    async def of(self, count: int) -> list[int]:
        """How many were taken at a time; waits for `count` such numbers."""
        while len(self.counts) < count:
            await trio.sleep(0.1)
        return self.counts


@asynccontextmanager
async def greeted() -> AsyncIterator[tuple[trio.SocketStream, Connection, Sockets]]:
    """The stream on which a client sends, after its greeting, and the connection at the server."""
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in tcp_pair())
    async with ours, theirs, trio.open_nursery() as nursery:
        with Sockets() as sockets:
            nursery.start_soon(turns, sockets)
            connection = Connection(theirs, 8 * 1024 * 1024)
            for frame in pack([encode(ClientHello("decreed", VERSION, VERSION))]):
                await ours.send_all(frame)
            await connection.greeting(ClientHello)
            connection.greeted_as(ANONYMOUS)
            yield ours, connection, sockets
            nursery.cancel_scope.cancel()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        return one, server.accept()[0]


async def turns(sockets: Sockets) -> None:
    """Read sockets as the node's loop does."""
    while True:
        await sockets.wait()
        sockets.read()


async def send_slowly(stream: trio.SocketStream, data: bytes, size: int, pause: float) -> None:
    """Send `data` in pieces of `size` bytes, `pause` seconds before each but the first."""
    for start in range(0, len(data), size):
        await stream.send_all(data[start : start + size])
        await trio.sleep(pause)


async def test_a_frame_that_trickles_is_ended_in_time(autojump_clock: Any) -> None:
    async with greeted() as (stream, reader, sockets), trio.open_nursery() as nursery:
        nursery.start_soon(send_slowly, stream, frame_of(100), 1, 5.0)
        with pytest.raises(ProtocolError, match="did not end"):
            await reader.read(Request, Heard(1_000), sockets)
        assert trio.current_time() == pytest.approx(FRAME_SECONDS, abs=6)
        nursery.cancel_scope.cancel()


async def test_a_quiet_connection_may_stay_and_each_frame_has_its_own_time(
    autojump_clock: Any,
) -> None:
    async with greeted() as (stream, reader, sockets), trio.open_nursery() as nursery:
        heard = Heard(1_000)
        nursery.start_soon(reader.read, Request, heard, sockets)
        for number in range(1, 4):
            await trio.sleep(3_600)
            data = frame_of(10)
            nursery.start_soon(send_slowly, stream, data, len(data) // 5, 5.0)
            assert await heard.of(number) == [10] * number
        nursery.cancel_scope.cancel()


async def test_a_large_frame_on_a_slow_line_has_the_time_that_it_needs(autojump_clock: Any) -> None:
    [data] = pack([encode([99, bytes(8 * HALF_A_MIB)])])
    async with greeted() as (stream, reader, sockets), trio.open_nursery() as nursery:
        nursery.start_soon(send_slowly, stream, data, HALF_A_MIB, 6.0)
        with pytest.raises(ProtocolError, match="not a message"):
            await reader.read(Request, Heard(1_000), sockets)
        assert trio.current_time() > FRAME_SECONDS
        nursery.cancel_scope.cancel()


async def test_time_in_which_we_do_not_read_is_not_counted(autojump_clock: Any) -> None:
    data = frame_of(10)
    async with greeted() as (stream, reader, sockets), trio.open_nursery() as nursery:
        heard = Heard(9)
        await stream.send_all(data + data[:-1])
        nursery.start_soon(reader.read, Request, heard, sockets)
        await heard.waited.wait()
        await trio.sleep(10 * FRAME_SECONDS)
        heard.emptied.set()
        await stream.send_all(data[-1:])
        assert await heard.of(3) == [9, 1, 10]
        nursery.cancel_scope.cancel()


async def test_messages_before_the_end_are_taken_once_there_is_room(autojump_clock: Any) -> None:
    async with greeted() as (stream, reader, sockets), trio.open_nursery() as nursery:
        heard = Heard(5)
        await stream.send_all(frame_of(10) + frame_of(3) + b"\0")
        await stream.aclose()
        with trio.move_on_after(100) as patience:
            nursery.start_soon(heard.waited.wait)
            await reader.read(Request, heard, sockets)
        assert patience.cancelled_caught, "what there was no room for is not dropped"
        heard.emptied.set()
        await reader.read(Request, heard, sockets)
        assert heard.counts == [5, 5, 3]
        nursery.cancel_scope.cancel()
