"""Locks of asynchronous callers, on real servers: acquiring, keeping, losing and releasing them."""

import os
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from decreed.client import Registry, connect
from decreed.registry.errors import (
    BadRequest,
    Closed,
    LockHeld,
    LockLost,
    OutcomeUnknown,
    Reentrant,
    Unreachable,
)

from ...support.background import Servers, servers

TTL = 1.5
LONG = 120.0
"""A ttl that no test waits for: a lock granted sooner was granted since the previous term ended."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Servers]:
    with servers() as running:
        yield running


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A lock of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name).strip("-")


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(120):
        while not condition():
            await anyio.sleep(0.01)


# -- acquiring


@pytest.mark.anyio
async def test_a_block_runs_with_a_token_that_grows(cluster: Servers, name: str) -> None:
    async with connect(*cluster.endpoints) as registry:
        tokens: list[int] = []
        for _ in range(3):
            async with registry.lock(name, ttl=TTL) as lock:
                lock.ensure_held()
                assert 0 < lock.remaining < TTL
                assert lock.token == lock.term == lock.holder.term
                tokens.append(lock.token)
                assert re.fullmatch(
                    rf"<Lock '{name}', term {lock.token}: held for [01]\.\d s more>", repr(lock)
                )
            assert lock.remaining == 0
            assert repr(lock) == f"<Lock '{name}', term {lock.token}: not held any more>"
            with pytest.raises(LockLost, match="not held"):
                lock.ensure_held()
        assert tokens == [1, 2, 3]


@pytest.mark.anyio
async def test_lock_held_names_the_holder(cluster: Servers, name: str) -> None:
    async with connect(*cluster.endpoints) as registry, connect(*cluster.endpoints) as other:
        async with registry.lock(name, ttl=30, note="release 12"):
            with pytest.raises(LockHeld) as caught:
                async with other.lock(name, wait=0):
                    pytest.fail("both have it")
        held = caught.value
        assert (held.host, held.pid, held.note) == (socket.gethostname(), os.getpid(), "release 12")
        assert f"@{socket.gethostname()} pid {os.getpid()}" in held.holder
        assert held.since_ms > 0 and 20 < held.remaining <= 30
        for part in (held.holder, "since 20", "release 12", "at the earliest"):
            assert part in str(held)


@pytest.mark.anyio
async def test_a_wait_that_is_too_short_ends_as_lock_held_with_the_holder(
    cluster: Servers, name: str
) -> None:
    async with (
        connect(*cluster.endpoints) as registry,
        connect(*cluster.endpoints) as other,
        registry.lock(name, ttl=30),
    ):
        with pytest.raises(LockHeld):
            async with other.lock(name, wait=3):
                pytest.fail("both have it")


@pytest.mark.anyio
async def test_a_waiter_gets_the_lock_immediately_when_it_is_released(
    cluster: Servers, name: str
) -> None:
    order: list[str] = []

    async def second() -> None:
        async with connect(*cluster.endpoints) as other, other.lock(name, ttl=30) as lock:
            order.append(f"second, term {lock.term}")

    async with connect(*cluster.endpoints) as registry, anyio.create_task_group() as tasks:
        with anyio.fail_after(120):
            async with registry.lock(name, ttl=30):
                tasks.start_soon(second)
                await until_waiting(registry, name, 1)
                order.append("first")
            await until(lambda: len(order) == 2)
    assert order == ["first", "second, term 2"]


async def until_waiting(registry: Registry, name: str, count: int) -> None:
    with anyio.fail_after(120):
        while True:
            lock_state = await registry.lock_state(name)
            if lock_state is not None and lock_state.waiters >= count:
                return


@pytest.mark.anyio
async def test_a_lock_is_kept_for_longer_than_its_ttl(cluster: Servers, name: str) -> None:
    async with connect(*cluster.endpoints) as registry, registry.lock(name, ttl=3) as lock:
        await anyio.sleep(6.5)
        lock.ensure_held()


@pytest.mark.anyio
async def test_a_task_that_has_the_lock_is_refused_and_others_wait(
    cluster: Servers, name: str
) -> None:
    async def wait_for_it() -> None:
        async with registry.lock(name):
            entered.append(True)

    entered: list[bool] = []
    async with connect(*cluster.endpoints) as registry, anyio.create_task_group() as tasks:
        async with registry.lock(name):
            with pytest.raises(Reentrant, match="wait for itself"):
                async with registry.lock(name):
                    pytest.fail("entered twice")
            tasks.start_soon(wait_for_it)
            await until_waiting(registry, name, 1)
            async with registry.lock(f"{name}-another"):
                pass
        async with registry.lock(name):
            pass
        await until(lambda: entered)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options",
    [{"ttl": 0}, {"ttl": 4000}, {"ttl": float("nan")}, {"wait": -1}, {"note": "x" * 2000}],
)
async def test_bad_arguments_are_refused_at_once(options: dict[str, Any]) -> None:
    async with connect("127.0.0.1:1") as registry:
        with pytest.raises(BadRequest):
            registry.lock("x", **options)
        for bad in ("", "a//b", "x@1", "$locks/x"):
            with pytest.raises(BadRequest):
                registry.lock(bad)


@pytest.mark.anyio
async def test_without_servers_it_is_unreachable() -> None:
    async with connect("127.0.0.1:1") as registry:
        with pytest.raises(Unreachable):
            async with registry.lock("x", wait=0.3):
                pytest.fail("entered")


# -- errors of the block


@pytest.mark.anyio
async def test_errors_of_the_block_are_raised_unchanged_and_the_lock_is_released(
    cluster: Servers, name: str
) -> None:
    async with connect(*cluster.endpoints) as registry:
        with pytest.raises(KeyError, match="mine"):
            async with registry.lock(name, ttl=30):
                raise KeyError("mine")
        with anyio.fail_after(15):  # half of the ttl
            async with registry.lock(name) as lock:
                assert lock.term == 2


@pytest.mark.anyio
async def test_a_cancelled_block_releases_the_lock(cluster: Servers, name: str) -> None:
    async with connect(*cluster.endpoints) as registry:
        with anyio.CancelScope() as scope:
            async with registry.lock(name, ttl=300):
                scope.cancel()
                await anyio.sleep(300)
        assert scope.cancelled_caught
        with anyio.fail_after(120):
            async with registry.lock(name) as lock:
                assert lock.term == 2


@pytest.mark.anyio
async def test_a_cancelled_waiter_is_skipped(cluster: Servers, name: str) -> None:
    async def wait_for_it() -> None:
        async with other.lock(name, ttl=LONG, wait=None):
            pytest.fail("both have it")

    async with connect(*cluster.endpoints) as registry, connect(*cluster.endpoints) as other:
        async with registry.lock(name, ttl=LONG):
            for _ in range(3):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(wait_for_it)
                    await until_waiting(registry, name, 1)
                    tasks.cancel_scope.cancel()
            await until_nobody_waits(registry, name)
        with anyio.fail_after(LONG / 2):
            async with other.lock(name) as lock:
                assert lock.term == 2


async def until_nobody_waits(registry: Registry, name: str) -> None:
    with anyio.fail_after(120):
        while (lock_state := await registry.lock_state(name)) is None or lock_state.waiters:
            await anyio.sleep(0.01)


# -- losing


@pytest.mark.anyio
async def test_a_broken_lock_cancels_the_block_and_raises_outside(
    cluster: Servers, name: str
) -> None:
    async with connect(*cluster.endpoints) as registry:
        cancelled = False
        with pytest.raises(LockLost, match="broken"):
            async with registry.lock(name, ttl=TTL) as lock:
                await registry.break_lock(lock.holder, "it hangs")
                try:
                    await anyio.sleep(20)
                except anyio.get_cancelled_exc_class():
                    cancelled = True
                    with pytest.raises(LockLost):
                        lock.ensure_held()
                    with anyio.CancelScope(shield=True):
                        assert "broken" in await lock.lost
                    raise
        assert cancelled
        history = await registry.lock_history(name)
        assert [past.ending for past in history] == [None]


@pytest.mark.anyio
async def test_the_blocks_own_error_is_not_masked_by_the_loss(cluster: Servers, name: str) -> None:
    async with connect(*cluster.endpoints) as registry:
        with pytest.raises(KeyError, match="mine") as caught:
            async with registry.lock(name, ttl=TTL) as lock:
                await registry.break_lock(lock.holder, "it hangs")
                with anyio.CancelScope(shield=True):
                    await lock.lost
                raise KeyError("mine")
        assert "was lost" in caught.value.__notes__[0]


@pytest.mark.anyio
async def test_without_a_quorum_the_block_ends_before_another_could_begin(name: str) -> None:
    with servers() as own:
        async with connect(*own.endpoints) as registry:
            with pytest.raises(LockLost, match="in time"):
                async with registry.lock(name, ttl=5) as lock:
                    own.kill(*own.nodes[:2])
                    began = anyio.current_time()
                    await anyio.sleep(200)
            assert anyio.current_time() - began < 10
            assert lock.remaining == 0


@pytest.mark.anyio
async def test_a_holder_outlives_the_home_of_its_lock(name: str) -> None:
    with servers() as own:
        async with connect(*own.endpoints) as registry, connect(*own.endpoints) as other:
            async with registry.lock(name, ttl=4) as lock:
                own.kill(own.home(name))
                await anyio.sleep(6)
                lock.ensure_held()
            with anyio.fail_after(120):
                async with other.lock(name, ttl=4) as lock:
                    assert lock.term == 2


@pytest.mark.anyio
async def test_a_waiter_outlives_the_home_of_its_lock(name: str) -> None:
    terms: list[int] = []

    async def second() -> None:
        async with connect(*own.endpoints) as other, other.lock(name, ttl=6) as lock:
            terms.append(lock.term)

    with servers() as own:
        async with connect(*own.endpoints) as registry, anyio.create_task_group() as tasks:
            async with registry.lock(name, ttl=6):
                tasks.start_soon(second)
                await until_waiting(registry, name, 1)
                own.kill(own.home(name))
                await anyio.sleep(1)
            await until(lambda: terms)
    assert terms == [2]


@pytest.mark.anyio
async def test_closing_the_registry_loses_its_locks(cluster: Servers, name: str) -> None:
    held = anyio.Event()
    ends: list[str] = []

    async def hold(registry: Registry) -> None:
        with pytest.raises(LockLost) as caught:
            async with registry.lock(name, ttl=TTL):
                held.set()
                await anyio.sleep(20)
        ends.append(str(caught.value))

    async with anyio.create_task_group() as tasks, connect(*cluster.endpoints) as registry:
        tasks.start_soon(hold, registry)
        await held.wait()
    assert "keep-alives have stopped" in ends[0]
    with pytest.raises(Closed):
        registry.lock(name)


@pytest.mark.anyio
@pytest.mark.parametrize(("left", "error"), [(2, LockHeld), (1, OutcomeUnknown)])
async def test_a_lock_that_may_have_been_granted_is_given_up_or_ends_as_unknown(
    name: str, left: int, error: type[Exception]
) -> None:
    async def wait_for_it() -> None:
        async with connect(*own.endpoints) as other:
            with pytest.raises(error, match="ends by itself" if left == 1 else "is held by"):
                async with other.lock(name, ttl=1, wait=8):
                    pytest.fail("both have it")

    with servers() as own:
        async with (
            connect(*own.endpoints) as registry,
            registry.lock(name, ttl=30),
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(wait_for_it)
            await until_waiting(registry, name, 1)
            home = own.home(name)
            own.kill(home, *[node for node in own.nodes if node != home][: 2 - left])


# -- holders, now and before


@pytest.mark.anyio
async def test_standing_names_and_history(cluster: Servers, name: str) -> None:
    async with connect(*cluster.endpoints) as registry:
        assert await registry.lock_state(name) is None
        async with registry.lock(name, note="one"):
            lock_state = await registry.lock_state(name)
            assert lock_state is not None and lock_state.held
            assert (lock_state.holder.note, lock_state.waiters) == ("one", 0)
        lock_state = await registry.lock_state(name)
        assert lock_state is not None and not lock_state.held
        async with registry.lock(name, note="two"), registry.lock(f"{name}/deeper"):
            pass
        history = await registry.lock_history(name)
        assert [past.holder.note for past in history] == ["one", "two"]
        assert history[0].ending is not None and history[0].ending.how.name == "RELEASED"
        assert {name, f"{name}/deeper"} <= set(await registry.lock_names())
