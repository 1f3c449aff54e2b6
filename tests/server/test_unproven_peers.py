"""S05, S06: what a stranger at the port tried as a peer, with a plain socket. None of it may work.

The stranger knows the protocol and has seen greetings on the wire: names, disk ids and nonces. It does
not have the cluster's secret.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from decreed.registry.errors import IdentityRefused, ProtocolError
from decreed.registry.paxos.messages import Commit
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.handshake import (
    VERSION,
    DirectoryRefusal,
    Evidence,
    Incarnation,
    PeerHello,
    PeerIdentity,
    PeerWelcome,
    Reception,
    Refusal,
)
from decreed.registry.wire.requests import GetRequest, Undecided

from ..support.greeted import greeted_by_peer, hello_as
from ..support.live import PATIENCE_S, RawClient, live_config
from ..support.live_changing import ChangingCluster
from ..support.ports import let_go
from ..support.world import claim

pytestmark = pytest.mark.trio
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
LAST = 2**63 - 1


@asynccontextmanager
async def nodes(*names: NodeId) -> AsyncIterator[ChangingCluster]:
    """Some of three members; those that are not named are down."""
    config = await live_config()
    try:
        async with trio.open_nursery() as nursery:
            cluster = ChangingCluster(config, nursery)
            for name in names:
                await cluster.start(name)
            try:
                with trio.fail_after(PATIENCE_S):
                    if len(names) == 3:
                        await cluster.ready(names)
                    yield cluster
            finally:
                for stream in cluster.streams:
                    await trio.aclose_forcefully(stream)
                nursery.cancel_scope.cancel()
    finally:
        let_go(config.address(node)[1] for node in config.nodes)


def seen_of(cluster: ChangingCluster, node: NodeId) -> PeerIdentity:
    """The identity that a node shows in its greetings, as seen on the wire."""
    return cluster.servers[node]._replica.membership.identity()


def remembered(cluster: ChangingCluster, at: NodeId, node: NodeId) -> int | None:
    """The incarnation of a peer that a node remembers."""
    known = cluster.servers[at]._replica.membership.known(node)
    return None if known is None else known.incarnation


async def say_hello(
    cluster: ChangingCluster, at: NodeId, shown: PeerIdentity, past: Incarnation | None = None
) -> tuple[RawClient, object]:
    """Say hello to a node as a peer, without a proof; returns what it answers."""
    stranger = await cluster.raw(at)
    last = seen_of(cluster, at).incarnation
    await stranger.say(PeerHello("decreed", VERSION, VERSION, shown, last, past))
    try:
        return stranger, await stranger.hear(Reception)
    except (EOFError, ProtocolError, trio.BrokenResourceError) as error:
        return stranger, error


async def try_to_say(stranger: RawClient, message: object) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # it was shown out
        await stranger.say(message)


async def refuse_dials(
    cluster: ChangingCluster, node: NodeId, refusal: DirectoryRefusal | None
) -> None:
    """Be at the address of a node that is down, and refuse two that dial, with a proof or without."""
    met: list[RawClient] = []

    async def refuse(stream: trio.SocketStream) -> None:
        there = RawClient(stream)
        async with stream:
            if refusal is None:
                await stream.receive_some(4_096)
                await try_to_say(there, Refusal(IdentityRefused.code, "go away"))
            else:
                seals, _ = await greeted_by_peer(there, node)
                await there.say(seals.seal(refusal))
            await there.ended()
        met.append(there)

    host, port = cluster.config.address(node)
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(port, host=host)
        nursery.start_soon(trio.serve_listeners, refuse, [listener])
        while len(met) < 2:
            await trio.sleep(0.001)
        nursery.cancel_scope.cancel()


async def test_S05_a_false_hello_while_the_cluster_forms_does_not_keep_the_real_node_out() -> None:
    async with nodes(N1) as cluster:
        shown = replace(seen_of(cluster, N1), node=N2, disk_id=b"d" * 16, nonce=b"n" * 16)
        _, answer = await say_hello(cluster, N1, shown)
        assert isinstance(answer, Refusal), answer
        assert remembered(cluster, N1, N2) is None
        await cluster.start(N2)
        await cluster.start(N3)
        await cluster.ready([N1, N2, N3])


async def test_S06_a_hello_that_was_seen_on_the_wire_gets_no_nonce_of_the_next_node() -> None:
    async with nodes(N1, N2, N3) as cluster:
        _, answer = await say_hello(cluster, N1, seen_of(cluster, N2))
        assert isinstance(answer, Refusal), answer
        nonces = {seen_of(cluster, node).nonce.hex() for node in (N1, N2, N3)}
        assert not any(nonce in answer.message for nonce in nonces)


async def test_S06_a_commit_of_an_unproven_peer_freezes_nothing() -> None:
    async with nodes(N1, N2, N3) as cluster:
        stranger, _ = await say_hello(cluster, N1, seen_of(cluster, N2))
        poison = Decree.of(claim("k", b"poison"), Ballot(9, Process(N2, 1)), 0)
        await try_to_say(stranger, Commit(Key("k"), poison))
        await trio.testing.wait_all_tasks_blocked()
        for node in (N1, N2, N3):
            answer = await (await cluster.client(node)).ask(GetRequest(1, 60_000, Key("k")))
            assert isinstance(answer, Undecided), answer


async def test_S06_a_refusal_of_an_unproven_peer_that_dials_ends_no_node() -> None:
    async with nodes(N1, N2, N3) as cluster:
        stranger, _ = await say_hello(cluster, N1, seen_of(cluster, N2))
        await try_to_say(stranger, Refusal(IdentityRefused.code, "go away"))
        await trio.testing.wait_all_tasks_blocked()
        assert (await cluster.report(N1)).voting


async def test_S06_a_refusal_of_what_is_at_a_peers_address_ends_no_node() -> None:
    async with nodes(N1, N2, N3) as cluster:
        await cluster.stop(N3)
        await refuse_dials(cluster, N3, None)
        assert (await cluster.report(N1)).voting and (await cluster.report(N2)).voting


async def test_S05_a_hello_of_the_last_incarnation_locks_no_member_out() -> None:
    async with nodes(N1, N2, N3) as cluster:
        seen = seen_of(cluster, N2)
        last = replace(seen, incarnation=LAST, nonce=b"n" * 16)
        _, answer = await say_hello(cluster, N1, last, Incarnation(seen.incarnation, seen.nonce))
        assert remembered(cluster, N1, N2) == seen.incarnation
        assert isinstance(answer, Refusal), answer
        await cluster.stop(N2)
        await cluster.start(N2)
        await cluster.ready([N1, N2, N3])


@pytest.mark.parametrize("way", ["on the link", "to the hello"])
async def test_S06_a_proven_refusal_ends_no_node_whose_directory_does_not_agree(way: str) -> None:
    """A peer may be mistaken, so what it remembers is compared with the directory that it refuses."""
    async with nodes(N1, N2, N3) as cluster:
        shown, seen = seen_of(cluster, N3), seen_of(cluster, N1)
        await cluster.stop(N3)
        life = (seen.incarnation, seen.nonce)
        false = DirectoryRefusal("it was rolled back", Evidence(seen.disk_id, 0, *life))
        if way == "on the link":
            peer = await cluster.raw(N1)
            assert isinstance(await hello_as(peer, shown), PeerWelcome)
            await peer.say(false)
        else:
            await refuse_dials(cluster, N3, false)
        await trio.testing.wait_all_tasks_blocked()
        assert (await cluster.report(N1)).voting
