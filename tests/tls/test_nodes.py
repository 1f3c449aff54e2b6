"""Nodes with TLS: who is let in, and as whom; what strangers can cost. Sockets on loopback."""

import contextlib
import json
import os
import ssl
from math import inf
from pathlib import Path

import pytest
import trio
import trio.testing

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import Storage
from decreed.registry.errors import ConfigError, ProtocolError, Refused
from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.keys import home
from decreed.registry.server.audit_log import AuditLog
from decreed.registry.server.connections import Connection
from decreed.registry.server.greeting import Greeter
from decreed.registry.server.listening import open_listeners
from decreed.registry.server.securing import Securing, WrongCertificate
from decreed.registry.server.serve import serve_node
from decreed.registry.server.start import ServerStart
from decreed.registry.tls.contexts import TlsFiles
from decreed.registry.tls.session import Session
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.handshake import (
    NO_MEMBERS,
    VERSION,
    ClientHello,
    PeerHello,
    PeerIdentity,
    PeerOpening,
    Reception,
    Refusal,
)
from decreed.registry.wire.requests import ClaimRequest, Decreed
from decreed.storage.memory import MemoryDisk, open_memory

from ..support.certificates import CLUSTER, EXPIRED, NOT_YET, Authority
from ..support.live import PATIENCE_S, SECRET, RawClient, live_cluster, live_config
from ..support.ports import hold, let_go
from ..support.secured import as_client, credentials, pair
from ..support.world import claim

pytestmark = pytest.mark.trio


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


def peer_hello(node: str) -> PeerHello:
    identity = PeerIdentity(CLUSTER, NO_MEMBERS, NodeId(node), bytes(16), 1, bytes(16), 0, None)
    return PeerHello("decreed", VERSION, VERSION, identity, 0, None)


CLIENT_HELLO = ClientHello("decreed", VERSION, VERSION, "test")
Hello = ClientHello | PeerHello | PeerOpening


class Door:
    """A node's door: one connection that knocks, and what comes of it."""

    def __init__(self, securing: Securing) -> None:
        self._securing = securing
        self.fault: Exception | None = None
        self.identity: Identity | None = None
        self.ends = False

    async def knock(self, context: ssl.SSLContext | None, hello: Hello) -> None:
        """Greet the node over a real socket; both sides say what they met."""
        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            async with listener:
                nursery.start_soon(self._accept, listener)
                port = listener.socket.getsockname()[1]
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                async with stream:
                    # what the node says of it counts
                    with contextlib.suppress(trio.BrokenResourceError, ssl.SSLError, EOFError):
                        await self._greet(stream, context, hello)

    async def _greet(
        self,
        stream: trio.SocketStream,
        context: ssl.SSLContext | None,
        hello: Hello,
    ) -> None:
        raw = RawClient(stream)
        if context is not None:
            secured = trio.SSLStream(stream, context, https_compatible=True)
            raw.stream = secured  # type: ignore[assignment]
        with trio.fail_after(PATIENCE_S):
            await raw.say(hello)
            await raw.ended()

    async def _accept(self, listener: trio.SocketListener) -> None:
        stream = await listener.accept()
        async with Connection(stream, 8 * 1024 * 1024) as connection:
            try:
                await self._securing.accept(connection)
                await Greeter(NodeId("n1"), CLUSTER, SECRET, securing=self._securing).answer(
                    connection
                )
                self.identity = connection.identity
                self.ends = connection._life.deadline < inf
                assert (connection.certified or ANONYMOUS) == self.identity
            except (Refused, OSError, trio.BrokenResourceError) as error:
                self.fault = error


async def met(authority: Authority, context: ssl.SSLContext | None, hello: Hello) -> Door:
    """What n1 makes of a connection."""
    door = Door(Securing(CLUSTER, "n1", credentials(authority, "n1")))
    await door.knock(context, hello)
    return door


