"""Clients that are opened by one task and closed by another: fixtures, hooks, notebooks, any order."""

import asyncio
import gc
import logging
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from decreed.client import Registry, connect, open_registry
from decreed.registry.errors import BadRequest, Closed
from decreed.registry.wire.requests import WaitRequest

from ..fakes import FakeCluster, cluster_of, decree_of

NOBODY = "127.0.0.1:1"


@asynccontextmanager
async def nursery() -> AsyncIterator[Any]:
    """The nursery that clients need under trio; None under asyncio."""
    if asyncio_runs():
        yield None
        return
    async with trio.open_nursery() as nursery:
        yield nursery
        nursery.cancel_scope.cancel()


def asyncio_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def in_a_task(work: Callable[[], Awaitable[object]]) -> list[Any]:
    """Run `work` in a task of its own; returns its result in a list."""
    results: list[Any] = []

    async def run() -> None:
        results.append(await work())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
    return results


def on_asyncio(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """The test, run by plain asyncio, as users do."""

    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]

    run.__name__ = getattr(test, "__name__", "test")
    return run


# -- any task, any order


@pytest.mark.anyio
async def test_one_task_opens_another_uses_and_a_third_one_closes() -> None:
    async with cluster_of(1) as cluster, nursery() as home:
        cluster.decide(decree_of("k"))
        [registry] = await in_a_task(lambda: open_registry(*cluster.endpoints, nursery=home))
        [decree] = await in_a_task(lambda: registry.get("k"))
        assert decree.key == "k"
        await in_a_task(registry.aclose)
        with pytest.raises(Closed, match="closed"):
            await registry.get("other")


@pytest.mark.anyio
@pytest.mark.parametrize("oldest_first", [True, False])
async def test_several_clients_are_closed_in_any_order(oldest_first: bool) -> None:
    async with cluster_of(1) as cluster, nursery() as home:
        registries = [await open_registry(*cluster.endpoints, nursery=home) for _ in range(3)]
        if not oldest_first:
            registries.reverse()
        for registry in registries:
            await registry.get("k")
        for place, registry in enumerate(registries):
            await registry.aclose()
            for other in registries[place + 1 :]:
                assert await other.get("k") is None
        # the caller is not cancelled
        await anyio.sleep(0.01)


@on_asyncio
async def test_a_client_can_be_used_in_async_with_when_it_is_open_already() -> None:
    async with cluster_of(1) as cluster, await open_registry(*cluster.endpoints) as registry:
        assert await registry.get("k") is None
    with pytest.raises(Closed):
        await registry.__aenter__()


@on_asyncio
async def test_on_asyncio_a_block_may_be_left_by_another_task_and_oldest_first() -> None:
    async with cluster_of(1) as cluster:
        first, second = (connect(*cluster.endpoints) for _ in range(2))
        registry = await asyncio.create_task(first.__aenter__())
        other = await asyncio.create_task(second.__aenter__())
        assert await registry.get("k") is None
        await asyncio.create_task(first.__aexit__(None, None, None))
        assert await other.get("k") is None
        await second.__aexit__(None, None, None)
        await asyncio.sleep(0.01)


def test_cells_of_a_notebook_open_use_and_close() -> None:
    with asyncio.Runner() as cell:
        cluster_block = cluster_of(1)
        tasks: list[FakeCluster] = []

        async def serve(over: asyncio.Event) -> None:
            async with cluster_block as cluster:
                tasks.append(cluster)
                await over.wait()

        async def start() -> tuple[asyncio.Event, asyncio.Task[None]]:
            over = asyncio.Event()
            serving = asyncio.create_task(serve(over))
            while not tasks:
                await asyncio.sleep(0)
            return over, serving

        async def stop(over: asyncio.Event, serving: "asyncio.Task[None]") -> None:
            over.set()
            await serving

        over, serving = cell.run(start())
        registry = cell.run(open_registry(*tasks[0].endpoints))
        assert cell.run(registry.claim("k", "v")).won
        watching = registry.watch()
        cell.run(watching.begin())
        cell.run(registry.claim("seen", "v"))
        assert cell.run(watching.__anext__()).decree.key == "seen"
        listing = registry.list()
        assert cell.run(anext(listing)).key == "k"  # type: ignore[arg-type]
        cell.run(registry.aclose())
        cell.run(stop(over, serving))


# -- closing: idempotent, under way, cancelled, with the loop


@pytest.mark.anyio
async def test_closing_twice_and_from_several_tasks_at_once() -> None:
    async with nursery() as home:
        registry = await open_registry(NOBODY, nursery=home)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(registry.aclose)
        await registry.aclose()


@pytest.mark.anyio
async def test_calls_that_are_under_way_end_with_closed() -> None:
    ends: list[str] = []

    async def wait(registry: Registry) -> None:
        with pytest.raises(Closed) as caught:
            await registry.wait("k", timeout=None)
        ends.append(str(caught.value))

    async with cluster_of(1) as cluster, nursery() as home:
        registry = await open_registry(*cluster.endpoints, nursery=home)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(wait, registry)
            await cluster.nodes[0].until(lambda node: len(node.asked(WaitRequest)) == 3)
            await registry.aclose()
    assert ends == ["the client was closed"] * 3


@pytest.mark.anyio
async def test_a_task_cannot_be_started_in_a_client_that_has_ended() -> None:
    async def work() -> None:
        pytest.fail("it has ended")

    async with nursery() as home:
        registry = await open_registry(NOBODY, nursery=home)
        await registry.aclose()
        with pytest.raises(Closed):
            registry._sender.pool.tasks.spawn(work)


