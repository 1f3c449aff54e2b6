"""A client goes on to a later formation of its cluster, and never back to an earlier one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from decreed.client import Registry, connect
from decreed.client.requests.formations import Formations
from decreed.client.transport.endpoints import Endpoint
from decreed.registry.errors import DecreedError, Refused
from decreed.registry.keys import homes
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.handshake import ClientWelcome
from decreed.registry.wire.requests import GetRequest, WaitRequest

from ..fakes import LIMIT_S, FakeCluster, FakeNode, Silence, cluster_of, decree_of

pytestmark = pytest.mark.anyio
NEW = b"g" * 16
HOMES = (NodeId("n1"), NodeId("n2"))
AT = Endpoint("127.0.0.1", 1)


def welcome(formation: bytes | None, restored_ms: int = 0) -> ClientWelcome:
    return ClientWelcome(1, "c", formation, NodeId("n1"), (), 1, 1, 1, 0, (), restored_ms)


OLD, LATER, LATEST = welcome(b"o" * 16), welcome(b"l" * 16, 5), welcome(b"t" * 16, 9)


def test_a_later_formation_is_taken_and_an_earlier_one_refused_in_any_order() -> None:
    for first, second in ((OLD, LATER), (LATER, LATEST), (OLD, LATEST)):
        formations = Formations()
        formations.take(AT, first)
        formations.take(AT, second)
        assert formations.has_left(first) and not formations.has_left(second)
        for refused in (Formations(), formations):
            refused.take(AT, second)
            with pytest.raises(Refused, match="is of an earlier formation of the cluster, "):
                refused.take(AT, first)
            refused.take(AT, second)


def test_of_two_that_were_formed_apart_the_one_that_was_left_is_never_taken_again() -> None:
    formations, apart = Formations(), welcome(b"a" * 16)
    formations.take(AT, OLD)
    formations.take(AT, apart)
    with pytest.raises(Refused, match="stop the nodes of the earlier one"):
        formations.take(AT, OLD)


def test_a_node_that_has_not_formed_says_nothing_of_formations() -> None:
    formations = Formations()
    for each in (welcome(None), OLD, welcome(None), OLD):
        formations.take(AT, each)


@asynccontextmanager
async def two_formations() -> AsyncIterator[tuple[FakeCluster, FakeCluster]]:
    """The nodes of the old formation answer beside those of the restored one, with the same names."""
    async with cluster_of(1) as old, cluster_of(1) as new:
        new.formation, new.restored_ms = NEW, 5
        for number in range(5):
            old.decide(decree_of(f"k{number}", b"old"))
            new.decide(decree_of(f"k{number}", b"new"))
        yield old, new


async def values(registry: Registry) -> list[bytes]:
    found = [await registry.get(f"k{number}", timeout=LIMIT_S) for number in range(5)]
    return [decree.value for decree in found if decree is not None]


@pytest.mark.parametrize("is_old_first", [True, False])
async def test_a_client_that_reaches_both_works_with_the_later_one(is_old_first: bool) -> None:
    async with two_formations() as (old, new):
        endpoints = [*old.endpoints, *new.endpoints]
        async with connect(*(endpoints if is_old_first else endpoints[::-1])) as registry:
            await registry.status()
            assert await values(registry) == [b"new"] * 5


async def test_a_client_of_the_later_formation_refuses_an_earlier_one_with_the_reason() -> None:
    async with two_formations() as (old, new), connect(*new.endpoints, *old.endpoints) as registry:
        assert await values(registry) == [b"new"] * 5
        [node] = new.nodes
        await node.stop()
        with anyio.fail_after(LIMIT_S), pytest.raises(DecreedError) as caught:
            while True:
                await registry.get("other", timeout=0.5)
        assert "is of an earlier formation of the cluster" in str(caught.value)


def key_of(home: FakeNode) -> str:
    """A key whose home is this node, of n1 and n2."""
    return next(key for key in map(str, range(99)) if homes(Key(key), HOMES)[0] == home.name)


@asynccontextmanager
async def leaving() -> AsyncIterator[tuple[Registry, FakeNode, FakeCluster]]:
    """A client of n1, which names a place as n2's where the n2 of a restored formation is by now."""
    async with cluster_of(1) as old, cluster_of(2) as new:
        new.formation, new.restored_ms = NEW, 5
        old.advertised["n2"] = new.nodes[1].address
        async with connect(*old.endpoints) as registry:
            yield registry, old.nodes[0], new


async def test_an_answer_on_its_way_when_the_client_leaves_a_formation_does_not_count() -> None:
    async with leaving() as (registry, left, new), anyio.create_task_group() as tasks:
        key, found = key_of(left), list[bytes]()

        async def wait() -> None:
            found.append((await registry.wait(key, timeout=LIMIT_S)).value)

        tasks.start_soon(wait)
        await left.until(lambda node: node.asked(WaitRequest))
        await registry.get(key_of(new.nodes[1]), timeout=LIMIT_S)
        left.cluster.decide(decree_of(key, b"old"))
        await registry.status(timeout=LIMIT_S)
        await anyio.wait_all_tasks_blocked()
        assert found == []
        new.decide(decree_of(key, b"new"))
        with anyio.fail_after(LIMIT_S):
            while not found:
                await anyio.sleep(0.01)
        assert found == [b"new"]


async def test_a_node_of_a_formation_that_was_left_is_asked_nothing_more() -> None:
    """Its connection is open still, since it owes an answer, and its name is that of a new node."""
    async with leaving() as (registry, left, new), anyio.create_task_group() as tasks:
        key = key_of(left)
        new.decide(decree_of(key, b"new"))
        tasks.start_soon(lambda: registry.wait("other", timeout=LIMIT_S))
        left.script = lambda node, request: Silence
        await left.until(lambda node: node.asked(WaitRequest))
        await registry.get(key_of(new.nodes[1]), timeout=LIMIT_S)
        decree = await registry.get(key, timeout=LIMIT_S)
        assert decree is not None and decree.value == b"new"
        assert left.asked(GetRequest) == []
        tasks.cancel_scope.cancel()
