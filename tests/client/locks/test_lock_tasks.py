"""Locks that one task acquires and another releases: fixtures, hooks, any order, no block."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from math import inf
from typing import Any

import anyio
import pytest

from decreed.client import Lock, Registry, connect, open_registry, sync
from decreed.registry.errors import BadRequest, LockHeld, LockLost, Reentrant

from ...support.background import Servers, servers

TTL = 1.5


@pytest.fixture(scope="module")
def cluster() -> Iterator[Servers]:
    with servers() as running:
        yield running


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A lock of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name).strip("-")


@pytest.fixture
async def registry(anyio_backend: str, cluster: Servers) -> AsyncIterator[Registry]:
    async with connect(*cluster.endpoints) as registry:
        yield registry


async def in_a_task(work: Callable[[], Any]) -> Any:
    """Await `work` in a task of its own."""
    results: list[Any] = []

    async def run() -> None:
        results.append(await work())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
    return results[0]


async def renewed(lock: Lock) -> None:
    """Return once the lock was renewed: its remaining validity has grown."""
    left = lock.remaining
    with anyio.fail_after(120):
        while lock.remaining <= left:
            left = lock.remaining
            await anyio.sleep(0.01)
    lock.ensure_held()


def stops_nothing(locked: Any) -> bool:
    """Whether the scope of a block has no deadline any more."""
    return bool(locked._stop._scope.deadline == inf and not locked._stop.was_called)


async def is_free(registry: Registry, name: str) -> bool:
    lock_state = await registry.lock_state(name)
    return lock_state is None or not lock_state.held


# -- without a block


@pytest.mark.anyio
async def test_one_task_acquires_and_another_releases(registry: Registry, name: str) -> None:
    lock: Lock = await in_a_task(registry.lock(name, ttl=TTL).acquire)
    await renewed(lock)
    assert (lock.token, 0 < lock.remaining < TTL) == (1, True)
    await in_a_task(lock.release)
    await in_a_task(lock.release)
    with pytest.raises(LockLost, match="not held"):
        lock.ensure_held()
    assert await is_free(registry, name)


@pytest.mark.anyio
async def test_several_are_released_in_any_order(registry: Registry, name: str) -> None:
    first = await registry.lock(f"{name}/1").acquire()
    locked = registry.lock(f"{name}/2")
    second = await locked.acquire()
    await first.release()
    second.ensure_held()
    await locked.release()
    # no scope is left that could cancel this task
    await anyio.sleep(0.01)
    assert await is_free(registry, f"{name}/1") and await is_free(registry, f"{name}/2")


@pytest.mark.anyio
async def test_the_loss_of_a_lock_without_a_block_is_reported_and_cancels_nothing(
    registry: Registry, name: str
) -> None:
    lock = await registry.lock(name, ttl=TTL).acquire()
    await registry.break_lock(lock.holder, "it hangs")
    with anyio.fail_after(120):
        assert "broken" in await lock.lost
    with pytest.raises(LockLost):
        lock.ensure_held()
    with pytest.raises(LockLost, match="broken"):
        await lock.release()
    await lock.release()


@pytest.mark.anyio
async def test_the_same_task_may_wait_for_a_lock_that_another_task_releases(
    registry: Registry, name: str
) -> None:
    async def release_soon() -> None:
        while True:
            lock_state = await registry.lock_state(name)
            if lock_state is not None and lock_state.waiters:
                return await lock.release()

    lock = await registry.lock(name).acquire()
    with pytest.raises(LockHeld):
        await registry.lock(name, wait=0).acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(release_soon)
        again = await registry.lock(name).acquire()
    assert again.token == 2
    await again.release()


@pytest.mark.anyio
async def test_a_task_that_is_inside_a_block_is_refused(registry: Registry, name: str) -> None:
    async with registry.lock(name):
        with pytest.raises(Reentrant):
            await registry.lock(name).acquire()


@pytest.mark.anyio
async def test_a_block_may_end_its_lock_early(registry: Registry, name: str) -> None:
    locked = registry.lock(name)
    async with locked as lock:
        await lock.release()
        # nothing stops the block when validity would have ended
        assert stops_nothing(locked)
        assert await is_free(registry, name)


@pytest.mark.anyio
async def test_a_lock_of_a_closed_client_is_lost_and_raises_lock_lost(
    cluster: Servers, name: str
) -> None:
    async with connect(*cluster.endpoints) as registry:
        lock = await registry.lock(name, ttl=TTL).acquire()
    with pytest.raises(LockLost, match="keep-alives have stopped"):
        lock.ensure_held()
    with pytest.raises(LockLost):
        await lock.release()


@pytest.mark.anyio
async def test_a_lock_is_acquired_or_entered_once_and_says_how(
    registry: Registry, name: str
) -> None:
    locked: Any = registry.lock(name)
    for attribute in ("token", "ensure_held", "lost", "remaining"):
        with pytest.raises(LockLost, match=r"async with registry\.lock.*acquire"):
            getattr(locked, attribute)
    with pytest.raises(LockLost, match="not held"):
        await locked.release()
    lock = await locked.acquire()
    for again in (locked.acquire, locked.__aenter__):
        with pytest.raises(BadRequest, match="another lock"):
            await again()
    await lock.release()


# -- blocks on asyncio that are left in unusual ways


def test_a_fixture_may_enter_in_one_task_and_leave_in_another(cluster: Servers) -> None:
    """As in pytest-asyncio: setup, test and teardown are tasks of their own."""

    async def fixture() -> AsyncIterator[Lock]:
        async with (
            connect(*cluster.endpoints) as registry,
            registry.lock("fixture", ttl=TTL) as lock,
        ):
            yield lock

    async def step() -> Lock:
        return await anext(generator)

    with asyncio.Runner() as runner:
        generator = fixture()
        lock = runner.run(step())
        runner.run(renewed(lock))
        with pytest.raises(StopAsyncIteration):
            runner.run(step())
        assert lock.remaining == 0


def test_the_loss_of_a_fixtures_lock_is_raised_after_it_and_cancels_nothing(
    cluster: Servers,
) -> None:
    async def lose() -> None:
        async with connect(*cluster.endpoints) as other:
            await other.break_lock(lock.holder, "it hangs")
        async with asyncio.timeout(20):
            await lock.lost

    with asyncio.Runner() as runner:
        registry = runner.run(open_registry(*cluster.endpoints))
        locked = registry.lock("lost-fixture", ttl=TTL)
        lock = runner.run(locked.__aenter__())
        runner.run(lose())
        # some versions of anyio try forever to cancel a task that has ended
        assert stops_nothing(locked)
        with pytest.raises(LockLost, match="broken"):
            runner.run(locked.__aexit__(None, None, None))
        runner.run(registry.aclose())


def test_blocks_that_are_left_oldest_first_are_released_and_told_what_to_use(
    cluster: Servers,
) -> None:
    async def main() -> None:
        async with connect(*cluster.endpoints) as registry:
            first, second = AsyncExitStack(), AsyncExitStack()
            locked = registry.lock("one")
            one = await first.enter_async_context(locked)
            two = await second.enter_async_context(registry.lock("two"))
            with pytest.raises(BadRequest, match=r"released.*acquire\(\)"):
                await first.aclose()
            assert one.remaining == 0 and await is_free(registry, "one")
            two.ensure_held()
            await second.aclose()
            # the scope of the first block still exists, and cancels nothing
            assert stops_nothing(locked)
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_block_that_is_left_by_another_task_meanwhile_says_what_to_use(cluster: Servers) -> None:
    async def main() -> None:
        async with connect(*cluster.endpoints) as registry:
            locked = registry.lock("meanwhile")
            await locked.__aenter__()
            leaving = asyncio.create_task(locked.__aexit__(None, None, None))
            with pytest.raises(BadRequest, match="another task"):
                await leaving
            assert await is_free(registry, "meanwhile")
            assert stops_nothing(locked)

    asyncio.run(main())


# -- threads


def test_one_thread_acquires_and_another_releases(cluster: Servers) -> None:
    with sync.connect(*cluster.endpoints) as registry:
        told: list[str] = []
        locked = registry.lock("threads", ttl=TTL, on_lost=told.append)
        lock = locked.acquire()
        lock.ensure_held()
        with pytest.raises(LockHeld):
            registry.lock("threads", wait=0).acquire()
        asyncio.run(asyncio.to_thread(lock.release))
        lock.release()
        locked.release()
        with pytest.raises(LockLost, match="not held"):
            lock.ensure_held()
        with registry.lock("threads") as again:
            assert again.token == 2
            with pytest.raises(Reentrant):
                registry.lock("threads").acquire()
        assert told == []


def test_the_loss_of_a_threads_lock_is_raised_at_the_release(cluster: Servers) -> None:
    with sync.connect(*cluster.endpoints) as registry:
        told: list[str] = []
        lock = registry.lock("lost", ttl=TTL, on_lost=told.append).acquire()
        registry.break_lock(lock.holder, "it hangs")
        assert lock.lost.wait(20)
        with pytest.raises(LockLost, match="broken"):
            lock.release()
        lock.release()
        with pytest.raises(LockLost, match=r"with registry\.lock.*acquire"):
            _ = registry.lock("lost").token  # type: ignore[attr-defined]
