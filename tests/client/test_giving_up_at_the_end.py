"""A client that is closed while locks are asked for: what it says, and that it comes to an end."""

from typing import Any

import anyio
import pytest

from decreed.client import Registry, connect
from decreed.registry.errors import Closed
from decreed.registry.wire.requests import (
    GivenUp,
    GiveUpRequest,
    Granted,
    KeepAliveRequest,
    LockRequest,
    Superseded,
)

from .fakes import cluster_of
from .test_acquiring import LOCK, scripted, term
from .test_giving_up import Answers, checked, enter, node_that, patience, silence

__all__ = ["patience"]


async def want(registry: Registry) -> None:
    with pytest.raises(Closed):
        await enter(registry.lock(LOCK))


@pytest.mark.anyio
async def test_a_client_that_is_closed_gives_up_for_those_who_still_ask() -> None:
    async with cluster_of(1) as cluster, anyio.create_task_group() as tasks:
        [node] = scripted(cluster, node_that({LockRequest: silence}))
        async with connect(*cluster.endpoints) as registry:
            tasks.start_soon(want, registry)
            await node.until(lambda node: node.asked(LockRequest))
        checked(node)


@pytest.mark.anyio
async def test_a_client_that_is_closed_gives_up_at_a_node_that_it_met_by_asking_for_the_lock() -> (
    None
):
    async with cluster_of(2) as cluster, anyio.create_task_group() as tasks:
        home, other = scripted(cluster, *[node_that({LockRequest: silence})] * 2)
        async with connect(other.address) as registry:
            tasks.start_soon(want, registry)
            await home.until(lambda node: node.asked(LockRequest))
        checked(home)


@pytest.mark.anyio
async def test_a_client_that_is_closed_gives_up_a_term_that_is_not_confirmed_yet() -> None:
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
    """A hold that is given up is confirmed by nothing, so nothing must wait for that."""
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
