"""The sockets that the loop's own task reads: all that have bytes, until their connection must wait."""

import os
import socket
from collections.abc import Callable, Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from decreed.registry.errors import ProtocolError
from decreed.registry.server.sockets import Sockets

pytestmark = pytest.mark.trio


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A pair of connected sockets."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


async def test_a_connection_is_read_whenever_bytes_have_come_and_only_then(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    read: list[bytes] = []

    def take() -> bool:
        read.append(os.read(ends[1].fileno(), 100))
        return True

    with Sockets() as sockets:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sockets.watch, ends[1].fileno(), take)
            await wait_all_tasks_blocked()
            for data in (b"one", b"two"):
                ends[0].send(data)
                await sockets.wait()
                sockets.read()
                sockets.read()
            assert read == [b"one", b"two"]
            nursery.cancel_scope.cancel()


async def test_the_connections_task_goes_on_once_there_is_something_to_wait_for(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    with Sockets() as sockets:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sockets.watch, ends[1].fileno(), lambda: False)
            await wait_all_tasks_blocked()
            ends[0].send(b"more")
            sockets.read()
            sockets.read()
        await sockets_are_silent(sockets)


async def test_an_error_of_reading_is_raised_in_the_connections_task(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    def garbage() -> bool:
        raise ProtocolError("garbage")

    with Sockets() as sockets:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raises, sockets, ends[1].fileno(), garbage)
            await wait_all_tasks_blocked()
            ends[0].send(b"?")
            sockets.read()


async def test_a_connection_that_ends_itself_while_it_is_read_is_resumed_once(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    with Sockets() as sockets:
        async with trio.open_nursery() as nursery:

            def end() -> bool:
                nursery.cancel_scope.cancel()
                return False

            nursery.start_soon(sockets.watch, ends[1].fileno(), end)
            await wait_all_tasks_blocked()
            ends[0].send(b"!")
            sockets.read()
        await sockets_are_silent(sockets)


async def test_a_wakeup_ends_one_wait_however_often_it_came() -> None:
    with Sockets() as sockets:
        for _ in range(100_000):
            sockets.wake()
        with trio.fail_after(60):
            await sockets.wait()
        sockets.read()
        await sockets_are_silent(sockets)
        sockets.wake()
        with trio.fail_after(60):
            await sockets.wait()


async def raises(sockets: Sockets, fd: int, read: Callable[[], bool]) -> None:
    """Watch a socket whose bytes are garbage."""
    with pytest.raises(ProtocolError, match="garbage"):
        await sockets.watch(fd, read)


async def sockets_are_silent(sockets: Sockets) -> None:
    """Check that nothing is left that would end a wait."""
    with trio.move_on_after(0.05) as patience:
        await sockets.wait()
    assert patience.cancelled_caught
