"""Observers of a running cluster: who knows of them, and that nothing depends on one."""

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from decreed.registry.errors import IdentityRefused
from decreed.registry.server import guests
from decreed.registry.server.serve import serve_node
from decreed.registry.server.start import ServerStart
from decreed.registry.types import Claim, Key, NodeId
from decreed.registry.wire.handshake import (
    NO_MEMBERS,
    VERSION,
    Member,
    PeerIdentity,
    PeerWelcome,
)
from decreed.registry.wire.members import MemberSeat, MembersReport, MembersRequest, Role
from decreed.registry.wire.peers import Fetch, MemberAddresses, Ping
from decreed.registry.wire.requests import ClaimRequest, Decreed, Failed, GetRequest
from decreed.storage.memory import MemoryDisk, open_memory

from ..support.greeted import greeted_by_peer, hello_as
from ..support.live import RawClient, live_config
from ..support.live_changing import ChangingCluster, changing_cluster
from ..support.ports import hold, let_go

pytestmark = pytest.mark.trio
N1, N2, N3, N4 = (NodeId(f"n{number}") for number in range(1, 5))
MIB = 1024 * 1024


@asynccontextmanager
async def three_voters(**sections: object) -> AsyncIterator[ChangingCluster]:
    """Three voters, and a port for n4."""
    config = await live_config(3, **sections)
    held = hold(1)
    try:
        async with changing_cluster(config, {"n4": f"127.0.0.1:{held[0]}"}) as cluster:
            yield cluster
    finally:
        let_go([*held, *(config.address(node)[1] for node in config.nodes)])


def at(cluster: ChangingCluster, node: str) -> str:
    return cluster.places.get(NodeId(node)) or dict(cluster.config.addresses)[NodeId(node)]


async def until(holds: Callable[[], object]) -> None:
    while not holds():
        await trio.sleep(0.01)


async def freeze(cluster: ChangingCluster, node: str, key: str, value: bytes = b"v") -> None:
    client = await cluster.client(node)
    async with client.stream:
        wanted = Claim(Key(key), value, "text/plain", "tester", key.encode())
        answer = await client.ask(ClaimRequest(1, 60_000, False, wanted))
    assert isinstance(answer, Decreed), answer


async def observers_told(cluster: ChangingCluster, node: str) -> dict[str, str]:
    """The observers that a node names to a client."""
    client = await cluster.raw(node)
    async with client.stream:
        welcome = await client.greet()
    return {str(told.node): told.address for told in welcome.observers}


async def seat_of(cluster: ChangingCluster, node: str, at: str = "n1") -> MemberSeat | None:
    """How a member reports another node."""
    client = await cluster.client(at)
    async with client.stream:
        report = await client.ask(MembersRequest(1, 60_000))
    assert isinstance(report, MembersReport)
    return next((seat for seat in report.seats if seat.node == node), None)


async def until_up(cluster: ChangingCluster, node: str) -> MemberSeat:
    """Wait until a member has a link to a node."""
    while (seat := await seat_of(cluster, node)) is None or not seat.up:
        await trio.sleep(0.01)
    return seat


async def until_told(cluster: ChangingCluster, *nodes: str) -> None:
    for node in nodes:
        while await observers_told(cluster, node) != {N4: at(cluster, N4)}:
            await trio.sleep(0.01)


async def test_members_name_an_observer_to_clients_and_show_how_far_behind_it_is() -> None:
    async with three_voters() as cluster:
        listening = await cluster.client(N2)
        await cluster.join(N4, at(cluster, N1), observes=True)
        await until_told(cluster, N1, N2, N3, N4)
        again = await listening.hear(object_of_welcome())
        assert [told.node for told in again.observers] == [N4], "also on an open connection"
        seat = await until_up(cluster, N4)
        assert seat.role == Role.OBSERVER and not seat.votes
        await freeze(cluster, N1, "k")
        while (report := await cluster.report(N4)).decrees < 1 or report.behind != 0:
            await trio.sleep(0.01)
        assert report.observes and not report.voting and not report.trouble
        assert (await cluster.report(N1)).observes is False


def object_of_welcome() -> type:
    from decreed.registry.wire.handshake import ClientWelcome

    return ClientWelcome


async def test_an_observer_says_what_it_cannot_answer_and_never_that_a_key_is_undecided() -> None:
    async with three_voters() as cluster:
        await cluster.join(N4, at(cluster, N1), observes=True)
        await until_told(cluster, N4)
        client = await cluster.client(N4)
        answer = await client.ask(GetRequest(1, 5_000, Key("undecided")))
        assert isinstance(answer, Failed) and "observes and has no vote" in answer.message


async def test_the_loss_of_an_observer_is_nobodys_loss_and_nothing_of_it_is_stored() -> None:
    async with three_voters() as cluster:
        disk = dict(cluster.disks[N1].values)
        await cluster.join(N4, at(cluster, N1), observes=True)
        await until_told(cluster, N1, N2, N3)
        await cluster.stop(N4)
        await freeze(cluster, N1, "after")
        for node in (N1, N2, N3):
            while await observers_told(cluster, node):
                await trio.sleep(0.01)
        stored = cluster.disks[N1].values.items() - disk.items()
        assert not [key for key, value in stored if b"n4" in key + value]