async def test_three_nodes_form_and_freeze_over_tls(authority: Authority) -> None:
    nodes = {NodeId(n): credentials(authority, n) for n in ("n1", "n2", "n3")}
    dials = as_client(TlsFiles(ca=authority.ca))
    async with live_cluster(await live_config(3), nodes, dials) as cluster:
        client = await cluster.client("n2")
        for number, size in enumerate((1, 70_000, 900_000)):
            wanted = claim(f"k{size}", b"v" * size, b"%d" % size)
            answer = await client.ask(ClaimRequest(number, 60_000, False, wanted))
            assert isinstance(answer, Decreed) and len(answer.decree.value) == size


async def test_S09_a_decree_names_the_client_of_the_certificate_whichever_node_decides_it(
    authority: Authority,
) -> None:
    nodes = {NodeId(n): credentials(authority, n) for n in ("n1", "n2", "n3")}
    alice = as_client(authority.client("alice"))
    async with live_cluster(await live_config(3), nodes, alice) as cluster:
        client = await cluster.client("n1")
        for home_node in cluster.config.nodes:
            names = (f"k{number}" for number in range(99))
            key = next(key for key in names if home(Key(key), cluster.config.nodes) == home_node)
            wanted = claim(key, b"v", key.encode())
            answer = await client.ask(ClaimRequest(1, 60_000, False, wanted))
            assert isinstance(answer, Decreed) and answer.decree.identity == "client/alice"


async def test_S22_who_comes_as_a_node_or_with_a_wrong_certificate_is_told(
    authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path, "n1")
    config = await live_config(1)
    storage = open_memory(MemoryDisk("n1"), config, NodeId("n1"), os.urandom)
    how = ServerStart(audit=audit, credentials=credentials(authority, "n1"))
    async with trio.open_nursery() as nursery:
        await nursery.start(_serve, config, storage, how)
        for name in ("n1", "n2"):
            dials = as_client(authority.node(name))
            stream = await trio.open_tcp_stream(*config.address(NodeId("n1")))
            raw = RawClient(stream)
            raw.stream = trio.SSLStream(stream, dials, https_compatible=True)  # type: ignore[assignment]
            await raw.say(CLIENT_HELLO)
            with trio.fail_after(PATIENCE_S):
                await raw.hear(Reception)
            await stream.aclose()
        nursery.cancel_scope.cancel()
    let_go(port for _, port in map(config.address, config.nodes))
    told = [json.loads(each) for each in path.read_text().splitlines()]
    found = [(each["event"], each.get("identity"), each.get("path")) for each in told]
    assert found == [
        ("started", None, None),
        ("as-node", "node/n1", "n1"),
        ("certificate", None, "node/n2"),
    ]
    assert all(each["address"].startswith("127.0.0.1:") for each in told[1:])


async def _serve(
    config: ClusterConfig, storage: Storage, how: ServerStart, *, task_status: trio.TaskStatus[None]
) -> None:
    await serve_node(config, storage, trio.Event(), how, started=task_status.started)


async def test_S04_who_is_at_the_door_is_whom_the_certificate_names(authority: Authority) -> None:
    alice, n2 = as_client(authority.client("alice")), as_client(authority.node("n2"))
    bare = as_client(TlsFiles(ca=authority.ca))
    found = [
        await met(authority, alice, CLIENT_HELLO),
        await met(authority, bare, CLIENT_HELLO),
        await met(authority, n2, peer_hello("n2")),
    ]
    assert [door.fault for door in found] == [None] * 3
    assert [str(door.identity) for door in found] == ["client/alice", "anonymous", "node/n2"]
    assert [door.ends for door in found] == [True, False, True], "with the certificate, if any"


