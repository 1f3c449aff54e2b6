"""What a node listens on, what it tells others, and how members that moved are found again."""

import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from decreed.client import connect
from decreed.registry.addresses import join_address, split_address
from decreed.registry.config import ClusterConfig, parse_config
from decreed.registry.errors import Refused
from decreed.registry.server.listening import open_listeners
from decreed.registry.server.serve import serve_node
from decreed.registry.server.start import ServerStart
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import ClientWelcome
from decreed.registry.wire.requests import Answer
from decreed.storage.memory import MemoryDisk, open_memory

from ..support.live import PATIENCE_S, SECRET, Cluster, RawClient, live_cluster, live_config
from ..support.ports import hold, let_go

pytestmark = pytest.mark.trio
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as tried:
        tried.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@asynccontextmanager
async def ports(count: int) -> AsyncIterator[list[int]]:
    """Free ports, held until the block ends."""
    held = hold(count)
    try:
        yield held
    finally:
        let_go(held)


def addresses_in(welcome: ClientWelcome) -> dict[str, str]:
    """The members' addresses in a welcome."""
    return {str(member.node): member.address for member in welcome.members}


class Moving(Cluster):
    """A cluster whose nodes may start at other addresses than those of their file."""

    def __init__(self, config: ClusterConfig, nursery: trio.Nursery) -> None:
        super().__init__(config, nursery)
        self.places: dict[str, str] = {}

    async def raw(self, node: str) -> RawClient:
        """A raw connection to a node, where it listens now."""
        place = self.places.get(node) or dict(self.config.addresses)[NodeId(node)]
        self.streams.append(await trio.open_tcp_stream(*split_address(place)))
        return RawClient(self.streams[-1])

    async def move(self, node: NodeId, *listen: str, advertise: str | None = None) -> None:
        """Stop a node if it runs, and start it on its disk at other addresses."""
        if node in self.scopes:
            self.kill(node)
        self.places[node] = listen[0]
        disk = self.disks.setdefault(node, MemoryDisk(node))
        disk.holder = None
        storage = open_memory(disk, self.config, node, os.urandom)

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            with trio.CancelScope() as self.scopes[node]:
                await serve_node(
                    self.config,
                    storage,
                    trio.Event(),
                    ServerStart(advertise=advertise, secret=SECRET),
                    listen_on=listen,
                    started=task_status.started,
                )

        await self.nursery.start(run)

    async def addresses(self, node: str) -> dict[str, str]:
        """The members' addresses, as a node tells them."""
        return addresses_in(await (await self.raw(node)).greet())

    async def until_told(self, node: str, moved: str, address: str) -> None:
        """Wait until a node tells this address of another."""
        while (await self.addresses(node))[moved] != address:
            await trio.sleep(0.01)


@asynccontextmanager
async def moving_cluster(config: ClusterConfig) -> AsyncIterator[Moving]:
    """A cluster whose nodes a test starts itself."""
    async with trio.open_nursery() as nursery:
        cluster = Moving(config, nursery)
        try:
            with trio.fail_after(PATIENCE_S):
                yield cluster
        finally:
            for stream in cluster.streams:
                await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()
            let_go(config.address(node)[1] for node in config.nodes)


def listening_at(listeners: Sequence[trio.SocketListener]) -> set[str]:
    """The addresses of listeners, without their ports."""
    return {listener.socket.getsockname()[0] for listener in listeners}


@asynccontextmanager
async def listening(*addresses: str) -> AsyncIterator[list[trio.SocketListener]]:
    listeners = await open_listeners(addresses)
    try:
        yield listeners
    finally:
        for listener in listeners:
            await listener.aclose()


@needs_ipv6
async def test_a_node_listens_on_ipv4_and_ipv6_at_once() -> None:
    async with ports(1) as [port], listening(f"0.0.0.0:{port}", f"[::]:{port}") as listeners:
        assert listening_at(listeners) == {"0.0.0.0", "::"}
        for host in ("127.0.0.1", "::1"):
            await (await trio.open_tcp_stream(host, port)).aclose()


