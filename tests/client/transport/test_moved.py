"""Members that move while a client runs: it is told, dials them there, and keeps what it knows."""

from collections.abc import Callable

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.from_thread import start_blocking_portal

from decreed.client import NodeDown, Registry, connect
from decreed.client.blocking import finish, keys_of
from decreed.client.requests.operations import POLL_SECONDS
from decreed.registry.errors import Unreachable
from decreed.registry.wire.handshake import Member
from decreed.registry.wire.requests import ClaimRequest, GetRequest, WaitRequest

from ..fakes import LIMIT_S, FakeCluster, FakeNode, cluster_of, decree_of

pytestmark = pytest.mark.anyio


def links(registry: Registry) -> dict[str, bool]:
    """The endpoints that a client has links to, and whether these are open."""
    pool = registry._sender.pool
    return {str(endpoint): link.up for endpoint, link in pool._links.items()}


def addresses(registry: Registry) -> dict[str, str]:
    """Where a client believes the members are."""
    return {node: str(at) for node, at in registry._sender.pool.addresses.items()}


async def until(holds: Callable[[], object]) -> None:
    with anyio.fail_after(LIMIT_S):
        while not holds():
            await anyio.sleep(0.01)


async def move(cluster: FakeCluster, node: FakeNode, tasks: TaskGroup) -> str:
    """Have a node listen elsewhere; the others tell so. Returns where it was."""
    before = node.address
    await node.stop()
    node.address = ""
    await node.start(tasks)
    cluster.incarnation += 1
    for other in cluster.nodes:
        await other.welcome_again()
    return before


async def test_a_client_dials_a_member_where_it_is_now_and_drops_the_old_address() -> None:
    async with cluster_of(3) as cluster, anyio.create_task_group() as tasks:
        async with connect(cluster.nodes[0].address) as registry:
            assert await registry.get("k") is None
            await registry.status()
            before = await move(cluster, cluster.nodes[1], tasks)
            await until(lambda: addresses(registry)["n2"] == cluster.nodes[1].address)
            await registry.status()
            await until(lambda: before not in links(registry) or not links(registry)[before])
            await cluster.nodes[0].welcome_again()
            await until(lambda: before not in links(registry))
            assert links(registry)[cluster.nodes[1].address]
        tasks.cancel_scope.cancel()


async def test_of_two_nodes_that_disagree_the_later_incarnation_counts() -> None:
    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        await registry.get("k")
        old, cluster.incarnation = cluster.nodes[1].address, 5
        cluster.advertised = {"n2": "127.0.0.1:1"}
        await cluster.nodes[0].welcome_again()
        await until(lambda: addresses(registry)["n2"] == "127.0.0.1:1")
        cluster.incarnation, cluster.advertised = 4, {"n1": "127.0.0.1:2", "n2": old}
        await cluster.nodes[0].welcome_again()
        cluster.incarnation, cluster.advertised = 6, {"n1": "127.0.0.1:3", "n2": "127.0.0.1:1"}
        await cluster.nodes[0].welcome_again()
        await until(lambda: addresses(registry)["n1"] == "127.0.0.1:3")
        assert addresses(registry)["n2"] == "127.0.0.1:1"


async def test_what_is_held_and_where_a_watch_stands_stay_as_they_are() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        node = cluster.nodes[0]
        cluster.decide(decree_of("other"))
        assert await registry.get("other") is not None
        with anyio.fail_after(LIMIT_S):
            watching = registry.watch("w")
            await watching.begin()
            for key in ("w/a", "w/b"):
                cluster.decide(decree_of(key))
                assert (await anext(watching)).decree.key == key
                await node.welcome_again()
        assert await registry.get("other") is not None
        assert len(node.asked(GetRequest)) == 1, "the cache is as it was"
        assert node.connections == 1


async def test_a_welcome_of_another_cluster_ends_the_connection() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        node = cluster.nodes[0]
        await registry.get("k")
        await node.welcome_again(cluster_id="another")
        await until(lambda: node.open_connections == 0)
        assert await registry.get("k") is None
        assert node.connections == 2


async def test_a_node_at_the_address_of_another_is_not_shown_as_that_one() -> None:
    async with cluster_of(2) as cluster:
        cluster.advertised = {"n2": cluster.nodes[0].address}
        async with connect(cluster.nodes[0].address) as registry:
            one, other = await registry.status()
    assert one.node == "n1" and not isinstance(one, NodeDown)
    assert isinstance(other, NodeDown) and other.node == "n2"
    assert f"n1 answers at {cluster.nodes[0].address}, and not n2" in str(other.error)


