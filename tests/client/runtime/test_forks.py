"""Clients in forked processes: they reconnect there, and do not touch their parent's connections."""

import gc
import os
import sqlite3
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from decreed.client import connect, sync
from decreed.client.caching.disk import DecreeFile
from decreed.registry.errors import Closed, LockHeld, LockLost
from decreed.registry.wire.requests import GetRequest, WaitRequest

from ...support.background import Servers, servers
from ...support.processes import eventually
from ..fakes import FakeCluster, decree_of, running_cluster

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]
PATIENCE_S = 60


def said_in_a_fork(use: Callable[[], object]) -> str:
    """What `use` returns in a forked process, or its error, as text; a child that hangs is killed."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.write(writer, say(use).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    killer = threading.Timer(PATIENCE_S, os.kill, (process, 9))
    killer.start()
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(process, 0)
    killer.cancel()
    assert status == 0, f"the child ended with {status} and said {said!r}"
    return said


def say(use: Callable[[], object]) -> str:
    try:
        return str(use())
    except (Closed, LockHeld, LockLost) as error:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001
        return traceback.format_exc()


@contextmanager
def fake(decided: str = "k") -> Iterator[tuple[FakeCluster, sync.Registry]]:
    """A cluster of one in which a key is decided, and a client that has read it."""
    with running_cluster(1) as cluster:
        cluster.decide(decree_of(decided))
        with sync.connect(*cluster.endpoints) as registry:
            assert registry.get(decided) is not None
            yield cluster, registry


# -- going on in the child


def test_a_child_reconnects_by_itself_and_its_parent_goes_on() -> None:
    def use() -> str:
        claimed = registry.claim("from/child", "v")
        assert registry.get("from/child") == claimed.decree
        return claimed.outcome.value

    with fake() as (cluster, registry):
        for count in (1, 2, 3):
            assert said_in_a_fork(use) == ("won" if count == 1 else "same")
            assert registry.claim(f"from/parent/{count}", "v").won
        # no child touched the parent's connection
        assert cluster.nodes[0].connections == 4
        eventually("children are gone", lambda: cluster.nodes[0].open_connections == 1)


def test_a_child_reads_its_parents_decrees_from_memory() -> None:
    def use() -> object:
        with sync.connect("127.0.0.1:1") as other:
            assert other.cached("k") is None
        return registry.cached("k") == registry.get("k") and registry.get("k") is not None

    with fake() as (cluster, registry):
        asked = len(cluster.nodes[0].asked(GetRequest))
        assert said_in_a_fork(use) == "True"
        assert len(cluster.nodes[0].asked(GetRequest)) == asked


def test_a_child_drops_its_memory_when_it_meets_another_formation() -> None:
    def use() -> object:
        assert registry.cached("k") is not None
        registry.get("other")
        return registry.cached("k")

    with fake() as (cluster, registry):
        cluster.formation = b"g" * 16
        assert said_in_a_fork(use) == "None"
        assert registry.cached("k") is not None


def test_a_child_has_the_disk_cache_by_a_connection_of_its_own(tmp_path: Path) -> None:
    def use() -> object:
        decree = registry.get("in/child")
        registry.close()
        return decree and decree.key

    with running_cluster(1) as cluster:
        for key in ("in/parent", "in/child", "in/parent/later"):
            cluster.decide(decree_of(key))
        with sync.connect(*cluster.endpoints, cache_dir=tmp_path) as registry:
            registry.get("in/parent")
            assert said_in_a_fork(use) == "in/child"
            registry.get("in/parent/later")
    [file] = tmp_path.glob("*.decrees")
    database = sqlite3.connect(file)
    keys = {key for (key,) in database.execute("SELECT key FROM decrees")}
    database.close()
    assert keys == {"in/parent", "in/child", "in/parent/later"}


def test_a_fork_waits_for_a_thread_that_is_inside_sqlite(tmp_path: Path) -> None:
    """Otherwise SQLite's own locks stay held in the child, which then hangs when it uses its cache."""
    inside, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def rows() -> Iterator[tuple[str, float]]:
        inside.set()
        assert go_on.wait(PATIENCE_S)
        yield "n1:7400", 0.0

    def write() -> None:
        file._run_many("INSERT OR REPLACE INTO endpoints VALUES (?, ?)", cast(Any, rows()))
        over.set()

    file = DecreeFile(tmp_path / "cache.decrees", 10, 10_000)
    writer = threading.Thread(target=write)
    writer.start()
    assert inside.wait(PATIENCE_S)
    threading.Timer(0.1, go_on.set).start()
    assert said_in_a_fork(over.is_set) == "True"
    writer.join()
    file.close()


