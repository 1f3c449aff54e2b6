"""Endpoints without a node: nothing listens, or another service does, and the error says which."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, TCPServer, ThreadingTCPServer

import anyio
import pytest

from decreed.client import NodeDown, Registry, connect
from decreed.client.transport.framing import IDENTIFY_SECONDS
from decreed.client.transport.strangers import complaint, recognise
from decreed.registry.errors import Closed, DecreedError, ProtocolError, Unreachable

from ..fakes import cluster_of, decree_of

pytestmark = pytest.mark.anyio
# far more than a test takes, and far less than the timeout of the calls
LIMIT_S = 30
PATIENCE_S = 120
Server = Callable[[], AbstractContextManager[str]]


@contextmanager
def serving(server: TCPServer) -> Iterator[str]:
    """Run a server in a thread; yields its endpoint."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def speaking(answer: Callable[[socket.socket], None]) -> Server:
    """A server that calls `answer` with each connection."""

    class Threads(ThreadingTCPServer):
        daemon_threads = True

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            try:
                answer(self.request)
                while self.request.recv(1_024):
                    pass
            except OSError:
                pass  # the client closed the connection

    return lambda: serving(Threads(("127.0.0.1", 0), Handler))


def web_server() -> AbstractContextManager[str]:
    """A real web server, which waits for a line."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler))


def bad_request(connection: socket.socket) -> None:
    """A web server that answers before the end of a line."""
    connection.recv(1)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def real_tls(connection: socket.socket) -> None:
    """A TLS server without a certificate, which ends the handshake with an alert."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with context.wrap_socket(connection, server_side=True):
        pass


def picky_tls(connection: socket.socket) -> None:
    """A TLS server that closes other connections without an answer."""
    if connection.recv(1) == b"\x16":
        connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
    connection.shutdown(socket.SHUT_WR)


def tls_that_complains_in_http(connection: socket.socket) -> None:
    """A web server that expects TLS and answers plain HTTP with an error in plain HTTP."""
    first = connection.recv(1)
    if first == b"\x16":
        connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
    elif first == b"G":
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nthis is an HTTPS port")


async def failure_of(endpoints: list[str], timeout: float = PATIENCE_S) -> DecreedError:
    """The error of a call of a client of these endpoints."""
    async with connect(*endpoints) as registry:
        with anyio.fail_after(LIMIT_S), pytest.raises(DecreedError) as caught:
            await registry.get("k", timeout=timeout)
    return caught.value


