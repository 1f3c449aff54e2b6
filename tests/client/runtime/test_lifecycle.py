"""Opening, closing, threads, and imports."""

import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from decreed.client import Registry, StatusReport, connect, sync
from decreed.client.transport.endpoints import parse_endpoints
from decreed.registry.errors import BadRequest, Closed, ConfigError, OutcomeUnknown, Unreachable
from decreed.registry.wire.requests import ClaimRequest, WaitRequest

from ..fakes import LIMIT_S, Silence, cluster_of, decree_of, running_cluster


def test_endpoints() -> None:
    texts = [str(endpoint) for endpoint in parse_endpoints(["a:1, b:2,", "[::1]:3", "a:1"])]
    assert texts == ["a:1", "b:2", "[::1]:3"]


@pytest.mark.parametrize("text", ["", "a", "a:", ":1", "a:0", "a:65536", "a:x", ","])
def test_malformed_endpoints(text: str) -> None:
    with pytest.raises(ConfigError):
        connect(text)


@pytest.mark.anyio
async def test_connecting_is_lazy_and_errors_of_the_body_pass_through() -> None:
    with pytest.raises(KeyError, match="body"):
        async with connect("127.0.0.1:1"):
            raise KeyError("body")
    async with connect("127.0.0.1:1") as registry:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
            await registry.get("k", timeout=0.1)


@pytest.mark.anyio
async def test_a_cancelled_body_ends_the_client() -> None:
    async with cluster_of(1) as cluster:
        with anyio.move_on_after(0.1) as scope:
            async with connect(*cluster.endpoints) as registry:
                await registry.wait("k", timeout=None)
        assert scope.cancelled_caught


async def every_call(registry: Registry) -> AsyncIterator[Callable[[], object]]:
    """All calls of a registry, one after another."""

    async def step(iterator: AsyncIterator[object]) -> object:
        return await anext(iterator)

    for call in (
        lambda: registry.get("k"),
        lambda: registry.get_many(["k"]),
        lambda: registry.claim("k", "v"),
        lambda: registry.claim_many({"k": "v"}),
        lambda: registry.claim_next("k", "v"),
        lambda: registry.wait("k"),
        lambda: registry.latest("k"),
        lambda: registry.status(),
        lambda: step(registry.list()),
        lambda: step(registry.watch()),
    ):
        yield call


@pytest.mark.anyio
async def test_a_closed_registry_says_so() -> None:
    async with cluster_of(1) as cluster:
        async with connect(*cluster.endpoints) as registry:
            listing, watching = registry.list(), registry.watch()
            await registry.get("k")
        with anyio.fail_after(LIMIT_S):
            async for call in every_call(registry):
                with pytest.raises(Closed):
                    await call()  # type: ignore[misc]
            for iterator in (listing, watching):
                with pytest.raises(Closed):
                    await anext(iterator)
            with pytest.raises(Closed):
                registry.cached("k")


@pytest.mark.anyio
async def test_a_client_is_entered_once() -> None:
    client = connect("127.0.0.1:1")
    async with client:
        pass
    with pytest.raises(Closed):
        await client.__aenter__()


@pytest.mark.anyio
async def test_closing_wakes_waiting_calls() -> None:
    async with cluster_of(1) as cluster, anyio.create_task_group() as tasks:
        ends: list[str] = []

        async def wait(registry: Registry) -> None:
            try:
                await registry.wait("k", timeout=None)
            except Closed as error:
                ends.append(str(error))

        async with connect(*cluster.endpoints) as registry:
            tasks.start_soon(wait, registry)
            await cluster.nodes[0].until(lambda node: node.asked(WaitRequest))
        with anyio.fail_after(LIMIT_S):
            while not ends:
                await anyio.wait_all_tasks_blocked()
    assert ends == ["the client was closed"]


def test_the_blocking_client_claims_reads_lists_and_watches() -> None:
    with running_cluster(3) as cluster, sync.connect(*cluster.endpoints) as registry:
        assert registry.claim("k", "v").won
        assert registry.cached("k") is not None
        assert registry.claim_next("series", "one").slot == 1
        assert [d.key for d in registry.list()] == ["k", "series@1"]
        assert [type(report) for report in registry.status()] == [StatusReport] * 3
        watching = registry.watch(since=f"n1:{b'n1'.ljust(16, b'-').hex()}:0")
        assert next(watching).decree.key == "k"
        with pytest.raises(BadRequest):
            registry.get("a//b")
        with pytest.raises(BadRequest):
            registry.get("k", timeout=-1)


def test_a_call_that_is_under_way_when_the_client_is_closed_says_how_it_ended() -> None:
    with running_cluster(1) as cluster, ThreadPoolExecutor(1) as threads:
        cluster.nodes[0].script = lambda node, request: Silence
        with sync.connect(*cluster.endpoints) as registry:
            claim = threads.submit(registry.claim, "k", "v")
            while not cluster.nodes[0].asked(ClaimRequest):
                registry.cached("other")
        with pytest.raises(OutcomeUnknown, match="closed"):
            claim.result(5)


def test_the_blocking_client_is_used_from_many_threads() -> None:
    with (
        running_cluster(3) as cluster,
        sync.connect(*cluster.endpoints) as registry,
        ThreadPoolExecutor(16) as threads,
    ):
        results = list(threads.map(lambda n: registry.claim(f"key{n % 50}", f"{n}"), range(200)))
        assert sum(result.won for result in results) == 50


def test_a_closed_blocking_client_says_so() -> None:
    with running_cluster(1) as cluster:
        waited: list[type[BaseException]] = []

        def wait() -> None:
            try:
                registry.wait("k", timeout=None)
            except Closed as error:
                waited.append(type(error))

        with sync.connect(*cluster.endpoints) as registry:
            listing = registry.list()
            thread = threading.Thread(target=wait)
            thread.start()
            while not cluster.nodes[0].asked(WaitRequest):
                registry.get("other")
        thread.join(5)
        assert waited == [Closed]
        for call in (lambda: registry.get("k"), lambda: next(listing), registry.watch):
            with pytest.raises(Closed):
                call()
        with pytest.raises(Closed):
            registry.cached("k")


IMPORTS = """
import asyncio, sys
import decreed.client, decreed.client.sync
from decreed.registry.errors import Unreachable

async def main():
    async with decreed.client.connect("127.0.0.1:1") as registry:
        try:
            await registry.get("k", timeout=0.05)
        except Unreachable:
            pass

asyncio.run(main())
unwanted = ("rocksdict", "trio", "typer", "rich", "decreed.storage", "decreed.cli.",
            "decreed.registry.server", "decreed.registry.replica", "decreed.registry.paxos")
print([name for name in sys.modules if name.startswith(unwanted)])
"""


def test_no_module_of_the_server_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.anyio
async def test_decrees_in_memory_are_shared_between_tasks() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.decide(decree_of("k"))
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(registry.get, "k")
        assert cluster.nodes[0].connections == 1
