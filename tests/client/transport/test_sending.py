"""Sending: immediately if nothing is in flight, otherwise together; messages stay whole."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from decreed.client import connect
from decreed.client.transport.channel import Channel
from decreed.client.transport.wakeup import Wakeup
from decreed.registry.errors import Unreachable
from decreed.registry.types import NodeId
from decreed.registry.wire.frames import FrameCutter
from decreed.registry.wire.handshake import VERSION, ClientWelcome
from decreed.registry.wire.requests import GetRequest

from ..fakes import FORMATION, LIMIT_S, Silence, cluster_of

pytestmark = pytest.mark.anyio
MAX_FRAME = 16 * 1024 * 1024
# one-byte texts in CBOR, too many for any send buffer
LARGE = b"\x61x" * (6 * 1024 * 1024)
WELCOME = ClientWelcome(VERSION, "c", FORMATION, NodeId("n1"), (), 1024, MAX_FRAME, 1024)


@asynccontextmanager
async def a_channel() -> AsyncIterator[tuple[Channel, socket.socket]]:
    """A channel, and the socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = await anyio.connect_tcp("127.0.0.1", server.getsockname()[1])
        other, _ = server.accept()
        channel = Channel(stream, WELCOME)
        try:
            with other:
                yield channel, other
        finally:
            await channel.aclose()


def payloads_of(other: socket.socket, count: int) -> list[bytes]:
    """The next payloads that arrive; blocks."""
    cutter, found = FrameCutter(MAX_FRAME), list[bytes]()
    while len(found) < count:
        found += cutter.feed(other.recv(1024 * 1024))
    return found


async def test_bytes_that_the_system_does_not_take_are_sent_first_later() -> None:
    async with a_channel() as (channel, other):
        channel.send_now([LARGE])
        assert not channel.idle
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.send, [b"\x01"])
            found = await anyio.to_thread.run_sync(payloads_of, other, 2)
        assert found == [b"\x81" + LARGE, b"\x81\x01"]
        assert channel.idle


async def test_a_broken_connection_raises_at_the_next_send() -> None:
    async with a_channel() as (channel, other):
        other.close()
        with pytest.raises(Unreachable), anyio.fail_after(LIMIT_S):
            while True:
                channel.send_now([b"\x01"])
                await channel.send([])


async def test_requests_that_are_made_together_are_sent_together() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        node = cluster.nodes[0]
        await registry.get("first")
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(registry.get, f"k{number}")
        sizes = [len(frame) for frame in node.frames if isinstance(frame[0], GetRequest)]
        # a request that finds nothing in flight does not wait for the others
        assert sizes == [1, 1, 19]


async def test_a_request_leaves_while_another_one_waits_for_its_answer() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        node = cluster.nodes[0]
        node.script = lambda node, request: Silence
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(registry.get, "silent")
            await node.until(lambda node: len(node.asked(GetRequest)) == 1)
            tasks.start_soon(registry.get, "another")
            await node.until(lambda node: len(node.asked(GetRequest)) == 2)
            tasks.cancel_scope.cancel()


async def test_a_bell_stays_rung_until_somebody_waits() -> None:
    wakeup = Wakeup()
    wakeup.wake()
    wakeup.wake()
    await wakeup.wait()
    with anyio.move_on_after(0) as scope:
        await wakeup.wait()
    assert scope.cancelled_caught
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wakeup.wait)
        await anyio.wait_all_tasks_blocked()
        wakeup.wake()
