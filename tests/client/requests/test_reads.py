"""Reading, waiting, listing, watching and status; also while nodes fail."""

from math import nan

import anyio
import pytest

from decreed.client import NodeDown, StatusReport, Watched, Watching, connect
from decreed.client.requests import operations, sender
from decreed.registry.errors import (
    BadRequest,
    Closed,
    ProtocolError,
    StillUndecided,
    Unreachable,
)
from decreed.registry.wire.requests import (
    Decreed,
    Failed,
    GetRequest,
    ListRequest,
    Undecided,
    WaitRequest,
    WatchRequest,
)

from ..fakes import LIMIT_S, AsUsual, cluster_of, decree_of

pytestmark = pytest.mark.anyio


async def test_get_asks_the_home_and_caches_the_decree() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        cluster.decide(decree_of("k", b"v"))
        assert registry.cached("k") is None
        for _ in range(3):
            decree = await registry.get("k")
            assert decree is not None and decree.value == b"v"
        assert registry.cached("k") == decree
        assert len(cluster.order("k")[0].asked(GetRequest)) == 1


async def test_undecided_is_none_and_not_cached() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        assert await registry.get("k") is None
        cluster.decide(decree_of("k"))
        assert await registry.get("k") is not None


async def test_get_many_is_one_frame_for_each_node() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        await registry.status()
        for node in cluster.nodes:
            node.frames.clear()
        cluster.decide(decree_of("key5"))
        keys = [f"key{number}" for number in range(100)]
        found = await registry.get_many([*keys, "key5"])
        assert list(found) == keys
        assert [key for key, decree in found.items() if decree] == ["key5"]
        assert [len(node.frames) for node in cluster.nodes] == [1, 1, 1]
        assert sum(len(node.frames[0]) for node in cluster.nodes) == 100


async def test_unreachable_is_an_error_and_never_undecided() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.nodes[0].script = lambda node, request: Failed(request.id, Unreachable.code, "no")
        with pytest.raises(Unreachable):
            await registry.get_many(["a", "b"], timeout=0.2)


async def test_a_decree_of_another_key_is_not_used() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.nodes[0].script = lambda node, request: Decreed(request.id, decree_of("other"))
        with pytest.raises(ProtocolError):
            await registry.get("k", timeout=60)
        assert registry.cached("other") is None


async def test_a_client_that_reaches_only_proxies_works() -> None:
    async with cluster_of(3) as cluster:
        # the members' own addresses are unreachable
        cluster.advertised = {
            node.name: f"127.0.0.1:{n + 1}" for n, node in enumerate(cluster.nodes)
        }
        async with connect(cluster.endpoints[1]) as registry:
            for number in range(5):
                assert (await registry.claim(f"key{number}", "v", timeout=60)).won


async def test_wait_ends_with_the_decree() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        async with anyio.create_task_group() as tasks:

            async def decide_later() -> None:
                home = cluster.order("k")[0]
                await home.until(lambda node: node.asked(WaitRequest))
                cluster.decide(decree_of("k"))

            tasks.start_soon(decide_later)
            assert (await registry.wait("k", timeout=None)).key == "k"
        assert (await registry.wait("k", timeout=0)).key == "k"


async def test_wait_raises_still_undecided_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """`test_waiting` has the case of a node that answers early."""
    monkeypatch.setattr(sender, "WAIT_SLACK_SECONDS", 2 * LIMIT_S)
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        for node in cluster.nodes:
            node.script = lambda node, request: Undecided(request.id)
        with pytest.raises(StillUndecided):
            await registry.wait("k", timeout=LIMIT_S)


async def test_wait_survives_the_loss_of_its_node_and_an_outage() -> None:
    async with (
        cluster_of(3) as cluster,
        connect(*cluster.endpoints) as registry,
        anyio.create_task_group() as tasks,
    ):

        async def break_and_mend() -> None:
            home = cluster.order("k")[0]
            await home.until(lambda node: node.asked(WaitRequest))
            for node in cluster.nodes:
                await node.stop()
            cluster.decide(decree_of("k"))
            await home.start(tasks)

        with anyio.fail_after(LIMIT_S):
            tasks.start_soon(break_and_mend)
            assert (await registry.wait("k", timeout=None)).key == "k"
        tasks.cancel_scope.cancel()


async def test_list_reads_page_by_page_as_far_as_needed() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        for number in range(600):
            cluster.decide(decree_of(f"under/key{number:03}"))
        cluster.decide(decree_of("elsewhere"))
        listing = registry.list("under/")
        assert (await anext(listing)).key == "under/key000"
        assert len(cluster.nodes[0].asked(ListRequest)) == 1
        rest = [decree.key async for decree in listing]
        assert rest == [f"under/key{number:03}" for number in range(1, 600)]
        assert registry.cached("under/key599") is not None
        with pytest.raises(BadRequest):
            registry.list("a//b")


