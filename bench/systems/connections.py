"""Connections of clients to one node of a cluster: what they cost its process, by their number."""

import socket
import ssl
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

from decreed.client import Tls
from decreed.registry.tls.contexts import TlsFiles, client_context
from decreed.registry.wire.codec import encode
from decreed.registry.wire.frames import pack
from decreed.registry.wire.handshake import LOWEST_VERSION, VERSION, ClientHello

from ..measure import cpu_seconds, memory_mb
from .secured import PlainSystem

HELD = 500
"""How many connections are made, or held at a time; a node takes more than these by default."""
PATIENCE_S = 30.0


def connect_often(cluster: PlainSystem, count: int) -> float:
    """The CPU of the first node for one connection, its welcome and its end, in milliseconds."""
    before = cpu_seconds(cluster.pid(0))
    for _ in range(count):
        with connected(cluster):
            pass
    return (cpu_seconds(cluster.pid(0)) - before) / count * 1e3


def hold_open(cluster: PlainSystem, count: int) -> float:
    """By how much the memory of the first node grows for one more connection, in kilobytes."""
    with ExitStack() as stack:
        for _ in range(count // 5):
            stack.enter_context(connected(cluster))  # what the first ones need is kept for others
        before = memory_mb(cluster.pid(0))
        for _ in range(count):
            stack.enter_context(connected(cluster))
        return (memory_mb(cluster.pid(0)) - before) / count * 1e3


@contextmanager
def connected(cluster: PlainSystem) -> Generator[socket.socket]:
    """A client's connection that is welcomed by the first node; it says nothing more."""
    with socket.create_connection(("127.0.0.1", cluster.ports[0]), PATIENCE_S) as plain:
        # as clients do: else the greeting would wait until the end of the handshake is acknowledged
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = cluster.tls
        if tls is None:
            yield _welcomed(plain)
            return
        with _context(tls).wrap_socket(plain, server_hostname="127.0.0.1") as secured:
            yield _welcomed(secured)


@lru_cache
def _context(tls: Tls) -> ssl.SSLContext:
    certificate, key, ca = (Path(path) if path else None for path in (tls.cert, tls.key, tls.ca))
    return client_context(TlsFiles(certificate, key, ca))


def _welcomed(connection: socket.socket) -> socket.socket:
    for frame in pack([encode(ClientHello("decreed", LOWEST_VERSION, VERSION, "bench"))]):
        connection.sendall(frame)
    assert connection.recv(65_536), "the node welcomes a client"
    return connection