async def test_S04_nobody_is_let_in_as_somebody_else(
    authority: Authority, stranger: Authority
) -> None:
    refused: dict[str, tuple[TlsFiles, Hello]] = {
        "the greeting of node/n3": (authority.node("n2"), peer_hello("n3")),
        "the certificate is of client/n2": (authority.client("n2"), peer_hello("n2")),
        "node/n2 has no certificate": (TlsFiles(ca=authority.ca), peer_hello("n2")),
        "of cluster 'other'": (authority.node("n2", cluster="other"), peer_hello("n2")),
        "a client needs one of its own": (authority.node("n2"), CLIENT_HELLO),
        "names nobody": (authority.issue("no uri", common_name="node/n2"), peer_hello("n2")),
        "names 2 decreed:// URIs": (
            authority.issue("two", "decreed://live-test/node/n2", "decreed://live-test/client/n2"),
            peer_hello("n2"),
        ),
        "no CA of the bundle": (stranger.node("n2")._replace(ca=authority.ca), peer_hello("n2")),
        "has expired": (authority.node("n2", valid=EXPIRED), peer_hello("n2")),
        "is not yet valid": (authority.client("alice", valid=NOT_YET), CLIENT_HELLO),
    }
    for fault, (files, hello) in refused.items():
        door = await met(authority, as_client(files), hello)
        assert door.identity is None, fault
        assert fault in str(door.fault), (fault, door.fault)


async def test_S04_at_a_node_with_tls_the_secret_is_not_enough(authority: Authority) -> None:
    opening = PeerOpening(
        "decreed", VERSION, VERSION, CLUSTER, NodeId("n2"), NodeId("n1"), bytes(range(32))
    )
    for files in (TlsFiles(ca=authority.ca), authority.client("alice"), authority.node("n3")):
        door = await met(authority, as_client(files), opening)
        assert door.identity is None and isinstance(door.fault, WrongCertificate)


async def test_S24_a_nodes_certificate_is_a_clients_at_that_node_over_loopback(
    authority: Authority,
) -> None:
    own = await met(authority, as_client(authority.node("n1", name="own")), CLIENT_HELLO)
    assert own.fault is None and own.identity == Identity("node", "n1")
    far = Connection.host
    try:
        Connection.host = property(lambda _: "10.0.0.7")  # type: ignore[method-assign,assignment]
        door = await met(authority, as_client(authority.node("n1", name="own")), CLIENT_HELLO)
    finally:
        Connection.host = far  # type: ignore[method-assign]
    assert "except on the machine of that very node" in str(door.fault)


async def test_a_node_that_dials_checks_whom_it_has_met(
    authority: Authority, stranger: Authority
) -> None:
    dialler = Securing(CLUSTER, "n1", credentials(authority, "n1"))
    met_by_name = {
        ("n2", None): "",
        (None, None): "",
        ("n3", None): "the certificate of n3 is of node/n2",
        ("n2", stranger): "no CA of the bundle has signed it",
    }
    for (wanted, other), fault in met_by_name.items():
        node = credentials(other or authority, "n2")
        assert fault in await _dial(dialler, Securing(CLUSTER, "n2", node), wanted)
    assert "without TLS" in await _dial(dialler, Securing(CLUSTER, "n2", None), "n2")


@pytest.mark.parametrize("at", [0, 60])
async def test_a_node_that_stops_within_a_greeting_is_not_distrusted(
    authority: Authority, at: int
) -> None:
    """It has proven nothing, and nothing speaks against it: no operator need hear of it."""
    dialler = Securing(CLUSTER, "n1", credentials(authority, "n1"))
    ours, theirs = await pair()
    async with ours:
        with pytest.raises(ExceptionGroup) as met:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(dialler.dial, ours, "n2")
                await theirs.stream.receive_some(1 << 16)
                await theirs.stream.send_all(b"\x16\x03\x03\x01\x00"[:at])
                await theirs.stream.aclose()
        assert met.group_contains(ProtocolError)
        assert not dialler.distrusts(met.value)
        other = ExceptionGroup("", [ProtocolError("the certificate of n2 is of node/n3")])
        assert dialler.distrusts(other)
        assert not Securing(CLUSTER, "n1", None).distrusts(other)