@pytest.mark.anyio
async def test_a_cancelled_close_still_closes_the_client() -> None:
    async with cluster_of(1) as cluster, nursery() as home:
        registry = await open_registry(*cluster.endpoints, nursery=home)
        await registry.get("k")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await registry.aclose()
        with pytest.raises(Closed):
            await registry.get("k")
        with anyio.fail_after(5):
            await registry.aclose()


@on_asyncio
async def test_a_close_that_asyncio_cancels_still_closes_the_client() -> None:
    async with cluster_of(1) as cluster:
        registry = await open_registry(*cluster.endpoints)
        await registry.get("k")
        closing = asyncio.create_task(registry.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        with pytest.raises(Closed):
            await registry.get("k")
        async with asyncio.timeout(5):
            await registry.aclose()


@pytest.mark.parametrize("used", [True, False], ids=["used", "never used"])
def test_closing_a_loop_closes_its_clients(used: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> Registry:
        async with cluster_of(1) as cluster:
            registry = await open_registry(*cluster.endpoints)
            if used:
                await registry.get("k")
            return registry

    registry = asyncio.run(main())
    # the loop cancelled and closed the client; closing it again, in any loop, does nothing
    asyncio.run(registry.aclose())
    with pytest.raises(Closed):
        asyncio.run(registry.get("k"))
    assert caplog.records == []


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_client_can_be_closed_after_its_loop_is_gone() -> None:
    loop = asyncio.new_event_loop()
    registry = loop.run_until_complete(open_registry(NOBODY))
    tasks = asyncio.all_tasks(loop)
    loop.close()
    asyncio.run(registry.aclose())
    with pytest.raises(Closed):
        registry.cached("k")
    for task in tasks:
        # no loop will ever run it: close it without a warning
        task.get_coro().close()


def test_cancelling_a_nursery_closes_its_clients() -> None:
    async def main() -> None:
        async with trio.open_nursery() as home:
            registry = await open_registry(NOBODY, nursery=home)
            home.cancel_scope.cancel()
        with pytest.raises(Closed):
            await registry.get("k")
        await registry.aclose()

    trio.run(main)


@pytest.mark.anyio
async def test_a_failure_of_a_clients_task_closes_it_and_is_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ExceptionGroup) as caught:
        async with nursery() as home:
            registry = await open_registry(NOBODY, nursery=home)
            registry._sender.pool.tasks.spawn(fail)
            with pytest.raises(Closed):
                await registry.wait("k", timeout=None)
            await registry.aclose()
    assert caught.value.split(ZeroDivisionError)[1] is None
    await registry.aclose()


# -- wrong uses raise errors


@pytest.mark.parametrize("name", ["get", "claim", "lock", "watch", "aclose"])
def test_a_client_that_is_not_opened_says_so(name: str) -> None:
    client: Any = connect(NOBODY)
    with pytest.raises(Closed, match=r"async with connect.*open_registry"):
        getattr(client, name)
    assert not hasattr(client, name)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = client.nonsense


def test_trio_needs_a_nursery_and_says_so() -> None:
    async def main() -> None:
        with pytest.raises(BadRequest, match="nursery"):
            await open_registry(NOBODY)

    trio.run(main)


@pytest.mark.parametrize("other", ["asyncio", "trio"])
def test_a_client_of_another_event_loop_says_so(other: str) -> None:
    async def elsewhere(registry: Registry) -> None:
        watching = registry.watch()
        for call in (
            registry.get("k"),
            anext(watching),
            registry.lock_state("k"),
            registry.aclose(),
        ):
            with pytest.raises(Closed, match="another event loop"):
                await call

    with asyncio.Runner() as one:
        registry = one.run(open_registry(NOBODY))
        anyio.run(elsewhere, registry, backend=other)
        one.run(registry.aclose())


# -- clients that nobody closes


def lost_in(use: Callable[[Registry], Awaitable[object]]) -> list[str]:
    """The warnings when the only reference to the registry is dropped after `use`."""

    async def main() -> None:
        async with cluster_of(1) as cluster:
            registry = await open_registry(*cluster.endpoints)
            await use(registry)
            del registry
            gc.collect()
            while [task for task in asyncio.all_tasks() if task.get_name() == "decreed-client"]:
                await asyncio.sleep(0.001)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(asyncio.wait_for(main(), 20))
    return [str(warning.message) for warning in caught if warning.category is ResourceWarning]


def test_an_unreferenced_client_is_closed_with_a_warning() -> None:
    async def nothing(registry: Registry) -> None:
        pass

    for use in (nothing, lambda registry: registry.get("k")):
        [said] = lost_in(use)
        assert "was not closed" in said and "aclose" in said


def test_on_trio_an_unreferenced_client_leaves_its_nursery() -> None:
    async def main() -> None:
        with pytest.warns(ResourceWarning, match="was not closed"):
            async with trio.open_nursery() as home:
                registry = await open_registry(NOBODY, nursery=home)
                await trio.testing.wait_all_tasks_blocked()
                del registry
                gc.collect()
        # the nursery has ended without a cancellation

    trio.run(main)


def test_a_closed_client_causes_no_warning() -> None:
    assert lost_in(lambda registry: registry.aclose()) == []


@on_asyncio
async def test_a_watch_keeps_its_client() -> None:
    async with cluster_of(1) as cluster:
        registry = await open_registry(*cluster.endpoints)
        watching = registry.watch()
        del registry
        gc.collect()
        await watching.begin()
        cluster.decide(decree_of("k"))
        assert (await anext(watching)).decree.key == "k"
        await watching._sender.lifetime.end()


def test_a_client_that_ends_at_once_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def main() -> None:
        await open_registry(NOBODY)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(main())
    assert caplog.records == []
