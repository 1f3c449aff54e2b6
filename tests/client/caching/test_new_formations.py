"""A cluster that was formed again has lost everything, so the client drops its cache."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from decreed.client import connect
from decreed.client.caching.cache_directory import CacheDirectory
from decreed.client.caching.disk import DecreeFile
from decreed.client.requests.attempt import NodeReply
from decreed.client.requests.watching import Watching
from decreed.registry.errors import Unreachable
from decreed.registry.locks.terms import TermClaim, term_key
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.requests import ClaimRequest, Decreed, GetRequest, Undecided

from ...support.proven import wish
from ..fakes import (
    FORMATION,
    LIMIT_S,
    AsUsual,
    FakeCluster,
    FakeNode,
    cluster_of,
    decree_of,
)

pytestmark = pytest.mark.anyio
NEW = b"g" * 16


class Gate:
    """Blocks the first call of a method on a worker thread until it is opened."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self._reached, self._opened = threading.Event(), threading.Event()
        method: Callable[..., Any] = getattr(owner, name)

        def held_up(*arguments: Any) -> Any:
            found = method(*arguments)
            if not self._reached.is_set():
                self._reached.set()
                assert self._opened.wait(LIMIT_S)
            return found

        patch.setattr(owner, name, held_up)

    async def reached(self) -> None:
        """Return once a call is blocked."""
        assert await anyio.to_thread.run_sync(self._reached.wait, LIMIT_S)

    def open(self) -> None:
        """Let the call proceed."""
        self._opened.set()


def keys_of(cluster: FakeCluster, node: FakeNode, count: int = 2) -> list[Key]:
    """Keys whose home is `node`."""
    keys = (Key(f"k{number}") for number in range(1_000))
    return [key for key in keys if cluster.order(key)[0] is node][:count]


async def stop(cluster: FakeCluster) -> None:
    for node in cluster.nodes:
        await node.stop()


@asynccontextmanager
async def kept_on_disk(folder: Path, *keys: str) -> AsyncIterator[FakeCluster]:
    """A cluster of one; a client has stored its decrees of `keys` on disk, and is closed."""
    async with cluster_of(1) as cluster:
        async with connect(*cluster.endpoints, cache_dir=folder) as registry:
            for key in keys:
                cluster.decide(decree_of(key))
                assert await registry.get(key) is not None
        yield cluster


# -- in memory


async def test_a_claim_is_not_answered_from_a_decree_of_an_earlier_formation() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.decide(decree_of("k", b"old"))
        assert not (await registry.claim("k", b"new")).won
        await cluster.form_again(NEW)
        await registry.latest("s")
        assert registry.cached("k") is None
        assert (await registry.claim("k", b"new")).won


async def test_an_answer_of_the_earlier_formation_that_comes_late_does_not_count() -> None:
    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        await registry.status()
        slow, quick = cluster.nodes
        (key, *_), (other, *_) = keys_of(cluster, slow), keys_of(cluster, quick)
        old, released = decree_of(key), anyio.Event()

        cluster.decide(old)

        async def answers_late(request: GetRequest) -> Any:
            await released.wait()
            return Decreed(request.id, old)

        slow.script = lambda node, request: (
            answers_late(request) if isinstance(request, GetRequest) else AsUsual
        )

        async def answers_undecided(request: GetRequest) -> Any:
            await released.wait()
            return Undecided(request.id)

        quick.script = lambda node, request: (
            answers_undecided(request)
            if isinstance(request, GetRequest) and request.key == key
            else AsUsual
        )
        found = list[Decree | None]()

        async def get() -> None:
            found.append(await registry.get(key, timeout=LIMIT_S))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(get)
            await slow.until(lambda node: node.asked(GetRequest))
            await cluster.form_again(NEW, quick)
            assert await registry.get(other) is None
            released.set()
        assert found == [None], "the new formation was asked"
        assert registry.cached(key) is None


async def test_what_was_answered_before_the_next_formation_is_not_kept_for_that_one() -> None:
    """A call for two keys waits for the second, and the first was answered in time."""
    async with cluster_of(2) as cluster, connect(*cluster.endpoints) as registry:
        await registry.status()
        first, second = cluster.nodes
        (key, behind), (other, *_) = keys_of(cluster, first), keys_of(cluster, second)
        cluster.decide(decree_of(key))

        async def never(_: GetRequest) -> Any:
            await anyio.sleep_forever()

        second.script = lambda node, request: (
            never(request) if isinstance(request, GetRequest) else AsUsual
        )
        found = list[dict[str, Decree | None]]()

        async def get() -> None:
            found.append(await registry.get_many([key, other], timeout=LIMIT_S))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(get)
            await first.until(lambda node: node.asked(GetRequest))
            await second.until(lambda node: node.asked(GetRequest))
            assert await registry.get(behind) is None, "answers of a node come in order"
            second.script = lambda node, request: AsUsual
            await cluster.form_again(NEW)
        assert [each[other] for each in found] == [None]
        assert registry.cached(key) is None


async def test_a_decree_is_cached_only_for_the_formation_of_the_node_that_told_it() -> None:
    """Whatever else drops late answers: the cache holds decrees of one formation alone."""
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        await registry.latest("s")
        sender = registry._sender
        earlier = sender.pool.welcome
        assert earlier is not None
        await cluster.form_again(NEW)
        await registry.latest("s")
        sender.decree(NodeReply(Decreed(1, decree_of("told")), earlier))
        assert registry.cached("told") is None
        sender.cache.put(FORMATION, decree_of("put"))
        assert registry.cached("put") is None
        sender.cache.put(NEW, decree_of("of today"))
        assert registry.cached("of today") is not None