@pytest.mark.parametrize(
    ("server", "name"),
    [
        (web_server, "an HTTP server"),
        (speaking(bad_request), "an HTTP server"),
        (speaking(real_tls), "a TLS server"),
        (speaking(picky_tls), "a TLS server"),
        (speaking(tls_that_complains_in_http), "a TLS server"),
        (speaking(lambda c: c.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")), "an SSH server"),
        (speaking(lambda c: c.sendall(b"220 mail.example ESMTP\r\n")), "a mail or FTP server"),
        (speaking(lambda c: c.sendall(b"\x4a\0\0\0\x0a8.0.36\0")), r"began with b'J\x00"),
    ],
)
async def test_another_service_at_the_port_is_named(server: Server, name: str) -> None:
    with server() as endpoint:
        error = await failure_of([endpoint])
    assert isinstance(error, ProtocolError)
    assert name in str(error) and endpoint in str(error)


async def test_a_server_that_stays_silent_or_hangs_up_is_unreachable() -> None:
    for silent in (lambda c: None, lambda c: c.shutdown(socket.SHUT_RDWR)):
        with speaking(silent)() as endpoint:
            error = await failure_of([endpoint], timeout=2)
        assert isinstance(error, Unreachable) and endpoint in str(error)


async def test_a_stranger_among_the_endpoints_does_no_harm() -> None:
    with web_server() as stranger:
        async with cluster_of(1) as cluster, connect(stranger, *cluster.endpoints) as registry:
            with anyio.fail_after(LIMIT_S):
                assert (await registry.claim("k", "v")).won


async def test_if_nothing_listens_the_error_comes_soon_and_says_what_to_do() -> None:
    error = await failure_of(["127.0.0.1:1", "127.0.0.1:2"])
    assert isinstance(error, Unreachable)
    assert "nothing listens at 127.0.0.1:1 or 127.0.0.1:2" in str(error)
    assert "decreed dev" in str(error)


async def test_if_only_a_stranger_listens_the_error_comes_soon_and_says_so() -> None:
    with web_server() as stranger:
        error = await failure_of(["127.0.0.1:1", stranger])
    assert isinstance(error, Unreachable)
    assert "127.0.0.1:1: nothing listens" in str(error) and "an HTTP server" in str(error)


async def test_every_call_with_a_deadline_ends_soon_if_nothing_listens() -> None:
    async with connect("127.0.0.1:1", timeout=PATIENCE_S) as registry:
        with anyio.fail_after(LIMIT_S):
            for call in (
                lambda: registry.claim("k", "v"),
                lambda: registry.wait("k", timeout=PATIENCE_S),
                lambda: registry.status(),
                lambda: registry.watch().begin(PATIENCE_S),
                lambda: registry.lock("l", wait=PATIENCE_S).__aenter__(),
                lambda: registry.lock_state("l"),
            ):
                with pytest.raises(Unreachable, match="nothing listens"):
                    await call()


async def test_what_is_said_of_one_node_is_no_advice_for_a_whole_cluster() -> None:
    async with cluster_of(2) as cluster:
        up, stopped = cluster.nodes
        await stopped.stop()
        async with connect(up.address) as registry:
            [down] = [x for x in await registry.status() if isinstance(x, NodeDown)]
    assert str(down.error) == f"{stopped.address}: nothing listens there"


async def test_a_call_without_a_deadline_waits_for_the_nodes() -> None:
    async with cluster_of(1) as cluster:
        [node] = cluster.nodes
        await node.stop()
        cluster.decide(decree_of("k"))
        async with connect(node.address) as registry, anyio.create_task_group() as tasks:

            async def start_later() -> None:
                await anyio.sleep(1.5)
                await node.start(tasks)

            with anyio.fail_after(LIMIT_S):
                tasks.start_soon(start_later)
                assert (await registry.wait("k", timeout=None)).key == "k"
            tasks.cancel_scope.cancel()


async def test_a_known_cluster_gets_the_whole_timeout_to_come_back() -> None:
    async with (
        cluster_of(1) as cluster,
        connect(*cluster.endpoints) as registry,
        anyio.create_task_group() as tasks,
    ):
        [node] = cluster.nodes
        assert await registry.get("k") is None
        await node.stop()

        async def start_later() -> None:
            await anyio.sleep(1.5)
            await node.start(tasks)

        tasks.start_soon(start_later)
        with anyio.fail_after(LIMIT_S):
            assert (await registry.claim("k", "v", timeout=LIMIT_S)).won
        await node.stop()
        with pytest.raises(
            Unreachable,
            match=r"nothing listens at .*knows no other members than n1 of epoch 0: start",
        ):
            await registry.get("another", timeout=0.3)
        tasks.cancel_scope.cancel()


async def test_closing_does_not_wait_for_a_look_at_a_stranger() -> None:
    with speaking(lambda c: None)() as endpoint, anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks, connect(endpoint) as registry:
            tasks.start_soon(ends_closed, registry)
            await anyio.sleep(IDENTIFY_SECONDS + 0.1)


async def ends_closed(registry: Registry) -> None:
    with pytest.raises(Closed):
        await registry.get("k", timeout=PATIENCE_S)


def test_greetings_are_recognised_by_their_first_bytes() -> None:
    assert recognise(b"-NOAUTH Authentication required.") == "a Redis server"
    assert recognise(b"AMQP\0\0\x09\x01") == "an AMQP broker"
    assert not recognise(b"")
    assert complaint(b"SSH-2.0") == (
        "an SSH server answers there, and no decreed node: check host and port"
    )
    assert "no decreed node" in complaint(b"\xff" * 1_000) and len(complaint(b"\xff" * 1_000)) < 200
