"""Nodes that are stopped, not dead: their waiting requests are answered elsewhere, and miss nothing.

`test_pulse` checks how soon a node is found silent, on a mock clock.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from decreed.client import NodeDown, Registry, StatusReport, connect
from decreed.client.transport import pulse
from decreed.registry.errors import StillUndecided
from decreed.registry.locks.terms import term_key
from decreed.registry.wire.requests import (
    Cancel,
    ClaimRequest,
    GetRequest,
    ListRequest,
    WaitRequest,
    WatchRequest,
)

from ..fakes import AsUsual, FakeCluster, FakeNode, Half, cluster_of, decree_of
from ..locks.test_acquiring import honest

pytestmark = pytest.mark.anyio
# a test takes less; without the pulse it would take longer
LIMIT_S = 15


@asynccontextmanager
async def known(count: int = 3) -> AsyncIterator[tuple[FakeCluster, Registry]]:
    """A cluster, and a client that is connected to all of it."""
    async with cluster_of(count) as cluster, connect(*cluster.endpoints) as registry:
        await registry.status()
        with anyio.fail_after(2 * LIMIT_S):
            yield cluster, registry


async def during(
    call: Callable[[], Coroutine[Any, Any, None]],
    node: FakeNode,
    kind: type,
    then: Callable[[], object],
) -> None:
    """Make a call; once a request of its kind has reached `node`, call `then`."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await node.until(lambda node: node.asked(kind))
        then()