# -- on disk


async def test_a_read_from_disk_is_dropped_if_the_cluster_is_formed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        kept_on_disk(tmp_path, "k") as cluster,
        connect(*cluster.endpoints, cache_dir=tmp_path) as registry,
    ):
        await registry.latest("s")
        gate, found = Gate(monkeypatch, DecreeFile, "get"), list[Decree | None]()

        async def get() -> None:
            found.append(await registry.get("k", timeout=LIMIT_S))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(get)
            await gate.reached()
            await cluster.form_again(NEW)
            await registry.latest("s")
            gate.open()
        assert found == [None]
        assert registry.cached("k") is None


async def test_a_nodes_answer_takes_precedence_over_a_guess_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept_on_disk(tmp_path, "k") as cluster, anyio.create_task_group() as tasks:
        [node] = cluster.nodes
        await node.stop()
        gate, found = Gate(monkeypatch, CacheDirectory, "guess"), list[Decree | None]()
        async with connect(*cluster.endpoints, cache_dir=tmp_path) as registry:

            async def get() -> None:
                found.append(await registry.get("k", timeout=LIMIT_S))

            async with anyio.create_task_group() as asking:
                asking.start_soon(get)
                await gate.reached()
                await cluster.form_again(NEW)
                await node.start(tasks)
                await registry.latest("s", timeout=LIMIT_S)
                gate.open()
            assert found == [None]
            assert registry.cached("k") is None
            cluster.decide(decree_of("k", b"new"))
            assert await registry.get("k") is not None
            assert registry.cached("k") is not None, "of the formation that a node named"
        tasks.cancel_scope.cancel()


async def test_no_claim_is_answered_from_a_guess(tmp_path: Path) -> None:
    """The cluster is down and the decree is on disk; then it is up again, in a new formation."""
    async with kept_on_disk(tmp_path, "k") as cluster, anyio.create_task_group() as tasks:
        [node] = cluster.nodes
        await node.stop()
        async with connect(*cluster.endpoints, cache_dir=tmp_path) as registry:
            assert await registry.get("k", timeout=LIMIT_S) is not None
            await cluster.form_again(NEW)
            await node.start(tasks)
            claimed = await registry.claim("k", b"new", timeout=LIMIT_S)
            assert claimed.won and node.asked(ClaimRequest)
        tasks.cancel_scope.cancel()


async def test_each_decree_is_kept_with_its_own_formation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One decree waits to be written while the cluster is formed again; another comes after that."""
    async with cluster_of(1) as cluster:
        gate = Gate(monkeypatch, DecreeFile, "put")
        async with connect(*cluster.endpoints, cache_dir=tmp_path) as registry:
            cluster.decide(decree_of("first"))
            cluster.decide(decree_of("waits"))
            await registry.get("first")
            await gate.reached()
            # a claim, since a read would wait for the disk too
            assert not (await registry.claim("waits", b"mine")).won
            await cluster.form_again(NEW)
            await registry.latest("s")
            gate.open()
            cluster.decide(decree_of("new"))
            assert await registry.get("new") is not None
        files = [path.name for path in tmp_path.iterdir() if path.name.endswith(".decrees")]
        assert len(files) == 1 and NEW.hex() in files[0] and FORMATION.hex() not in files[0]
        await stop(cluster)
        async with connect(*cluster.endpoints, cache_dir=tmp_path) as registry:
            assert await registry.get("new", timeout=LIMIT_S) is not None
            for key in ("first", "waits"):
                with pytest.raises(Unreachable):
                    await registry.get(key, timeout=0.1)


async def test_of_several_formations_on_disk_the_one_seen_last_is_used(tmp_path: Path) -> None:
    """Clusters with other names were at the same endpoint, one after another."""
    cache_directory = CacheDirectory(tmp_path, 10, 10_000)
    for number, name in enumerate(("b", "a", "c")):
        file = cache_directory.take(name, bytes([number]) * 16, ["127.0.0.1:1"])
        file.confirm(["127.0.0.1:1"], 10.0 + (number if number < 2 else -5))
        file.close()
    guess = cache_directory.guess(["127.0.0.1:1"])
    assert guess is not None and guess[0] == bytes([1]) * 16


# -- watches


async def steps(watching: Watching, count: int) -> list[Decree]:
    with anyio.fail_after(LIMIT_S):
        return [(await anext(watching)).decree for _ in range(count)]


async def test_a_watch_yields_a_key_that_the_next_formation_decrees_again() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        watching = registry.watch("p")
        await watching.begin()
        cluster.decide(decree_of("p/1", b"old"))
        assert [decree.value for decree in await steps(watching, 1)] == [b"old"]
        await cluster.form_again(NEW)
        cluster.decide(decree_of("p/1", b"new", b"another"))
        cluster.decide(decree_of("p/2", b"more"))
        assert [decree.value for decree in await steps(watching, 2)] == [b"new", b"more"]


def held_by(name: str, term: int) -> Decree:
    claim: TermClaim = wish(name, name.encode(), 1_000)
    return Decree.of(claim.claim(term_key("l", term), None), Ballot(1, Process(NodeId("n1"), 1)), 0)


async def test_an_observer_yields_the_first_term_of_the_next_formation() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        for number in (1, 2, 3):
            cluster.decide(held_by(f"h{number}", number))
        observing = registry.observe("l")
        with anyio.fail_after(LIMIT_S):
            assert (await anext(observing)).term == 3
            await cluster.form_again(NEW)
            cluster.decide(held_by("new", 1))
            assert (await anext(observing)).term == 1
