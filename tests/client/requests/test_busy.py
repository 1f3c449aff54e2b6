"""A node that is busy says for how long; the client asks it nothing for so long, and asks others."""

from typing import Any

import anyio
import pytest

from decreed.client import connect
from decreed.registry.errors import Busy
from decreed.registry.wire.requests import ClaimRequest, Failed

from ..fakes import AsUsual, FakeNode, cluster_of

pytestmark = pytest.mark.anyio
WAIT_MS = 300
NEVER_MS = 3_600_000


def busy(request: Any, wait_ms: int = WAIT_MS) -> Failed:
    return Failed(request.id, Busy.code, "100 keys a second", wait_ms)


async def test_the_time_to_wait_is_waited_and_then_the_claim_wins() -> None:
    async with cluster_of(1) as cluster:
        [node], times = cluster.nodes, list[float]()

        def script(node: FakeNode, request: Any) -> Any:
            times.append(anyio.current_time())
            return busy(request) if len(times) == 1 else AsUsual

        node.script = script
        async with connect(*cluster.endpoints) as registry:
            assert (await registry.claim("k", "v", timeout=60)).won
    assert len(times) == 2 and times[1] - times[0] >= WAIT_MS / 1000


async def test_other_requests_do_not_go_there_either() -> None:
    async with cluster_of(2) as cluster:
        home, other = cluster.order("k")
        home.script = lambda _, request: busy(request, NEVER_MS)
        async with connect(*cluster.endpoints) as registry:
            assert (await registry.claim("k", "v", timeout=60)).won
            for number in range(5):
                assert (await registry.claim(f"k/{number}", "v", timeout=60)).won
    assert len(home.requests) == 1
    assert len(other.asked(ClaimRequest)) == 6


async def test_when_all_are_busy_the_error_says_so_and_is_definite() -> None:
    async with cluster_of(2) as cluster:
        for node in cluster.nodes:
            node.script = lambda _, request: busy(request, NEVER_MS)
        async with connect(*cluster.endpoints) as registry:
            with pytest.raises(Busy, match="100 keys a second"):
                await registry.claim("k", "v", timeout=0.5)
            with pytest.raises(Busy, match="100 keys a second"):
                await registry.get("other", timeout=0.3)
        asked = [len(node.requests) for node in cluster.nodes]
    assert asked == [1, 1], "nothing was asked of a node in the time that it named"


async def test_what_is_answered_to_another_request_meanwhile_changes_nothing() -> None:
    """The limit on requests in flight is met by one request, and not by the one after it."""
    async with cluster_of(1) as cluster:
        [node] = cluster.nodes
        node.script = lambda _, each: busy(each, 1) if str(each.key) == "k" else AsUsual
        async with connect(*cluster.endpoints) as registry, anyio.create_task_group() as tasks:

            async def ask_for_others() -> None:
                while True:
                    await registry.get("other", timeout=60)
                    await anyio.sleep(0.01)

            tasks.start_soon(ask_for_others)
            with pytest.raises(Busy, match="100 keys a second"):
                await registry.get("k", timeout=1)
            tasks.cancel_scope.cancel()


async def test_a_node_that_names_no_time_is_asked_again_as_before() -> None:
    async with cluster_of(1) as cluster:
        [node] = cluster.nodes
        node.script = lambda n, request: AsUsual if len(n.requests) > 2 else busy(request, 0)
        async with connect(*cluster.endpoints) as registry:
            assert (await registry.claim("k", "v", timeout=60)).won
        assert len(node.asked(ClaimRequest)) == 3
