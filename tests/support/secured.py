"""Nodes with TLS, and connections between two sides of one test, over real sockets."""

import ssl

import trio

from decreed.registry.server.connections import Connection
from decreed.registry.server.credentials import Credentials
from decreed.registry.tls.contexts import TlsFiles, client_context

from .certificates import CLUSTER, Authority


def credentials(authority: Authority, node: str) -> Credentials:
    """Those of a node, of this authority."""
    return Credentials(authority.node(node), CLUSTER, node)


def as_client(files: TlsFiles) -> ssl.SSLContext:
    """With what a client shakes hands that does not look at host names."""
    return client_context(files, check_host=False)


async def pair() -> tuple[Connection, Connection]:
    """Two ends of a connection: the one that dialled, and the one that accepted."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        ours = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        theirs = await listener.accept()
    return Connection(ours, 8 * 1024 * 1024), Connection(theirs, 8 * 1024 * 1024)