async def test_a_page_that_waits_in_the_queue_of_its_node_is_not_requested_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The node answers pings: asking all nodes would make each one's queue longer."""
    monkeypatch.setattr(operations, "LIST_HEDGE_SECONDS", LIMIT_S)

    async def late(request: object) -> object:
        await anyio.sleep(3 * operations.HEDGE_SECONDS)
        return AsUsual

    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        for node in cluster.nodes:
            node.script = lambda node, request: late(request)
        assert [decree async for decree in registry.list(timeout=LIMIT_S)] == []
        assert sum(len(node.asked(ListRequest)) for node in cluster.nodes) == 1


async def steps(watching: Watching, count: int) -> list[Watched]:
    """The next `count` events."""
    with anyio.fail_after(LIMIT_S):
        return [await anext(watching) for _ in range(count)]


async def test_watch_goes_on_from_a_position() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.decide(decree_of("old"))
        watching = registry.watch()
        await watching.begin()
        for key in ("a", "b"):
            cluster.decide(decree_of(key))
        seen = await steps(watching, 2)
        assert [watched.decree.key for watched in seen] == ["a", "b"]
        cluster.decide(decree_of("c"))
        again = await steps(registry.watch(since=seen[-1].position), 1)
        assert [watched.decree.key for watched in again] == ["c"]


async def test_watch_lists_after_a_change_of_node_and_misses_nothing() -> None:
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        watching = registry.watch("p")
        await watching.begin()
        cluster.decide(decree_of("p/1"))
        [first] = await steps(watching, 1)
        asked = next(node for node in cluster.nodes if node.asked(WatchRequest))
        await asked.stop()
        for key in ("p/2", "q/1", "p/3"):
            cluster.decide(decree_of(key))
        seen = await steps(watching, 2)
        assert [watched.decree.key for watched in seen] == ["p/2", "p/3"]
        # in the middle of the list, the position is still the one before it
        assert seen[0].position == first.position
        cluster.decide(decree_of("p/4"))
        [after] = await steps(watching, 1)
        assert after.decree.key == "p/4"
        assert after.position.partition(":")[0] != asked.name
        # a new watch can start from a position of the lost node: it lists
        resumed = await steps(registry.watch("p", since=first.position), 4)
        assert [watched.decree.key for watched in resumed] == ["p/1", "p/2", "p/3", "p/4"]


@pytest.mark.parametrize("text", ["", "n1", "n1:zz:1", "n1:00:1", f"n1:{'0' * 32}:-1", ":::"])
async def test_malformed_positions_are_refused(text: str) -> None:
    async with connect("127.0.0.1:1") as registry:
        with pytest.raises(BadRequest):
            registry.watch(since=text)


async def test_status_has_one_entry_for_each_member() -> None:
    async with cluster_of(3) as cluster, connect(cluster.endpoints[0]) as registry:
        await cluster.node("n2").stop()
        first, second, third = await registry.status(timeout=3)
        assert isinstance(first, StatusReport) and isinstance(third, StatusReport)
        assert (first.node, third.node) == ("n1", "n3")
        assert isinstance(second, NodeDown)
        assert (second.node, second.address) == ("n2", cluster.node("n2").address)


async def test_a_read_from_memory_is_no_checkpoint() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.decide(decree_of("k"))
        await registry.get("k")
        with anyio.CancelScope() as scope:
            scope.cancel()
            assert await registry.get("k") is not None
            assert await registry.get("k", timeout=0) is not None
        assert not scope.cancelled_caught


async def test_a_read_from_memory_checks_its_timeout_and_that_the_client_is_open() -> None:
    async with cluster_of(1) as cluster:
        async with connect(*cluster.endpoints) as registry:
            cluster.decide(decree_of("k"))
            await registry.get("k")
            for timeout in (-1.0, nan):
                with pytest.raises(BadRequest):
                    await registry.get("k", timeout=timeout)
        with pytest.raises(Closed):
            await registry.get("k")
        with pytest.raises(Closed):
            registry.cached("k")


async def test_the_largest_value_is_the_one_that_a_node_names() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        assert await registry.max_value_bytes() == cluster.nodes[0].max_value_bytes


async def test_the_largest_value_is_requested_until_the_deadline() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        await cluster.nodes[0].stop()
        with pytest.raises(Unreachable):
            await registry.max_value_bytes(timeout=0.2)
