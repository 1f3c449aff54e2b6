"""A frame must come to an end in time, however it is cut; time in which we do not read is free."""

from contextlib import aclosing
from typing import Any, cast

import pytest
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_one_way_pair

from decreed.registry.errors import ProtocolError
from decreed.registry.server.connections import FRAME_SECONDS, Connection
from decreed.registry.types import Key
from decreed.registry.wire.codec import encode
from decreed.registry.wire.frames import pack
from decreed.registry.wire.handshake import ClientHello
from decreed.registry.wire.requests import GetRequest, Request

pytestmark = pytest.mark.trio
HALF_A_MIB = 512 * 1024


def frame_of(count: int) -> bytes:
    """One frame of so many requests."""
    [data] = pack([encode(GetRequest(number, 1_000, Key("k"))) for number in range(count)])
    return data


async def greeted() -> tuple[MemorySendStream, Connection]:
    """The stream on which a client sends, behind its greeting, and the connection there."""
    ours, theirs = memory_stream_one_way_pair()
    connection = Connection(cast(Any, _Reading(theirs)), 8 * 1024 * 1024)
    for frame in pack([encode(ClientHello("decreed", 1, 1))]):
        await ours.send_all(frame)
    await connection.greeting(ClientHello)
    return ours, connection


class _Reading:
    """Only what reading needs of a socket."""

    def __init__(self, stream: MemoryReceiveStream) -> None:
        self.receive_some = stream.receive_some


async def send_slowly(stream: MemorySendStream, data: bytes, size: int, pause: float) -> None:
    """Send `data` in pieces of `size` bytes, `pause` seconds before each but the first."""
    for start in range(0, len(data), size):
        await stream.send_all(data[start : start + size])
        await trio.sleep(pause)


async def heard(connection: Connection) -> int:
    """How many messages the next frame has."""
    async with aclosing(connection.batches(Request)) as batches:
        return len(await anext(batches))


async def test_a_frame_that_trickles_is_ended_in_time(autojump_clock: Any) -> None:
    stream, reader = await greeted()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_slowly, stream, frame_of(100), 1, 5.0)
        with pytest.raises(ProtocolError, match="did not end"):
            await heard(reader)
        assert trio.current_time() == pytest.approx(FRAME_SECONDS, abs=6)
        nursery.cancel_scope.cancel()


async def test_a_quiet_connection_may_stay_and_each_frame_has_its_own_time(
    autojump_clock: Any,
) -> None:
    stream, reader = await greeted()
    async with trio.open_nursery() as nursery, aclosing(reader.batches(Request)) as batches:
        for _ in range(3):
            await trio.sleep(3_600)
            data = frame_of(10)
            nursery.start_soon(send_slowly, stream, data, len(data) // 5, 5.0)
            assert len(await anext(batches)) == 10


async def test_a_large_frame_on_a_slow_line_has_the_time_that_it_needs(autojump_clock: Any) -> None:
    stream, reader = await greeted()
    [data] = pack([encode([99, bytes(8 * HALF_A_MIB)])])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_slowly, stream, data, HALF_A_MIB, 6.0)
        with pytest.raises(ProtocolError, match="not a message"):
            await heard(reader)
        assert trio.current_time() > FRAME_SECONDS
        nursery.cancel_scope.cancel()


async def test_time_in_which_we_do_not_read_is_not_counted(autojump_clock: Any) -> None:
    stream, reader = await greeted()
    data = frame_of(10)
    await stream.send_all(data + data[:-1])
    async with aclosing(reader.batches(Request)) as batches:
        await anext(batches)
        await trio.sleep(10 * FRAME_SECONDS)
        await stream.send_all(data[-1:])
        assert len(await anext(batches)) == 10
