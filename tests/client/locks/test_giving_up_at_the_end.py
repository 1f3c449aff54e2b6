"""A client that is closed while acquires wait: it gives their claims up, and it ends."""

from typing import Any

import anyio
import pytest

from decreed.client import Registry, connect, open_registry
from decreed.registry.errors import BadRequest, Closed
from decreed.registry.wire.requests import (
    EndRequest,
    Failed,
    GivenUp,
    GiveUpRequest,
    Granted,
    KeepAliveRequest,
    LockRequest,
    Superseded,
)

from ..fakes import cluster_of
from .test_acquiring import LOCK, scripted, term
from .test_giving_up import Answers, checked, enter, node_that, patience, silence

__all__ = ["patience"]


async def want(registry: Registry) -> None:
    with pytest.raises(Closed):
        await enter(registry.lock(LOCK))


@pytest.mark.anyio
async def test_closing_a_client_gives_up_its_waiting_acquires() -> None:
    async with cluster_of(1) as cluster, anyio.create_task_group() as tasks:
        [node] = scripted(cluster, node_that({LockRequest: silence}))
        async with connect(*cluster.endpoints) as registry:
            tasks.start_soon(want, registry)
            await node.until(lambda node: node.asked(LockRequest))
        checked(node)


@pytest.mark.anyio
async def test_closing_a_client_gives_up_at_a_node_that_it_met_by_asking_for_the_lock() -> None:
    async with cluster_of(2) as cluster, anyio.create_task_group() as tasks:
        home, other = scripted(cluster, *[node_that({LockRequest: silence})] * 2)
        async with connect(other.address) as registry:
            tasks.start_soon(want, registry)
            await home.until(lambda node: node.asked(LockRequest))
        checked(home)


@pytest.mark.anyio
async def test_closing_a_client_gives_up_a_term_that_is_not_confirmed_yet() -> None:
    unsure: Answers = {
        LockRequest: lambda r: Granted(r.id, term(r.claim), False),
        KeepAliveRequest: silence,
    }
    async with cluster_of(1) as cluster, anyio.create_task_group() as tasks:
        [node] = scripted(cluster, node_that(unsure))
        async with connect(*cluster.endpoints) as registry:
            tasks.start_soon(want, registry)
            await node.until(lambda node: node.asked(KeepAliveRequest))
        checked(node)


@pytest.mark.anyio
async def test_a_grant_that_comes_while_the_client_is_closed_is_not_kept() -> None:
    """A hold that was given up is never confirmed, so nothing may wait for a confirmation."""
    given_up = anyio.Event()

    async def grant(request: Any) -> Any:
        await given_up.wait()
        return Granted(request.id, term(request.claim), False)

    async def late(request: Any) -> Any:
        given_up.set()
        await anyio.sleep(0.5)
        return GivenUp(request.id)

    answers: Answers = {
        LockRequest: grant,
        GiveUpRequest: late,
        KeepAliveRequest: lambda r: Superseded(r.id),
    }
    async with cluster_of(1) as cluster, anyio.create_task_group() as tasks:
        [node] = scripted(cluster, node_that(answers))
        async with connect(*cluster.endpoints) as registry:
            tasks.start_soon(want, registry)
            await node.until(lambda node: node.asked(LockRequest))
        assert not node.asked(KeepAliveRequest)


@pytest.mark.anyio
async def test_waiting_acquires_of_a_closed_client_end_as_closed_whatever_a_node_answers() -> None:
    given_up = anyio.Event()

    async def refuse(request: Any) -> Any:
        await given_up.wait()
        return Failed(request.id, BadRequest.code, "the claim was given up by its claimer")

    async def take(request: Any) -> Any:
        given_up.set()
        await anyio.sleep(0.5)
        return GivenUp(request.id)

    async with cluster_of(1) as cluster, anyio.create_task_group() as tasks:
        [node] = scripted(cluster, node_that({LockRequest: refuse, GiveUpRequest: take}))
        async with connect(*cluster.endpoints) as registry:
            tasks.start_soon(want, registry)
            await node.until(lambda node: node.asked(LockRequest))


@pytest.mark.anyio
async def test_a_block_that_takes_its_time_to_end_still_releases_when_all_is_cancelled() -> None:
    """A cancellation of the client's block must not end the client's own task."""
    async with cluster_of(1) as cluster:
        [node] = scripted(cluster, node_that({}))
        with anyio.CancelScope() as scope:
            async with connect(*cluster.endpoints) as registry, registry.lock(LOCK):
                scope.cancel()
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.1)
                await anyio.sleep(60)
        assert len(node.asked(EndRequest)) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
@pytest.mark.parametrize("attempt", range(8))
async def test_a_lock_in_the_nursery_that_the_client_lives_in_is_released_when_that_is_cancelled(
    attempt: int,
) -> None:
    """Trio runs tasks that are cancelled together in random order."""

    async def work(registry: Registry) -> None:
        async with registry.lock(LOCK):
            held.set()
            await anyio.sleep(60)

    held = anyio.Event()
    async with cluster_of(1) as cluster:
        [node] = scripted(cluster, node_that({}))
        async with anyio.create_task_group() as tasks:
            registry = await open_registry(*cluster.endpoints, nursery=tasks)
            tasks.start_soon(work, registry)
            await held.wait()
            tasks.cancel_scope.cancel()
        assert len(node.asked(EndRequest)) == 1