async def test_a_client_that_knows_only_members_that_are_gone_says_so() -> None:
    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        await registry.get("k")
        for node in cluster.nodes:
            await node.stop()
        with pytest.raises(Unreachable) as caught:
            await registry.get("other", timeout=1)
    said = str(caught.value)
    assert all(address in said for address in cluster.endpoints)
    assert "this client knows no other members than n1, n2 of epoch 0" in said
    assert "with the addresses that they have now, as 'decreed member list' shows them" in said


def follow(cluster: FakeCluster, epoch: int, *members: FakeNode) -> None:
    """Have all nodes know an epoch with these members alone."""
    cluster.epoch, cluster.incarnation, cluster.voters = epoch, epoch << 32, members


async def test_a_client_follows_members_of_which_none_was_among_its_endpoints() -> None:
    async with cluster_of(4) as cluster:
        n1, n2, n3, n4 = cluster.nodes
        cluster.voters = (n1, n2)
        async with connect(n1.address, n2.address) as registry:
            assert await registry.get("k") is None
            follow(cluster, 1, n3, n4)
            await n1.welcome_again()
            await until(lambda: set(addresses(registry)) == {"n3", "n4"})
            for node in (n1, n2):
                await until(lambda node=node: not node.open_connections)  # type: ignore[misc]
            await n1.stop()
            await n2.stop()
            assert (await registry.claim("k", b"v")).won
            assert n3.asked(ClaimRequest) or n4.asked(ClaimRequest)


async def test_a_node_that_slept_does_not_bring_back_members_that_are_gone() -> None:
    async with cluster_of(3) as cluster:
        n1, n2, n3 = cluster.nodes
        follow(cluster, 2, n2, n3)
        async with connect(n2.address, n1.address) as registry:
            await registry.get("k")
            follow(cluster, 1, n1, n2)
            await n2.welcome_again()
            assert await registry.get("other") is None
            assert set(addresses(registry)) == {"n2", "n3"}
            follow(cluster, 3, n1, n2)
            await n2.welcome_again()
            await until(lambda: set(addresses(registry)) == {"n1", "n2"})


async def test_another_formation_begins_with_its_own_epochs() -> None:
    async with cluster_of(2) as cluster, connect(cluster.nodes[0].address) as registry:
        n1, n2 = cluster.nodes
        await registry.get("k")
        follow(cluster, 7, n1, n2)
        await n1.welcome_again()
        await until(lambda: registry._sender.pool.epoch == 7)
        follow(cluster, 0, n1)
        await cluster.form_again(b"x" * 16)
        await registry.get("k")
        assert set(addresses(registry)) == {"n1"}


async def test_a_node_that_joins_and_has_met_no_member_does_not_say_who_they_are() -> None:
    """It has no formation, and its file may be of any time."""
    async with cluster_of(3) as cluster:
        n1, n2, n3 = cluster.nodes
        follow(cluster, 2, n2, n3)
        async with connect(n2.address) as registry:
            await registry.get("k")
            [link] = registry._sender.pool.up
            file = (Member(n1.name, n1.address, 0),)
            await n2.welcome_again(formation=None, epoch=0, members=file)
            await until(lambda: link.welcome is not None and link.welcome.formation is None)
            assert set(addresses(registry)) == {"n2", "n3"}


async def test_what_waits_at_a_node_that_is_removed_is_asked_of_a_member() -> None:
    async with cluster_of(3) as cluster:
        home, *others = cluster.order("k")
        cluster.voters = (home, others[0])
        async with connect(others[0].address) as registry, anyio.create_task_group() as tasks:
            found: list[bytes] = []

            async def wait() -> None:
                decree = await registry.wait("k", timeout=LIMIT_S)
                assert decree is not None
                found.append(decree.value)

            tasks.start_soon(wait)
            await home.until(lambda node: node.asked(WaitRequest))
            follow(cluster, 1, *others)
            await others[0].welcome_again()
            with anyio.fail_after(POLL_SECONDS / 2):  # by the steady time; it says nothing of it
                await until(lambda: any(node.asked(WaitRequest) for node in others))
            cluster.decide(decree_of("k"))
            await until(lambda: found)
            assert found == [b"v"]


def test_a_blocking_client_is_told_too() -> None:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(cluster_of(1)) as cluster,
        keys_of(cluster.endpoints) as keys,
    ):
        assert finish(keys.get("k")) is None
        cluster.incarnation, cluster.advertised = 1, {"n9": "127.0.0.1:1"}
        portal.call(cluster.nodes[0].welcome_again)
        finish(keys.get("other"))
        pool = keys._sender.pool
        assert {node: str(at) for node, at in pool.addresses.items()} == {
            "n1": cluster.nodes[0].address, "n9": "127.0.0.1:1",
        }  # fmt: skip