async def test_an_observer_becomes_a_voter_like_any_node_that_joined() -> None:
    async with three_voters() as cluster:
        await cluster.join(N4, at(cluster, N1), observes=True)
        await until_up(cluster, N4)
        cluster.propose(N1, N1, N2, N4)
        await cluster.voting(N1, N2, N4)
        while await observers_told(cluster, N1) or await observers_told(cluster, N4):
            await trio.sleep(0.01)
        assert not (await cluster.report(N4)).observes
        seat = await seat_of(cluster, N4)
        assert seat is not None and seat.role == Role.VOTER


async def test_a_directory_that_formed_the_cluster_does_not_observe() -> None:
    config = await live_config(3)
    try:
        storage = open_memory(MemoryDisk("n1"), config, N1, os.urandom)
        with pytest.raises(IdentityRefused, match="start it without --observe"):
            await serve_node(config, storage, trio.Event(), ServerStart(observes=True))
    finally:
        let_go(config.address(node)[1] for node in config.nodes)


async def test_a_node_that_nobody_can_dial_is_told_so_and_members_show_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guests, "UNDIALLED_S", 0.2)
    async with three_voters() as cluster:
        [nowhere] = hold(1)
        cluster.told[N4] = f"127.0.0.1:{nowhere}"
        await cluster.join(N4, at(cluster, N1))
        while "cannot dial this node" not in (await cluster.report(N4)).trouble:
            await trio.sleep(0.01)
        assert "--advertise" in (await cluster.report(N4)).trouble
        assert "no member dials this node" in caplog.messages
        while (seat := await seat_of(cluster, N4)) is None or not seat.trouble:
            await trio.sleep(0.01)
        assert f"says that it is at 127.0.0.1:{nowhere}, where it is not met" in seat.trouble
        assert (seat.role, seat.up) == (Role.GUEST, False)
        let_go([nowhere])
        await cluster.stop(N4)
        del cluster.told[N4]
        await cluster.start(N4)
        seat = await until_up(cluster, N4)
        assert not seat.trouble and "cannot dial" not in (await cluster.report(N4)).trouble


class Hung:
    """An observer that asks for everything and reads nothing.

    Args:
        cluster: whose members it greets.
        node: its name.
    """

    def __init__(self, cluster: ChangingCluster, node: NodeId) -> None:
        self.node = node
        formation = cluster.servers[N1]._replica.node.identity.formation
        disk = node.encode().ljust(16, b".")
        facts = (cluster.config.cluster_id, NO_MEMBERS, node, disk, 1, b"n" * 16, 0)
        self._identity = PeerIdentity(*facts, formation)
        self._asked = 0

    async def join(self, nursery: trio.Nursery, client: RawClient) -> None:
        """Be admitted by the member at the other end, and be where this says that it is."""
        self._client = client
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        nursery.start_soon(trio.serve_listeners, self._welcome, [listener])
        assert isinstance(await hello_as(client, self._identity), PeerWelcome)
        address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
        place = Member(self.node, address, 1)
        await client.say(MemberAddresses((place,), True), Ping(0, False, True))

    async def ask(self, keys: list[str]) -> None:
        """Ask for the next of these keys."""
        self._asked += 1
        await self._client.say(Fetch((Key(keys[self._asked % len(keys)]),)))

    async def _welcome(self, stream: trio.SocketStream) -> None:
        peer = RawClient(stream)
        seals, _ = await greeted_by_peer(peer, self.node)
        await peer.say(seals.seal(PeerWelcome(VERSION, self._identity, None, b"k" * 32)))
        await trio.sleep_forever()


async def test_observers_that_read_nothing_cost_a_member_one_bounded_queue_together(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with three_voters() as cluster, trio.open_nursery() as nursery:
        keys = [f"k{number}" for number in range(24)]
        for key in keys:
            await freeze(cluster, N1, key, os.urandom(MIB // 4))
        links = cluster.servers[N1]._links
        assert links._guest_queues.backlog._max_bytes == cluster.config.limits.max_peer_queue_bytes
        links._guest_queues.backlog._max_bytes = MIB
        hung = [Hung(cluster, N4), Hung(cluster, NodeId("n5"))]
        for node in hung:
            await node.join(nursery, await cluster.raw(N1))
        most = 0
        while "a node without a vote does not read; its link is cut" not in caplog.messages:
            for node in hung:
                if node.node in links._outbound_links:
                    await node.ask(keys)
            await trio.sleep(0.001)
            waiting = [link.outbox.size for link in links._outbound_links.values()]
            most = max(most, links._guest_queues.backlog.held, *waiting)
        assert MIB // 2 <= most <= 2 * MIB
        await freeze(cluster, N1, "after")
        assert all(peer.reachable for peer in (await cluster.report(N1)).peers)
        nursery.cancel_scope.cancel()
