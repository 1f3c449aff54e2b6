"""Doors: the effect of weather on bytes, on real sockets, seen from both ends."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import pytest
import trio

from decreed.registry.wire.codec import encode
from decreed.registry.wire.frames import pack
from decreed.registry.wire.handshake import MAGIC, VERSION, ClientHello

from ..support.ports import held
from .door import Door
from .network import CLEAR, CLIENTS, DEAD, REFUSED, Network, Wire

pytestmark = pytest.mark.trio

PATIENCE_S = 120.0
(HELLO,) = pack([encode(ClientHello(MAGIC, VERSION, VERSION, "test"))])


@dataclass
class Hall:
    """A door, and an echo server after it."""

    door: Door
    network: Network

    @property
    def there(self) -> Wire:
        return self.network.wire(CLIENTS, "n1")

    @property
    def back(self) -> Wire:
        return self.network.wire("n1", CLIENTS)

    async def enter(self) -> trio.SocketStream:
        """A connection that has greeted."""
        stream = await trio.open_tcp_stream(*self.door.address)
        await stream.send_all(HELLO)
        return stream


async def echo(stream: trio.SocketStream) -> None:
    try:
        async for data in stream:
            await stream.send_all(bytes(data))
        await stream.send_eof()
    except trio.BrokenResourceError:
        pass


@asynccontextmanager
async def hall() -> AsyncIterator[Hall]:
    network = Network(random.Random(1))
    with held(2) as (outer, inner), trio.fail_after(PATIENCE_S):
        door = Door("n1", ("127.0.0.1", outer), ("127.0.0.1", inner), network)
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trio.serve_tcp, echo, inner, host="127.0.0.1"))
            await nursery.start(door.serve)
            yield Hall(door, network)
            nursery.cancel_scope.cancel()


async def hear(stream: trio.SocketStream, count: int) -> bytes:
    heard = b""
    while len(heard) < count:
        data = await stream.receive_some()
        assert data, f"it ended after {heard!r}"
        heard += data
    return heard


async def is_silent(stream: trio.SocketStream) -> bool:
    with trio.move_on_after(0.2):
        await stream.receive_some()
        return False
    return True


async def test_without_faults_every_byte_and_the_end_arrive_in_order() -> None:
    async with hall() as here, await here.enter() as stream:
        data = random.Random(2).randbytes(1 << 20)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, data)
            assert await hear(stream, len(HELLO) + len(data)) == HELLO + data
        await stream.send_eof()
        assert await stream.receive_some() == b""


@pytest.mark.parametrize("way", ["there", "back"])
async def test_a_dead_wire_delays_bytes_without_an_error(way: str) -> None:
    async with hall() as here, await here.enter() as stream:
        await hear(stream, len(HELLO))
        wire = here.there if way == "there" else here.back
        wire.set(DEAD)
        await stream.send_all(b"held")
        assert await is_silent(stream)
        wire.set(CLEAR)
        assert await hear(stream, 4) == b"held"


async def test_on_a_dead_wire_a_greeting_gets_no_answer() -> None:
    async with hall() as here:
        here.there.set(DEAD)
        async with await here.enter() as stream:
            assert await is_silent(stream)
            here.there.set(CLEAR)
            assert await hear(stream, len(HELLO)) == HELLO


async def test_a_refusing_wire_breaks_connections_and_accepts_no_new_ones() -> None:
    async with hall() as here, await here.enter() as stream:
        await hear(stream, len(HELLO))
        here.back.set(REFUSED)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        async with await here.enter() as second:
            with pytest.raises(trio.BrokenResourceError):
                await second.receive_some()


async def test_the_weather_on_other_wires_does_not_matter() -> None:
    async with hall() as here:
        here.network.wire("n2", "n1").set(DEAD)
        here.network.wire("n1", "n2").set(REFUSED)
        async with await here.enter() as stream:
            assert await hear(stream, len(HELLO)) == HELLO


async def test_a_stranger_is_refused_by_the_door() -> None:
    async with hall() as here, await trio.open_tcp_stream(*here.door.address) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        with suppress(trio.BrokenResourceError):
            assert await stream.receive_some() == b""


async def test_without_a_node_after_the_door_a_connection_breaks() -> None:
    with held(2) as (outer, inner), trio.fail_after(PATIENCE_S):
        door = Door("n1", ("127.0.0.1", outer), ("127.0.0.1", inner), Network(random.Random(1)))
        async with trio.open_nursery() as nursery:
            await nursery.start(door.serve)
            stream = await trio.open_tcp_stream(*door.address)
            await stream.send_all(HELLO)
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
            await stream.aclose()
            nursery.cancel_scope.cancel()