async def _dial(dialler: Securing, door: Securing, wanted: str | None) -> str:
    """What `dialler` says of the node behind `door`; empty if it trusts it."""
    fault = ""
    async with trio.open_nursery() as nursery:
        ours, theirs = await pair()

        async def accept() -> None:
            try:
                await door.accept(theirs)
            except (ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
                await theirs.stream.aclose()

        nursery.start_soon(accept)
        async with ours, theirs:
            try:
                with trio.fail_after(PATIENCE_S):
                    await dialler.dial(ours, wanted)
            except ProtocolError as error:
                fault = str(error)
                nursery.cancel_scope.cancel()
            else:
                assert ours.certified == Identity("node", "n2")
    return fault


async def test_an_identity_is_fixed_at_the_greeting() -> None:
    ours, theirs = await pair()
    async with ours, theirs:
        assert ours.identity == ANONYMOUS
        ours.greeted_as(Identity("node", "n2"))
        ours.greeted_as(Identity("node", "n2"))
        with pytest.raises(ProtocolError, match="it is node/n2, and says that it is node/n3"):
            ours.greeted_as(Identity("node", "n3"))


async def test_a_plain_client_at_a_tls_port_is_told_so_and_the_reverse(
    authority: Authority,
) -> None:
    nodes = {NodeId("n1"): credentials(authority, "n1")}
    dials = as_client(TlsFiles(ca=authority.ca))
    async with live_cluster(await live_config(1), nodes, dials) as cluster:
        plain = RawClient(await cluster.plain("n1"))
        await plain.say(CLIENT_HELLO)
        refusal = await plain.hear(Reception)
        assert isinstance(refusal, Refusal) and "speaks TLS alone" in refusal.message
        assert await plain.ended()
    async with live_cluster(await live_config(1)) as cluster:
        raw = RawClient(await cluster.plain("n1"))
        session = Session(dials, "dials")
        session.handshake()
        await raw.stream.send_all(session.owed())
        refusal = await raw.hear(Reception)
        assert isinstance(refusal, Refusal) and "speaks no TLS" in refusal.message


async def test_S01_a_node_without_tls_stays_on_its_machine() -> None:
    [port] = hold(1)
    for address in ("0.0.0.0:1", "[::]:1", "192.0.2.1:1", f"127.0.0.1:{port},0.0.0.0:1"):
        with pytest.raises(ConfigError) as met:
            await open_listeners(address.split(","), guarded=False)
        for way_out in ("--cert", "[tls]", "insecure = true"):
            assert way_out in str(met.value)
    for listener in await open_listeners([f"127.0.0.1:{port}"], guarded=False):
        await listener.aclose()
    let_go([port])


async def test_S01_serve_refuses_before_anything_listens() -> None:
    config = await live_config(1)
    storage = open_memory(MemoryDisk(NodeId("n1")), config, NodeId("n1"), os.urandom)
    with pytest.raises(ConfigError, match="insecure = true"):
        await serve_node(config, storage, trio.Event(), listen_on=["0.0.0.0:1"])
    let_go(port for _, port in map(config.address, config.nodes))


async def test_insecure_is_said_in_the_config() -> None:
    assert not (await live_config(1)).insecure
    config = await live_config(1, insecure=True)
    assert config.insecure
    let_go(port for _, port in map(config.address, config.nodes))


@pytest.mark.parametrize(
    "many", [100, pytest.param(1_000, marks=pytest.mark.chaos)], ids=["a hundred", "a thousand"]
)
async def test_half_handshakes_keep_nobody_out_and_end(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    nodes = {NodeId("n1"): credentials(authority, "n1")}
    dials = as_client(TlsFiles(ca=authority.ca))
    async with live_cluster(await live_config(1), nodes, dials) as cluster:
        halves = [await cluster.plain("n1") for _ in range(many)]
        for number, half in enumerate(halves):
            session = Session(dials, "dials")
            session.handshake()
            await half.send_all(session.owed()[: None if number % 2 else 40])
        client = await cluster.client("n1")
        answer = await client.ask(ClaimRequest(1, 60_000, False, claim("k", b"v", b"1")))
        assert isinstance(answer, Decreed)
        async with trio.open_nursery() as nursery:  # most of them were ended by newer ones
            for half in halves[: many * 6 // 10]:
                nursery.start_soon(RawClient(half).ended)
