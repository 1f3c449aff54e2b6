"""Acquires that are given up, on real servers: the next waiter does not wait for a lease.

Leases last for minutes here, so that no lease runs out during a test, even on a slow machine.
"""

from collections.abc import Iterator
from contextlib import nullcontext, suppress

import anyio
import pytest

from decreed.client import connect
from decreed.registry.errors import LockHeld, OutcomeUnknown, Unreachable

from ...support.background import Servers, servers

LONG = 120.0
SHORT = 0.1


@pytest.fixture(scope="module")
def cluster() -> Iterator[Servers]:
    with servers() as running:
        yield running


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A lock of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name).strip("-")


@pytest.mark.anyio
@pytest.mark.parametrize("milliseconds", range(0, 24, 3))
async def test_an_acquire_that_is_cancelled_at_any_await_leaves_the_lock_to_others(
    cluster: Servers, name: str, milliseconds: int
) -> None:
    async with connect(*cluster.endpoints) as registry, connect(*cluster.endpoints) as other:
        await registry.lock_state(name)
        with anyio.move_on_after(milliseconds / 1000):
            async with registry.lock(name, ttl=LONG):
                pass
        with anyio.fail_after(LONG / 2):
            async with other.lock(name):
                pass


@pytest.mark.anyio
@pytest.mark.parametrize("milliseconds", range(-24, 8, 4))
@pytest.mark.parametrize("deadline", ["wait", "cancel"])
async def test_an_acquire_that_ends_in_a_hand_over_leaves_the_lock_to_others(
    cluster: Servers, name: str, milliseconds: int, deadline: str
) -> None:
    """The holder releases at about the deadline of the waiter."""

    async def hold() -> None:
        async with holder.lock(name, ttl=LONG):
            held.set()
            await asked.wait()
            await anyio.sleep(SHORT + milliseconds / 1000)

    async def want() -> None:
        await held.wait()
        asked.set()
        given_up = nullcontext() if deadline == "wait" else anyio.move_on_after(SHORT)
        with given_up, suppress(LockHeld, Unreachable, OutcomeUnknown):
            async with waiter.lock(name, ttl=LONG, wait=SHORT if deadline == "wait" else None):
                pass

    held, asked = anyio.Event(), anyio.Event()
    async with (
        connect(*cluster.endpoints) as holder,
        connect(*cluster.endpoints) as waiter,
        connect(*cluster.endpoints) as other,
    ):
        with anyio.fail_after(LONG / 2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hold)
                tasks.start_soon(want)
            async with other.lock(name):
                pass