async def test_a_name_may_stand_for_addresses_that_the_machine_does_not_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As ``localhost`` does for ::1 in many containers."""
    stands_for(monkeypatch, {"both.example": ["192.0.2.1", "127.0.0.1"], "far": ["192.0.2.1"]})
    async with ports(1) as [port]:
        async with listening(f"both.example:{port}") as listeners:
            assert listening_at(listeners) == {"127.0.0.1"}
        with pytest.raises(Refused, match=rf"cannot listen on far:{port}: Cannot assign"):
            await open_listeners([f"far:{port}"])


async def test_if_one_address_cannot_be_listened_on_none_is() -> None:
    async with ports(1) as [port]:
        with pytest.raises(Refused, match=r"cannot listen on 192\.0\.2\.1:1: Cannot assign"):
            await open_listeners([f"127.0.0.1:{port}", "192.0.2.1:1"])
        async with listening(f"127.0.0.1:{port}"):
            pass


def stands_for(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> None:
    """Have names stand for addresses; `names` may be changed later."""
    real = socket.getaddrinfo

    def look_up(host: object, port: object, *rest: object, **named: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in names:
            return real(host, port, *rest, **named)  # type: ignore[arg-type]
        flags = named.get("flags") or (rest[3] if len(rest) > 3 else 0)
        if int(str(flags)) & socket.AI_NUMERICHOST or not names[str(name)]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, port)) for address in names[str(name)]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


async def test_clients_are_told_the_advertised_address_and_peers_too() -> None:
    async with ports(1) as [port], moving_cluster(await live_config(3)) as cluster:
        own = f"127.0.0.1:{cluster.config.address(N1)[1]}"
        elsewhere = f"127.0.0.1:{port}"
        await cluster.move(N1, own, elsewhere, advertise=elsewhere)
        assert (await cluster.addresses("n1"))["n1"] == elsewhere
        for node in (N2, N3):
            await cluster.start(node)
        await cluster.ready(["n1", "n2", "n3"])
        for other in ("n2", "n3"):
            await cluster.until_told(other, N1, elsewhere)
            [seen] = [p.address for p in (await cluster.report(other)).peers if p.node == "n1"]
            assert seen == elsewhere


async def test_a_member_that_moved_is_found_again_and_clients_are_told() -> None:
    async with ports(1) as [port], moving_cluster(await live_config(3)) as cluster:
        for node in (N1, N2, N3):
            await cluster.start(node)
        await cluster.ready(["n1", "n2", "n3"])
        client = await cluster.client("n2")
        elsewhere = f"127.0.0.1:{port}"
        await cluster.move(N1, elsewhere, advertise=elsewhere)
        again = await client.hear(Answer | ClientWelcome)
        assert isinstance(again, ClientWelcome), "unasked, on the same connection"
        assert addresses_in(again)["n1"] == elsewhere
        await cluster.ready(["n1", "n2", "n3"])


async def test_two_members_that_moved_at_once_find_each_other_by_a_third() -> None:
    async with ports(2) as moved, moving_cluster(await live_config(3)) as cluster:
        for node in (N1, N2, N3):
            await cluster.start(node)
        await cluster.ready(["n1", "n2", "n3"])
        for node in (N1, N2):
            cluster.kill(node)
        for node, port in zip((N1, N2), moved, strict=True):
            await cluster.move(node, f"127.0.0.1:{port}", advertise=f"127.0.0.1:{port}")
        await cluster.ready(["n1", "n2", "n3"])


async def test_a_stranger_at_a_learned_address_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is a hint: who is there must be the member, which is found at its file's address again."""
    async with ports(1) as [port], moving_cluster(await live_config(3)) as cluster:
        elsewhere = f"127.0.0.1:{port}"
        own = f"127.0.0.1:{cluster.config.address(N1)[1]}"
        for node in (N2, N3):
            await cluster.start(node)
        await cluster.move(N1, own, elsewhere, advertise=elsewhere)
        await cluster.ready(["n1", "n2", "n3"])
        await cluster.until_told("n2", N1, elsewhere)
        cluster.kill(N1)
        members = {"n1": elsewhere}
        alone = parse_config({"cluster_id": cluster.config.cluster_id, "members": members})
        async with moving_cluster(alone) as other:
            await other.start(N1)
            while "a peer refuses this node" not in caplog.messages:
                await trio.sleep(0.01)
            [seen] = [p for p in (await cluster.report("n2")).peers if p.node == "n1"]
            assert not seen.reachable
            await cluster.move(N1, own)
            await cluster.ready(["n1", "n2", "n3"])


async def test_a_peer_whose_name_changes_its_address_is_found_without_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {"n1.example": ["127.0.0.1"]}
    stands_for(monkeypatch, names)
    held = hold(3, "127.0.0.2")
    members = {f"n{n}": f"127.0.0.1:{port}" for n, port in enumerate(held, 1)}
    members["n1"] = f"n1.example:{held[0]}"
    config = parse_config({"cluster_id": "live-test", "members": members})
    async with moving_cluster(config) as cluster:
        for node in (N1, N2, N3):
            await cluster.start(node)
        await cluster.ready(["n1", "n2", "n3"])
        cluster.kill(N1)
        names["n1.example"] = ["127.0.0.2"]
        await cluster.move(N1, join_address("127.0.0.2", held[0]))
        await cluster.ready(["n1", "n2", "n3"])


async def test_all_addresses_of_a_name_are_tried_also_behind_a_silent_and_a_strange_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = hold(3, "127.0.0.2", "127.0.0.3")
    names = {"n1.example": ["127.0.0.3", "127.0.0.2", "127.0.0.1"]}
    stands_for(monkeypatch, names)
    members = {f"n{n}": f"127.0.0.1:{port}" for n, port in enumerate(held, 1)}
    members["n1"] = f"n1.example:{held[0]}"
    config = parse_config({"cluster_id": "live-test", "members": members})
    async with moving_cluster(config) as cluster, listening(f"127.0.0.3:{held[0]}"):
        # nobody accepts at .3, so the greeting there is never answered; nothing listens at .2
        await cluster.move(N1, f"127.0.0.1:{held[0]}")
        for node in (N2, N3):
            await cluster.start(node)
        await cluster.ready(["n1", "n2", "n3"])


@needs_ipv6
async def test_a_cluster_runs_on_ipv6_and_says_so() -> None:
    held = hold(3, "::1")
    members = {f"n{n}": f"[::1]:{port}" for n, port in enumerate(held, 1)}
    config = parse_config({"cluster_id": "live-test", "members": members})
    async with live_cluster(config) as cluster:
        assert dict(config.addresses) == members
        async with connect(*members.values()) as registry:
            assert (await registry.claim("k", "v")).won
        report = await cluster.report("n1")
        assert [p.address for p in report.peers] == [members["n2"], members["n3"]]
