"""Bytes in flight: a client with too many is not read for a while; the others are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from decreed.registry.config import MIB
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import Cancel, ClaimRequest, StatusRequest, WaitRequest

from ..support.live import PATIENCE_S, Cluster, RawClient, live_cluster, live_config
from ..support.world import claim

pytestmark = pytest.mark.trio
STATUS = StatusRequest(99)


def large(number: int) -> ClaimRequest:
    """A claim of more than half a MiB, for which there is no quorum."""
    return ClaimRequest(number, 60_000, True, claim(f"k{number}", bytes(600_000), b"%d" % number))


@asynccontextmanager
async def without_quorum(**limits: int) -> AsyncIterator[Cluster]:
    """A cluster of which one node is left, so that claims stay in flight."""
    async with live_cluster(await live_config(3, limits=limits)) as cluster:
        cluster.kill(NodeId("n2"))
        cluster.kill(NodeId("n3"))
        yield cluster


async def is_not_read(client: RawClient) -> bool:
    """Whether the server does not take one more request for now."""
    with trio.move_on_after(0.3):
        return not await client.ask(STATUS)
    return True


async def test_a_client_with_too_many_bytes_in_batch_is_not_read_until_there_is_room() -> None:
    async with without_quorum(max_in_flight_bytes=MIB) as cluster:
        client = await cluster.client("n1")
        await client.say(large(1), WaitRequest(2, 1_000, Key("k")), StatusRequest(3))
        assert (await client.hear()).id == 3, "one large request and small ones are read"
        await client.say(Cancel(1))
        assert (await client.hear()).id == 1
        await client.say(large(4), large(5), STATUS)
        with trio.move_on_after(0.3):
            while (await client.hear()).id != STATUS.id:
                pass
            raise AssertionError("the second large request is not even looked at")
        other = await cluster.client("n1")
        await other.say(large(6), STATUS)
        assert (await other.hear()).id == STATUS.id


async def test_the_bytes_of_all_clients_are_bounded_and_small_requests_pass() -> None:
    async with without_quorum(max_all_in_flight_bytes=MIB) as cluster:
        holder, large_one, small_one = [await cluster.client("n1") for _ in range(3)]
        await holder.say(large(1), STATUS)
        await holder.hear()
        await large_one.say(large(1))
        assert await is_not_read(large_one)
        assert await small_one.ask(STATUS)
        await holder.stream.aclose()
        with trio.fail_after(PATIENCE_S):
            assert (await large_one.hear()).id == STATUS.id, "there is room once the holder is gone"


async def test_a_client_that_repeats_an_id_gains_no_room() -> None:
    async with without_quorum(max_in_flight_bytes=2 * MIB) as cluster:
        client = await cluster.client("n1")
        await client.say(large(1), large(1), large(1), Cancel(1), large(2), STATUS)
        assert (await client.hear()).id == 1
        assert (await client.hear()).id == STATUS.id
        await client.say(large(3))
        assert await is_not_read(client)
