"""Clients with TLS, in trio, asyncio, threads and without a loop, at real nodes on loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import Mock

import pytest
import trio

from decreed import client
from decreed.client import Tls, blocking, sync
from decreed.client.transport.channel import open_channel
from decreed.client.transport.endpoints import parse_endpoint
from decreed.client.transport.first_exchange import FirstExchange
from decreed.client.transport.securing import ClientSecurity, check_welcome
from decreed.client.transport.socket_link import SocketChannel
from decreed.registry.errors import (
    BadRequest,
    ConfigError,
    DecreedError,
    ProtocolError,
    Unreachable,
)
from decreed.registry.server.credentials import Credentials
from decreed.registry.tls.contexts import TlsFiles, client_context, node_contexts
from decreed.registry.tls.session import Session
from decreed.registry.tls.subject import Subject
from decreed.registry.types import NodeId
from decreed.registry.wire.codec import encode
from decreed.registry.wire.frames import pack
from decreed.registry.wire.handshake import VERSION, ClientWelcome
from decreed.registry.wire.requests import ClientPing

from ..support.certificates import CLUSTER, EXPIRED, SERVER_ONLY, Authority
from ..support.live import Cluster, live_cluster, live_config

pytestmark = pytest.mark.trio
VALUE = bytes(300_000)
PATIENCE_S = 60.0


def tls(files: TlsFiles, **settings: Any) -> Tls:
    return Tls(files.ca, files.certificate, files.key, **settings)


@asynccontextmanager
async def secured(authority: Authority) -> AsyncIterator[tuple[Cluster, str]]:
    """One node with TLS, and where it is."""
    nodes = {NodeId("n1"): Credentials(authority.node("n1"), CLUSTER, "n1")}
    dials = client_context(TlsFiles(ca=authority.ca), check_host=False)
    async with live_cluster(await live_config(1), nodes, dials) as cluster:
        yield cluster, cluster.config.addresses[0][1]


async def _claim(at: str, how: Tls | None, key: str) -> bytes:
    async with client.connect(at, tls=how, timeout=PATIENCE_S) as registry:
        await registry.claim(key, VALUE)
        return (await registry.get(key)).value  # type: ignore[union-attr]


def in_asyncio(at: str, how: Tls | None) -> bytes:
    return asyncio.run(_claim(at, how, "asyncio"))


def in_trio(at: str, how: Tls | None) -> bytes:
    return trio.run(_claim, at, how, "trio")


def in_threads(at: str, how: Tls | None) -> bytes:
    with sync.connect(at, tls=how, timeout=PATIENCE_S) as registry:
        return registry.claim("threads", VALUE).decree.value


def without_a_loop(at: str, how: Tls | None) -> bytes:
    async def body(keys: Any) -> bytes:
        value: bytes = (await keys.claim("blocking", VALUE)).decree.value
        return value

    return blocking.ask([at], body, timeout=PATIENCE_S, tls=how)


CLIENTS = [in_asyncio, in_trio, in_threads, without_a_loop]


async def met(ask: Callable[[str, Tls | None], bytes], at: str, how: Tls | None) -> str:
    """What a client says that is not served."""
    try:
        await trio.to_thread.run_sync(ask, at, how)
    except DecreedError as error:
        return f"{type(error).__name__}: {error}"
    return "served"


async def test_every_client_claims_and_reads_over_tls_with_a_certificate_or_without(
    authority: Authority,
) -> None:
    async with secured(authority) as (_, at):
        for files in (authority.client("alice"), TlsFiles(ca=authority.ca)):
            for ask in CLIENTS:
                assert await trio.to_thread.run_sync(ask, at, tls(files)) == VALUE


@pytest.mark.parametrize("ask", [in_trio, without_a_loop])
async def test_every_client_says_at_once_why_it_is_not_served(
    authority: Authority, ask: Callable[[str, Tls | None], bytes], tmp_path: Any
) -> None:
    other, alice = Authority(tmp_path), authority.client("alice")
    uri = f"decreed://{CLUSTER}/client/s"
    async with secured(authority) as (_, at):
        reasons: dict[str, Tls | None] = {
            "no CA of the bundle has signed it": tls(alice._replace(ca=other.ca)),
            "does not know the CA": tls(other.client("a")._replace(ca=authority.ca)),
            "has expired": tls(authority.client("alice", valid=EXPIRED)),
            "of cluster 'far'": tls(authority.client("alice", cluster="far")),
            "not for this use": tls(authority.issue("s", uri, usages=SERVER_ONLY)),
            "a client needs one of its own": tls(authority.node("n2")),
            "not of 'far'": tls(alice, cluster="far"),
            "speaks TLS alone": None,
        }
        for reason, how in reasons.items():
            said = await met(ask, at, how)
            assert said.startswith("ProtocolError") and reason in said, (reason, said)
        assert await met(ask, at, tls(alice, cluster=CLUSTER)) == "served"
    async with live_cluster(await live_config(1)) as cluster:
        at = cluster.config.addresses[0][1]
        assert "without TLS: leave out" in await met(ask, at, tls(alice))


async def test_a_client_takes_a_welcome_only_of_whom_the_certificate_names() -> None:
    welcome = ClientWelcome(2, CLUSTER, None, NodeId("n1"), (), 1, 1, 1)
    check_welcome(None, welcome)  # a certificate of another PKI: the host name was checked
    check_welcome(Subject(CLUSTER, "node", "n1"), welcome)
    for subject in (Subject(CLUSTER, "node", "n2"), Subject("far", "node", "n1")):
        with pytest.raises(ProtocolError, match="answers with it"):
            check_welcome(subject, welcome)


async def test_a_welcome_of_another_node_than_the_certificates_opens_nothing(
    authority: Authority,
) -> None:
    """With the first exchange of both clients, in memory."""
    node = node_contexts(authority.node("n2"), CLUSTER, "n2")
    welcome = ClientWelcome(VERSION, CLUSTER, None, NodeId("n1"), (), 1, 1, 1)
    theirs = Session(node.accepting, "accepts")
    exchange = FirstExchange("127.0.0.1", "test", ClientSecurity(Tls(authority.ca)))
    theirs.handshake(exchange.begin())
    assert exchange.feed(theirs.owed()) is None
    assert theirs.handshake(exchange.owed())
    [frame] = pack([encode(welcome)])
    with pytest.raises(ProtocolError, match="the certificate is of n2"):
        exchange.feed(theirs.seal(frame))


async def test_wrong_settings_are_said_when_the_client_is_made(authority: Authority) -> None:
    alice = authority.client("alice")
    with pytest.raises(ConfigError, match="No such file"):
        sync.connect("h:1", tls=Tls(alice.ca, alice.certificate, "nowhere"))
    with pytest.raises(ConfigError, match="the key is missing"):
        client.connect("h:1", tls=Tls(alice.ca, alice.certificate))
    with pytest.raises(BadRequest, match=r"a decreed\.client\.Tls, not bool"):
        client.connect("h:1", tls=True)  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match="lowest_version"):
        client.connect("h:1", tls=Tls(alice.ca, lowest_version="1.1"))  # type: ignore[arg-type]


async def test_changed_files_are_used_for_the_next_connection_unless_they_are_bad(
    authority: Authority,
) -> None:
    files = authority.issue("moving", f"decreed://{CLUSTER}/client/one")
    security = ClientSecurity(tls(files))
    first = security._context
    security.session("127.0.0.1")
    assert security._context is first
    assert files.key is not None
    files.key.write_text("not a key")
    security.session("127.0.0.1")
    assert security._context is first
    authority.issue("moving", f"decreed://{CLUSTER}/client/two")
    security.session("127.0.0.1")
    assert security._context is not first


async def test_a_host_that_no_certificate_can_name_is_said(authority: Authority) -> None:
    security = ClientSecurity(Tls(authority.ca))
    for host in ("db.example.", "fe80::1%eth0"):
        security.session(host)
    with pytest.raises(ConfigError, match="no certificate can name the host"):
        security.session("a" * 64 + ".example")


async def test_a_request_on_a_connection_whose_tls_has_ended_is_sent_again_elsewhere(
    authority: Authority,
) -> None:
    """TLS ends before the socket does, so a request may come in between: that connection is over."""
    ping = [encode(ClientPing(1))]
    async with secured(authority) as (_, at):
        security = ClientSecurity(tls(authority.client("alice")))
        channel = await open_channel(parse_endpoint(at), "test", security=security)
        assert channel.last_bytes()
        channel.send_now(ping)
        assert not channel.idle
        for messages in (ping, []):
            with pytest.raises(Unreachable, match="the connection is over"):
                await channel.send(messages)
        await channel.aclose()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        over = Mock(seal=Mock(side_effect=ProtocolError("TLS failed")))
        plain = SocketChannel(ours, channel.welcome, over)
        plain.send_now(ping)
        assert not plain.idle
        with pytest.raises(Unreachable, match="the connection is over"):
            plain.flush()
