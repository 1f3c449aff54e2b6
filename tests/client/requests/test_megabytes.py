"""Large values: a bound on the bytes in flight to a node, and more time for a node that has them."""

from typing import Any

import anyio
import pytest

from decreed.client import connect
from decreed.client.transport.link import WINDOW_BYTES
from decreed.registry.wire.requests import ClaimRequest, Decreed, GetRequest

from ..fakes import FakeCluster, FakeNode, cluster_of

pytestmark = pytest.mark.anyio
MIB = 1024 * 1024
LARGE = bytes(MIB)


def take_megabytes(cluster: FakeCluster) -> None:
    """Let the nodes take values of one MiB."""
    for node in cluster.nodes:
        node.max_value_bytes, node.max_frame_bytes = MIB, 4 * MIB


def answer_when(released: anyio.Event) -> Any:
    """A script that answers claims honestly, but not before `released` is set."""

    async def late(node: FakeNode, request: ClaimRequest) -> Decreed:
        await released.wait()
        return Decreed(request.id, node.cluster.decide(node.freeze(request.claim)))

    return late


async def test_no_more_bytes_are_in_batch_than_the_window_holds() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        take_megabytes(cluster)
        node, released = cluster.nodes[0], anyio.Event()
        node.script = answer_when(released)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(registry.claim_many, [(f"k{n}", LARGE) for n in range(20)])
            await node.until(lambda node: len(node.requests) >= WINDOW_BYTES // MIB)
            await anyio.wait_all_tasks_blocked()
            assert len(node.requests) == WINDOW_BYTES // MIB
            released.set()
        assert len(node.requests) == len(cluster.decrees) == 20


async def test_a_node_that_has_megabytes_to_freeze_is_given_more_time() -> None:
    """Another node is asked after the usual time for small values, and later for large ones."""
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        take_megabytes(cluster)
        home, second, _ = cluster.order("k")
        home.script = answer_when(anyio.Event())
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(registry.claim, "k", LARGE)
            await home.until(lambda node: node.asked(ClaimRequest))
            await second.until(lambda node: node.asked(ClaimRequest))
        assert anyio.current_time() - began > 0.25 + 0.5


async def test_requests_that_wait_for_room_on_a_busy_link_are_not_sent_elsewhere() -> None:
    """All claims of one home together: until the first answer, only the window is in flight."""
    async with cluster_of(3) as cluster, connect(*cluster.endpoints) as registry:
        take_megabytes(cluster)
        home = cluster.order("k")[0]
        keys = [key for n in range(200) if cluster.order(key := f"k{n}")[0] is home][:24]
        released = anyio.Event()
        home.script = answer_when(released)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(registry.claim_many, [(key, LARGE) for key in keys])
            await home.until(lambda node: len(node.requests) >= WINDOW_BYTES // MIB)
            await anyio.sleep(1.0)  # far beyond the usual patience
            released.set()
        others = [node for node in cluster.nodes if node is not home]
        assert not any(node.asked(ClaimRequest) for node in others)
        assert len(home.asked(ClaimRequest)) == len(keys)


async def test_the_window_opens_again_when_a_call_is_cancelled() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        take_megabytes(cluster)
        node = cluster.nodes[0]
        node.script = answer_when(anyio.Event())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(registry.claim_many, [(f"k{n}", LARGE) for n in range(20)])
            await node.until(lambda node: len(node.requests) >= WINDOW_BYTES // MIB)
            tasks.cancel_scope.cancel()
        node.script = None
        assert (await registry.claim("other", LARGE)).won
        assert await registry.get("nothing") is None and node.asked(GetRequest)
