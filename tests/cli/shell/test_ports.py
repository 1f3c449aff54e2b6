"""Ports that are held: only the server that names one gets it."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from struct import pack

import pytest

from decreed.cli.shell.ports import HELD, LOCALHOST, held_ports

IP_LOCAL_PORT_RANGE = 51
"""The range of ports of one socket, from which it gets one when it asks for any; Linux 6.3."""

pytestmark = pytest.mark.skipif(not HELD, reason="ports cannot be held on this system")


@pytest.fixture
def port() -> Iterator[int]:
    """A held port."""
    with ExitStack() as stack:
        yield held_ports(stack, 1)[0]


def listener(port: int, *, shares: bool = True) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shares)
    try:
        server.bind((LOCALHOST, port))
    except OSError:
        server.close()
        raise
    server.listen()
    return server


def only(port: int) -> socket.socket:
    """A socket that gets this port when it asks for any."""
    asking = socket.socket()
    try:
        asking.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, pack("=HH", port, port))
    except OSError:
        asking.close()
        pytest.skip("this system has no ranges of ports for single sockets")
    return asking


def test_a_server_that_names_the_held_port_gets_it_at_each_start(port: int) -> None:
    for _ in range(3):
        with (
            listener(port),
            socket.create_connection((LOCALHOST, port)),
            pytest.raises(OSError, match="in use"),
        ):
            listener(port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOCALHOST, port))


def test_a_server_that_does_not_share_does_not_get_the_held_port(port: int) -> None:
    with pytest.raises(OSError, match="in use"):
        listener(port, shares=False)


def test_no_socket_that_asks_for_any_port_gets_the_held_one(port: int) -> None:
    for shares in (False, True):
        with closing(only(port)) as asking, pytest.raises(OSError) as caught:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shares)
            asking.bind((LOCALHOST, 0))
        assert caught.value.errno == errno.EADDRINUSE
    with listener(0) as server, closing(only(port)) as asking, pytest.raises(OSError) as caught:
        asking.connect(server.getsockname())
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_a_port_that_was_released_can_be_held_again() -> None:
    with ExitStack() as stack:
        [port] = held_ports(stack, 1)
    with closing(only(port)) as asking:
        asking.bind((LOCALHOST, 0))
        assert asking.getsockname()[1] == port
