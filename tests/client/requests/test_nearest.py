"""Reading from the node that answers fastest, and asking members for everything that needs a vote."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from decreed.client import Registry, StatusReport, connect
from decreed.client.requests.nearness import in_order
from decreed.registry.errors import BadRequest, NotMember
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import (
    ClaimRequest,
    Failed,
    GetRequest,
    ListRequest,
    StatusRequest,
    WaitRequest,
    WatchRequest,
)

from ..fakes import LIMIT_S, AsUsual, FakeCluster, FakeNode, cluster_of, decree_of

pytestmark = pytest.mark.anyio
FAR_S = 0.2
N1, N2 = NodeId("n1"), NodeId("n2")


def no_vote(node: FakeNode, request: Any) -> Any:
    """What an observer says: only what is frozen."""
    if isinstance(request, GetRequest | WaitRequest) and request.key in node.cluster.decrees:
        return AsUsual
    if isinstance(request, WatchRequest | StatusRequest):
        return AsUsual
    return Failed(request.id, NotMember.code, f"node {node.name} observes and has no vote")


async def observer(cluster: FakeCluster, tasks: TaskGroup, name: str = "o1") -> FakeNode:
    node = FakeNode(name, cluster)
    node.script = no_vote
    await node.start(tasks)
    cluster.observers.append(node)
    return node


@asynccontextmanager
async def far_members() -> AsyncIterator[tuple[FakeCluster, FakeNode, TaskGroup]]:
    """Three members that are far away, and an observer that is near."""
    async with cluster_of(3) as cluster, anyio.create_task_group() as tasks:
        for member in cluster.nodes:
            member.pong_s = FAR_S
        near = await observer(cluster, tasks)
        for number in range(30):
            cluster.decide(decree_of(f"k{number}"))
        yield cluster, near, tasks
        tasks.cancel_scope.cancel()


async def until(holds: Callable[[], object]) -> None:
    with anyio.fail_after(LIMIT_S):
        while not holds():
            await anyio.sleep(0.01)


def nearest(registry: Registry) -> str | None:
    """The node that a client reads from; asking for it has others looked for."""
    link = registry._sender.pool._nearest()
    return link.welcome.node if link is not None and link.welcome is not None else None


async def read_until_nearest(registry: Registry, name: str) -> None:
    """Read, as callers do, until this node is the nearest."""
    await registry.get("k0")
    await until(lambda: nearest(registry) == name)


async def test_frozen_keys_are_read_from_the_observer_that_answers_fastest() -> None:
    async with (
        far_members() as (cluster, near, _),
        connect(*cluster.endpoints, prefer="nearest", cache_decrees=0) as registry,
    ):
        await read_until_nearest(registry, "o1")
        asked = [len(node.asked(GetRequest)) for node in cluster.nodes]
        for number in range(30):
            assert (await registry.get(f"k{number}")) == cluster.decrees[f"k{number}"]
        assert [len(node.asked(GetRequest)) for node in cluster.nodes] == asked
        assert len(near.asked(GetRequest)) >= 30


async def test_what_needs_a_vote_goes_to_members() -> None:
    async with (
        far_members() as (cluster, near, _),
        connect(*cluster.endpoints, prefer="nearest", cache_decrees=0) as registry,
    ):
        await read_until_nearest(registry, "o1")
        assert (await registry.claim("new", b"v")).won
        assert await registry.get("undecided") is None
        assert [d.key async for d in registry.list("nothing")] == []
        await registry.latest("series")
        assert not near.asked(ClaimRequest) and not near.asked(ListRequest)
        await registry.get("k1")
        assert near.asked(GetRequest)[-1].key == "k1", "a refusal is no reason to leave it"


async def test_by_default_an_observer_is_not_asked() -> None:
    async with (
        far_members() as (cluster, near, _),
        connect(*cluster.endpoints, cache_decrees=0) as registry,
    ):
        for number in range(30):
            await registry.get(f"k{number}")
        assert not near.connections
        assert {n.node for n in await registry.status()} == {"n1", "n2", "n3", "o1"}


async def test_after_a_fault_of_the_nearest_others_are_read_from_and_then_it_again() -> None:
    async with (
        far_members() as (cluster, near, tasks),
        connect(*cluster.endpoints, prefer="nearest", cache_decrees=0) as registry,
    ):
        await read_until_nearest(registry, "o1")
        await near.stop()
        for number in range(30):
            assert await registry.get(f"k{number}") is not None
        await until(lambda: nearest(registry) in {"n1", "n2", "n3"})
        near.requests.clear()
        await near.start(tasks)
        await until(lambda: nearest(registry) == "o1")
        await registry.get("k7")
        assert near.asked(GetRequest)


async def test_a_little_faster_is_no_reason_to_change() -> None:
    async with cluster_of(3) as cluster:
        cluster.decide(decree_of("k0"))
        cluster.nodes[0].pong_s, cluster.nodes[1].pong_s, cluster.nodes[2].pong_s = 0.1, 0.4, 0.4
        async with connect(*cluster.endpoints, prefer="nearest", cache_decrees=0) as registry:
            await read_until_nearest(registry, "n1")
            pool = registry._sender.pool
            await until(lambda: len(in_order(pool.up)) == 3)
            links = {link.welcome.node: link for link in pool.up if link.welcome}
            links[N1].round_trip, links[N2].round_trip = 0.1, 0.07
            assert nearest(registry) == "n1"
            links[N2].round_trip = 0.06
            assert nearest(registry) == "n2"


async def test_a_watch_stays_where_it_is_unless_another_node_is_much_nearer() -> None:
    async with (
        far_members() as (cluster, near, tasks),
        connect(*cluster.endpoints, prefer="nearest", cache_decrees=0) as registry,
    ):
        await read_until_nearest(registry, "o1")
        watching = registry.watch("w")
        await watching.begin()
        with anyio.fail_after(LIMIT_S):
            cluster.decide(decree_of("w/1"))
            assert (await anext(watching)).decree.key == "w/1"
            assert len(near.asked(WatchRequest)) >= 2
            await near.stop()
            cluster.decide(decree_of("w/2"))
            assert (await anext(watching)).decree.key == "w/2", "it goes on elsewhere"
            near.requests.clear()
            await near.start(tasks)
            await until(lambda: nearest(registry) == "o1")
            cluster.decide(decree_of("w/3"))
            assert (await anext(watching)).decree.key == "w/3"
            cluster.decide(decree_of("w/4"))
            assert (await anext(watching)).decree.key == "w/4"
        assert near.asked(WatchRequest), "and comes back"


async def test_an_observer_as_the_only_endpoint_names_the_members() -> None:
    async with (
        far_members() as (_, near, _),
        connect(near.address, prefer="nearest") as registry,
    ):
        assert (await registry.claim("new", b"v")).won
        assert not near.asked(ClaimRequest)
        reports = {r.node: r for r in await registry.status()}
        assert isinstance(reports[NodeId("o1")], StatusReport)


async def test_a_preference_that_is_none_is_refused() -> None:
    with pytest.raises(BadRequest, match="prefer is 'home' or 'nearest', not str"):
        connect("h:1", prefer="fastest")  # type: ignore[arg-type]
