"""Connections: strangers, garbage, refusals, back-pressure, cancelled calls."""

import anyio
import pytest

from decreed.client import connect
from decreed.registry.errors import (
    BadRequest,
    Busy,
    ConfigError,
    ProtocolError,
    Refused,
    Unreachable,
)
from decreed.registry.wire import codec, frames
from decreed.registry.wire.handshake import VERSION, ClientWelcome, Refusal
from decreed.registry.wire.requests import (
    Cancel,
    Decreed,
    Failed,
    GetRequest,
)

from ..fakes import LIMIT_S, FakeCluster, Garbage, HangUp, Silence, cluster_of, decree_of

pytestmark = pytest.mark.anyio


async def test_strangers_are_an_error_and_not_a_hang() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.nodes[0].welcome_bytes = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        with anyio.fail_after(LIMIT_S), pytest.raises(ProtocolError):
            await registry.get("k")


async def test_garbage_in_place_of_an_answer_is_an_error() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.nodes[0].script = lambda node, request: Garbage
        with anyio.fail_after(LIMIT_S), pytest.raises(ProtocolError):
            await registry.get("k")
        cluster.nodes[0].script = None
        assert await registry.get("k") is None


async def test_a_refused_connection_is_tried_again() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        node = cluster.nodes[0]
        node.refusal = Refusal(Busy.code, "too many connections")
        with pytest.raises(Busy, match="too many connections"):  # somebody is there, and says so
            await registry.get("k", timeout=1)
        node.refusal = None
        assert await registry.get("k") is None


async def test_a_member_of_another_cluster_is_not_asked() -> None:
    async with cluster_of(1) as one, cluster_of(1) as other:
        stranger = FakeCluster(nodes=other.nodes, formation=b"x" * 16)
        one.advertised = {"n1": stranger.nodes[0].address}
        stranger.nodes[0].welcome_bytes = renamed(stranger)
        async with connect(*one.endpoints) as registry:
            assert await registry.get("k") is None
            assert not stranger.nodes[0].requests


@pytest.mark.parametrize("first", [0, 1])
async def test_endpoints_of_two_clusters_are_an_error_before_anything_is_asked(first: int) -> None:
    async with cluster_of(1) as one, cluster_of(1) as other:
        other.nodes[0].welcome_bytes = renamed(other)
        endpoints = [*one.endpoints, *other.endpoints]
        async with connect(endpoints[first], endpoints[1 - first]) as registry:
            for _ in range(2):
                with pytest.raises(ConfigError, match="different clusters"):
                    await registry.get("k")
                with pytest.raises(ConfigError, match="different clusters"):
                    await registry.claim("k", "v")
        assert not one.nodes[0].requests and not other.nodes[0].requests


async def test_endpoints_of_two_formations_are_an_error_before_anything_is_asked() -> None:
    async with cluster_of(1) as one, cluster_of(1) as other:
        other.formation = b"x" * 16
        async with connect(*one.endpoints, *other.endpoints) as registry:
            with pytest.raises(ConfigError, match="formed apart"):
                await registry.claim("k", "v")
        assert not one.nodes[0].requests and not other.nodes[0].requests


async def test_concurrent_first_calls_share_one_comparison_of_endpoints() -> None:
    async with cluster_of(1) as one, cluster_of(1) as other:
        other.nodes[0].welcome_bytes = renamed(other)
        errors: list[type[BaseException]] = []
        async with connect(*one.endpoints, *other.endpoints) as registry:

            async def get() -> None:
                try:
                    await registry.get("k")
                except ConfigError as error:
                    errors.append(type(error))

            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(get)
        assert len(errors) == 5


def renamed(cluster: FakeCluster) -> bytes:
    """The welcome of a node whose cluster has another id."""
    node = cluster.nodes[0]
    welcome = ClientWelcome(
        VERSION, "another", cluster.formation, node.name, cluster.members(), 1024, 1 << 20, 10
    )
    return b"".join(frames.pack([codec.encode(welcome)]))


async def test_a_cancelled_call_cancels_its_request() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        node = cluster.nodes[0]
        release = anyio.Event()

        async def late(id: int) -> Decreed:
            await release.wait()
            return Decreed(id, decree_of("k"))

        node.script = lambda node, request: late(request.id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(registry.get, "k")
            await node.until(lambda node: node.asked(GetRequest))
            tasks.cancel_scope.cancel()
        await node.until(lambda node: node.asked(Cancel))
        assert node.asked(Cancel)[0].id == node.asked(GetRequest)[0].id
        release.set()  # the late answer is ignored
        node.script = None
        assert await registry.get("other") is None


async def test_no_more_requests_are_in_batch_than_the_node_allows() -> None:
    async with cluster_of(1) as cluster:
        node = cluster.nodes[0]
        node.max_in_flight = 5
        release = anyio.Event()

        async def late(id: int) -> Failed:
            await release.wait()
            return Failed(id, BadRequest.code, "done")

        node.script = lambda node, request: late(request.id)
        async with connect(*cluster.endpoints) as registry, anyio.create_task_group() as tasks:
            failures: list[type[BaseException]] = []

            async def get(key: str) -> None:
                try:
                    await registry.get(key)
                except BadRequest as error:
                    failures.append(type(error))

            for number in range(20):
                tasks.start_soon(get, f"key{number}")
            await node.until(lambda node: len(node.requests) >= 5)
            await anyio.wait_all_tasks_blocked()
            assert len(node.requests) == 5
            release.set()
        assert failures == [BadRequest] * 20


async def test_large_batches_stay_within_the_frames_of_the_node() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.nodes[0].max_frame_bytes = 4096  # the fake hangs up on larger ones
        results = await registry.claim_many([(f"key{n}", b"v" * 1000) for n in range(50)])
        assert all(getattr(result, "won", False) for result in results)
        assert cluster.nodes[0].connections == 1


async def test_a_broken_connection_is_made_again() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        node = cluster.nodes[0]
        node.script = lambda node, request: HangUp
        with pytest.raises(Unreachable):
            await registry.get("k", timeout=0.3)
        node.script = None
        assert await registry.get("k") is None


async def test_silence_is_an_error_in_time() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints, timeout=0.2) as registry:
        cluster.nodes[0].script = lambda node, request: Silence
        with anyio.fail_after(LIMIT_S), pytest.raises(Unreachable):
            await registry.get("k")


async def test_another_cluster_alone_is_refused() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        await registry.get("k")
        node = cluster.nodes[0]
        node.script = lambda node, request: HangUp
        node.welcome_bytes = renamed(cluster)
        with pytest.raises((Unreachable, Refused), match="belongs to the cluster"):
            await registry.get("k", timeout=1)