async def test_a_wait_leaves_a_silent_node() -> None:
    async with known() as (cluster, registry):
        home = cluster.order("k")[0]

        async def wait() -> None:
            with anyio.fail_after(LIMIT_S):
                assert (await registry.wait("k", timeout=None)).key == "k"

        async def decide_elsewhere() -> None:
            second = cluster.order("k")[1]
            await second.until(lambda node: node.asked(WaitRequest))
            cluster.decide(decree_of("k"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(decide_elsewhere)
            await during(wait, home, WaitRequest, home.halt)


@pytest.mark.parametrize("timeout", [0, 0.3, 1])
async def test_a_wait_at_a_silent_node_ends_as_undecided(timeout: float) -> None:
    async with known() as (cluster, registry):
        cluster.order("k")[0].halt()
        with pytest.raises(StillUndecided):
            await registry.wait("k", timeout=timeout)


async def test_a_wait_whose_node_stops_in_its_last_moment_ends_as_undecided() -> None:
    async with known() as (cluster, registry):
        home = cluster.order("k")[0]

        async def wait() -> None:
            with pytest.raises(StillUndecided):
                await registry.wait("k", timeout=2)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(1.5)
            home.halt()


async def test_a_watch_leaves_a_silent_node_misses_nothing_and_repeats_nothing() -> None:
    async with known() as (cluster, registry):
        watching = registry.watch("p")
        await watching.begin()
        cluster.decide(decree_of("p/1"))
        seen = [(await anext(watching)).decree.key]

        async def watch() -> None:
            with anyio.fail_after(LIMIT_S):
                seen.extend([(await anext(watching)).decree.key for _ in range(3)])

        asked = next(node for node in cluster.nodes if node.asked(WatchRequest))
        asked.requests.clear()

        def halt_and_decide() -> None:
            asked.halt()
            cluster.decide(decree_of("p/2"))
            cluster.decide(decree_of("p/3"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(during, watch, asked, WatchRequest, halt_and_decide)
            others = [node for node in cluster.nodes if node is not asked]
            while not any(len(node.asked(WatchRequest)) > 1 for node in others):
                await anyio.sleep(0.01)
            cluster.decide(decree_of("p/4"))
        assert seen == ["p/1", "p/2", "p/3", "p/4"]
        # the late answers of the stopped node are not yielded again
        asked.resume()
        with anyio.move_on_after(1.5):
            pytest.fail(f"{await anext(watching)} came twice")


async def test_many_waits_move_together_and_no_wait_fails() -> None:
    count = 20
    async with known() as (cluster, registry):
        keys = [f"k{number}" for number in range(count)]
        stopped = cluster.node("n1")
        seen: list[str] = []

        async def wait(key: str) -> None:
            await registry.wait(key, timeout=8)
            seen.append(key)

        async def watch(key: str) -> None:
            async for watched in registry.watch(key):
                seen.append(watched.decree.key)
                break

        async with anyio.create_task_group() as tasks:
            for key in keys:
                tasks.start_soon(wait, key)
                tasks.start_soon(watch, key)
            await anyio.wait_all_tasks_blocked()
            await stopped.until(lambda node: len(node.asked(WaitRequest)) > 2)
            await anyio.sleep(0.1)
            stopped.halt()
            for key in keys:
                cluster.decide(decree_of(key))
        assert sorted(seen) == sorted(keys * 2)


async def test_requests_do_not_return_to_a_silent_node_before_it_answers() -> None:
    async with known() as (cluster, registry):
        home = cluster.order("k")[0]
        home.halt()
        with pytest.raises(StillUndecided):
            await registry.wait("k", timeout=1.5)
        others = [node for node in cluster.nodes if node is not home]
        for number in range(20):
            await registry.get(f"key{number}")
        assert sum(len(node.asked(GetRequest)) for node in others) == 20
        asked = {f"key{number}" for number in range(20)}
        home.resume()
        await home.until(lambda node: node.asked(Cancel))
        assert not [r for r in home.asked(GetRequest) if r.key in asked]


async def test_a_wait_while_all_nodes_are_silent_goes_on_at_the_first_that_answers() -> None:
    async with known() as (cluster, registry):
        first, second, third = cluster.order("k")

        def halt_all() -> None:
            for node in cluster.nodes:
                node.halt()

        async def wait() -> None:
            with anyio.fail_after(LIMIT_S):
                assert (await registry.wait("k", timeout=None)).key == "k"

        async def third_goes_on() -> None:
            await anyio.sleep(1.5)
            third.resume()
            cluster.decide(decree_of("k"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(third_goes_on)
            await during(wait, first, WaitRequest, halt_all)
        assert not second.asked(WaitRequest)


async def test_a_node_that_never_greets_delays_no_wait() -> None:
    async with cluster_of(3) as cluster:
        home = cluster.order("k")[0]
        home.halt()
        async with connect(*cluster.endpoints) as registry:

            async def decide_later() -> None:
                await cluster.order("k")[1].until(lambda node: node.asked(WaitRequest))
                cluster.decide(decree_of("k"))

            with anyio.fail_after(4):  # the limit for connecting is 5
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(decide_later)
                    await registry.wait("k", timeout=None)


async def test_a_lock_whose_home_never_greets_is_acquired_at_another_node() -> None:
    async with cluster_of(3) as cluster:
        for node in cluster.nodes:
            node.script = honest
        cluster.order(term_key("l", 1))[0].halt()
        async with connect(*cluster.endpoints) as registry:
            with anyio.fail_after(4):
                async with registry.lock("l", ttl=10):
                    pass


async def test_if_a_node_stops_in_the_middle_of_a_frame_the_next_is_asked() -> None:
    async with known() as (cluster, registry):
        cluster.decide(decree_of("k", b"v" * 1000))
        home = cluster.order("k")[0]
        home.script = lambda node, request: Half if isinstance(request, WaitRequest) else AsUsual
        with anyio.fail_after(LIMIT_S):
            assert (await registry.wait("k", timeout=None)).key == "k"


async def test_the_connection_to_a_node_that_is_silent_for_long_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse, "DEAD_SECONDS", 0.2)
    async with known(1) as (cluster, registry):
        [node] = cluster.nodes
        before = node.connections

        async def decide_when_it_is_back() -> None:
            while node.connections == before:
                await anyio.sleep(0.01)
            node.resume()
            cluster.decide(decree_of("k"))

        async def wait() -> None:
            assert (await registry.wait("k", timeout=None)).key == "k"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(decide_when_it_is_back)
            await during(wait, node, WaitRequest, node.halt)


async def test_a_node_is_pinged_although_waits_use_all_its_room_in_batch() -> None:
    async with cluster_of(2) as cluster:
        for node in cluster.nodes:
            node.max_in_flight = 2
        async with connect(*cluster.endpoints) as registry:
            keys = [key for key in map(str, range(40)) if cluster.order(key)[0].name == "n1"][:5]
            first, second = cluster.nodes
            ended: list[str] = []

            async def wait(key: str) -> None:
                await registry.wait(key, timeout=None)
                ended.append(key)

            async with anyio.create_task_group() as tasks:
                for key in keys:
                    tasks.start_soon(wait, key)
                with anyio.fail_after(LIMIT_S):
                    while not first.pings:
                        await anyio.sleep(0.01)
                assert len(first.asked(WaitRequest)) == 2 and not second.asked(WaitRequest)
                first.halt()
                for key in keys:
                    cluster.decide(decree_of(key))
            assert sorted(ended) == sorted(keys)


async def test_status_reports_a_silent_node_as_down_without_waiting_for_it() -> None:
    async with known() as (cluster, registry):
        cluster.node("n2").halt()
        with anyio.fail_after(LIMIT_S):
            first, second, third = await registry.status(timeout=60)
        assert isinstance(first, StatusReport) and isinstance(third, StatusReport)
        assert isinstance(second, NodeDown) and "says nothing" in str(second.error)


@pytest.mark.parametrize("kind", [ClaimRequest, GetRequest, ListRequest])
async def test_calls_that_do_not_wait_are_answered_by_another_node(kind: type) -> None:
    async with known() as (cluster, registry):
        cluster.order("k")[0].halt()
        if kind is ClaimRequest:
            assert (await registry.claim("k", "v")).won
        elif kind is GetRequest:
            assert await registry.get("k") is None
        else:
            assert [decree async for decree in registry.list()] == []
