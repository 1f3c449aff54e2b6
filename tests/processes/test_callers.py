"""A trio program, an asyncio program and a threaded program use one cluster at once; the examples."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from decreed.client import Outcome, connect, errors, sync

from ..support.processes import PATIENCE_S, Processes, run, running

ROOT = Path(__file__).parent.parent.parent
KEYS = [f"shared/{number}" for number in range(50)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


async def claim_all(endpoints: str, me: str) -> dict[str, str]:
    """Claim every key, all at once."""
    seen: dict[str, str] = {}

    async def one(key: str) -> None:
        seen[key] = (await registry.claim(key, me)).decree.text

    async with connect(endpoints) as registry, anyio.create_task_group() as group:
        for key in KEYS:
            group.start_soon(one, key)
    return seen


def claim_all_under(backend: str, endpoints: str) -> dict[str, str]:
    """Claim every key, from a program on this event loop."""
    return anyio.run(claim_all, endpoints, f"a {backend} task", backend=backend)


def claim_all_in_threads(endpoints: str, me: str) -> dict[str, str]:
    """Claim every key, from ten threads that share one client."""
    with sync.connect(endpoints) as registry, ThreadPoolExecutor(10) as pool:
        return dict(pool.map(lambda key: (key, registry.claim(key, me).decree.text), KEYS))


def test_trio_asyncio_and_threads_agree_on_every_key(cluster: Processes) -> None:
    with ThreadPoolExecutor(3) as pool:
        endpoints = cluster.endpoints
        programs = [
            pool.submit(claim_all_under, "trio", endpoints),
            pool.submit(claim_all_under, "asyncio", endpoints),
            pool.submit(claim_all_in_threads, endpoints, "a thread"),
        ]
        seen = [program.result(PATIENCE_S) for program in programs]
    assert seen[0] == seen[1] == seen[2]
    assert set(seen[0]) == set(KEYS)


def test_a_series_grows_without_gaps_under_contention(cluster: Processes) -> None:
    def append(worker: int) -> list[int | None]:
        with sync.connect(cluster.endpoints) as registry:
            return [registry.claim_next("log/events", f"{worker}").slot for _ in range(10)]

    with ThreadPoolExecutor(6) as pool:
        slots = [slot for slots in pool.map(append, range(6)) for slot in slots]
    assert sorted(slot for slot in slots if slot is not None) == list(range(1, 61))
    with cluster.client() as registry:
        latest = registry.latest("log/events")
        assert latest is not None and latest.key == "log/events@60"
        assert [d.key for d in registry.list("log/events")] == [
            f"log/events@{slot}" for slot in range(1, 61)
        ]


def test_a_watch_sees_every_decree_of_its_prefix(cluster: Processes) -> None:
    async def watch_and_claim() -> set[str]:
        async with connect(cluster.endpoints) as registry:
            watching = registry.watch("watched")
            await watching.begin()
            seen: set[str] = set()
            async with anyio.create_task_group() as group:
                for number in range(30):
                    group.start_soon(registry.claim, f"watched/{number}", "x")
                    group.start_soon(registry.claim, f"unwatched/{number}", "x")
                async for event in watching:
                    seen.add(event.decree.key)
                    if len(seen) == 30:
                        return seen
        raise AssertionError("the watch ended by itself")

    assert anyio.run(watch_and_claim, backend="trio") == {f"watched/{n}" for n in range(30)}


def test_a_value_read_once_is_read_again_with_the_cluster_down(tmp_path: Path) -> None:
    with running(tmp_path / "cluster", size=1) as cluster:
        cache = tmp_path / "cache"
        with sync.connect(cluster.endpoints, cache_dir=cache) as registry:
            assert registry.claim("setting", "blue").outcome is Outcome.WON
        cluster.kill("n1")
        with sync.connect(cluster.endpoints, cache_dir=cache, timeout=PATIENCE_S) as registry:
            decree = registry.get("setting")
        assert decree is not None and decree.text == "blue"


def example(cluster: Processes, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "examples" / name, *arguments],
        env={**os.environ, "DECREED_ENDPOINTS": cluster.endpoints},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def test_example_claim_once(cluster: Processes) -> None:
    first = example(cluster, "claim_once.py", "reports/1")
    second = example(cluster, "claim_once.py", "reports/1")
    assert (first.returncode, second.returncode) == (0, 3), (first, second)
    assert "is ours" in first.stdout and "belongs to" in second.stdout


def test_example_frozen_settings_needs_the_cluster_only_once(tmp_path: Path) -> None:
    with running(tmp_path / "cluster", size=1) as cluster:
        cache = str(tmp_path / "cache")
        first = example(cluster, "frozen_settings.py", "1", cache)
        cluster.kill("n1")
        second = example(cluster, "frozen_settings.py", "1", cache)
    assert first.returncode == second.returncode == 0, (first, second)
    assert first.stdout == second.stdout and "EUR" in first.stdout


def test_example_wait_for_value(cluster: Processes) -> None:
    waiting = subprocess.Popen(
        [sys.executable, ROOT / "examples" / "wait_for_value.py", "deploy/url", "600"],
        env={**os.environ, "DECREED_ENDPOINTS": cluster.endpoints},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run("claim", "deploy/url", "db://x", endpoints=cluster.endpoints).returncode == 0
    output, _ = waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode == 0 and "db://x" in output
    late = example(cluster, "wait_for_value.py", "deploy/nothing", "3")
    assert late.returncode == 4 and "nobody froze" in late.stderr


def test_blocking_code_watches_from_where_it_began(cluster: Processes) -> None:
    with cluster.client() as registry:
        watching = registry.watch("blocking")
        watching.begin()
        registry.claim("blocking/a", "1")
        assert next(watching).decree.key == "blocking/a"


def test_a_watch_without_an_answer_raises_unreachable() -> None:
    ended = run("watch", "--timeout", "500ms", endpoints="127.0.0.1:9")
    assert ended.returncode == 5, ended
    with sync.connect("127.0.0.1:9") as registry, pytest.raises(errors.Unreachable):
        registry.watch("x").begin(timeout=0.3)