def test_a_client_that_was_only_made_has_no_thread_before_the_fork() -> None:
    with running_cluster(1) as cluster, sync.connect(*cluster.endpoints) as registry:
        assert "decreed-client" not in [thread.name for thread in threading.enumerate()]
        assert said_in_a_fork(lambda: registry.claim("k", "v").won) == "True"
        assert cluster.nodes[0].connections == 1


def test_grandchildren_reconnect_too() -> None:
    def use() -> str:
        registry.get("child")
        return said_in_a_fork(lambda: registry.claim("grandchild", "v").won)

    with fake() as (_, registry):
        assert said_in_a_fork(use) == "True"


def test_threads_of_a_child_share_one_connection() -> None:
    def use() -> object:
        ready = threading.Barrier(8)

        def ask(number: int) -> None:
            ready.wait()
            registry.claim(f"child/{number}", "v")

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [thread.name for thread in threading.enumerate()].count("decreed-client")

    with fake() as (cluster, registry):
        assert said_in_a_fork(use) == "1"
        assert cluster.nodes[0].connections == 2


def test_forks_of_a_busy_client_never_hang() -> None:
    over = threading.Event()

    def hammer(number: int) -> None:
        count = 0
        while not over.is_set():
            count += 1
            registry.claim(f"busy/{number}/{count}", "v")
            registry.get(f"busy/{number}/{count}")

    with fake() as (_, registry):
        threads = [threading.Thread(target=hammer, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            for count in range(15):
                said = said_in_a_fork(lambda: registry.get(f"fork/{count}"))  # noqa: B023
                assert said == "None"
        finally:
            over.set()
            for thread in threads:
                thread.join()


def with_number(number: int, use: Callable[[], object]) -> Callable[[], object]:
    """As `use`, in a child that has this number, as one in a namespace of its own may."""

    def use_with_number() -> object:
        pytest.MonkeyPatch().setattr(os, "getpid", lambda: number)
        return use()

    return use_with_number


def test_a_child_that_has_the_number_of_its_parent_reconnects_all_the_same() -> None:
    def use() -> object:
        return registry.claim("from/child", "v").outcome.value

    with fake() as (cluster, registry):
        assert said_in_a_fork(with_number(os.getpid(), use)) == "won"
        assert registry.claim("from/parent", "v").won
        assert cluster.nodes[0].connections == 2


# -- the parent's connections, calls and iterators


def test_closing_the_client_in_a_child_does_not_affect_the_parent() -> None:
    def close() -> object:
        registry.close()
        return registry.get("other")

    with fake() as (cluster, registry):
        assert "the client was closed" in said_in_a_fork(close)
        assert said_in_a_fork(lambda: registry.__exit__(None, None, None)) == "None"
        assert registry.get("not/in/memory") is None
        assert cluster.nodes[0].connections == 1
    # a client that was closed before the fork is closed after it
    assert said_in_a_fork(lambda: registry.get("k")).startswith("Closed")


@pytest.mark.parametrize("used_there", [True, False], ids=["used there", "not used there"])
def test_dropping_the_client_in_a_child_does_not_affect_the_parent(used_there: bool) -> None:
    def forget() -> object:
        if used_there:
            only[0].get("other")
            only[0].close()
        gone = weakref.ref(only[0])
        only.clear()
        gc.collect()
        return gone()

    with running_cluster(1) as cluster:
        only = [sync.connect(*cluster.endpoints)]
        only[0].get("k")
        assert said_in_a_fork(forget) == "None"
        assert only[0].get("not/in/memory") is None
        assert cluster.nodes[0].connections == 1 + used_there
        only.pop().close()


def test_a_child_holds_no_connection_of_its_parent_open() -> None:
    with fake() as (cluster, registry):
        node = cluster.nodes[0]
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            # it stays alive and does nothing
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        try:
            assert node.open_connections == 1
            registry.close()
            eventually("the node sees the end", lambda: node.open_connections == 0)
        finally:
            os.close(writer)
            os.close(reader)
            os.waitpid(child, 0)


def test_iterators_of_the_parent_raise_closed_in_the_child() -> None:
    with fake() as (_, registry):
        watching, listing = registry.watch(), registry.list()
        watching.begin()
        for step in (watching.__next__, listing.__next__, watching.begin):
            said = said_in_a_fork(step)
            assert said.startswith("Closed") and "forked" in said
        # the child can have its own
        assert said_in_a_fork(lambda: next(registry.list()).key) == "k"
        assert next(listing).key == "k"
        registry.claim("seen", "v")
        assert next(watching).decree.key == "seen"


def test_a_child_is_independent_of_calls_under_way_in_its_parent() -> None:
    with fake() as (cluster, registry):
        thread = threading.Thread(target=lambda: registry.wait("late", timeout=PATIENCE_S))
        thread.start()
        eventually("it is asked", lambda: bool(cluster.nodes[0].asked(WaitRequest)))
        assert said_in_a_fork(lambda: registry.get("other")) == "None"
        registry.claim("late", "v")
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_an_asynchronous_client_raises_closed_in_a_forked_process() -> None:
    async def main() -> None:
        async with connect("127.0.0.1:1") as registry:
            coroutine = registry.get("k")
            said = said_in_a_fork(lambda: coroutine.send(None))
            assert "forked" in said and "event loop" in said
            coroutine.close()

    anyio.run(main)


# -- locks


@pytest.fixture(scope="module")
def cluster() -> Iterator[Servers]:
    with servers() as running:
        yield running


def test_a_child_does_not_hold_its_parents_lock(cluster: Servers) -> None:
    with sync.connect(*cluster.endpoints) as registry:
        unused = registry.lock("unused")
        locked = registry.lock("mine", ttl=30)
        with locked as lock:

            def ask_again() -> None:
                with registry.lock("mine", wait=0):
                    pass

            # the same thread asks in the child: it counts as another caller, not as the holder
            assert said_in_a_fork(ask_again).startswith("LockHeld")
            assert "forked" in said_in_a_fork(lock.ensure_held)
            assert "forked" in said_in_a_fork(lock.release)
            assert said_in_a_fork(lambda: locked.__exit__(None, None, None)) == "None"
            assert "forked" in said_in_a_fork(unused.acquire)
            lock.ensure_held()
            lock_state = registry.lock_state("mine")
            assert lock_state is not None and lock_state.held


def test_a_lock_is_the_parents_also_in_a_child_that_has_its_number(cluster: Servers) -> None:
    with sync.connect(*cluster.endpoints) as registry, registry.lock("numbered", ttl=30) as lock:
        for use in (lock.ensure_held, lock.release):
            assert "forked" in said_in_a_fork(with_number(os.getpid(), use))
        lock.ensure_held()


def test_a_child_gets_and_releases_locks_of_its_own(cluster: Servers) -> None:
    def use() -> object:
        with registry.lock("childs", ttl=30) as lock:
            lock.ensure_held()
            return lock.token

    with sync.connect(*cluster.endpoints) as registry:
        with registry.lock("childs"):
            pass
        assert said_in_a_fork(use) == "2"
        with registry.lock("childs", wait=10) as lock:
            assert lock.token == 3
