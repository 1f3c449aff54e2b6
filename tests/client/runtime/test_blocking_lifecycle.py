"""Blocking clients: opening, concurrent first use, and closing, explicitly or by garbage collection."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from decreed.client import sync
from decreed.registry.errors import Closed
from decreed.registry.wire.requests import WaitRequest

from ...support.processes import eventually
from ..fakes import FakeCluster, decree_of, running_cluster

NOBODY = "127.0.0.1:1"


def client_threads() -> int:
    return [thread.name for thread in threading.enumerate()].count("decreed-client")


def test_a_client_works_immediately_and_until_it_is_closed() -> None:
    with running_cluster(1) as cluster:
        registry = sync.connect(*cluster.endpoints)
        assert client_threads() == 0
        assert registry.claim("k", "v").won
        assert client_threads() == 1
        registry.close()
        assert client_threads() == 0
        registry.close()
        for use in (lambda: registry.get("k"), lambda: registry.cached("k"), registry.__enter__):
            with pytest.raises(Closed, match="open another"):
                use()


def test_a_client_that_was_never_used_is_closed_too() -> None:
    registry = sync.connect(NOBODY)
    registry.close()
    with pytest.raises(Closed):
        registry.get("k", timeout=1)
    assert client_threads() == 0


def test_several_clients_are_closed_oldest_first_by_other_threads() -> None:
    with running_cluster(1) as cluster, ThreadPoolExecutor(4) as threads:
        registries = [sync.connect(*cluster.endpoints) for _ in range(4)]
        for registry in registries:
            threads.submit(registry.get, "k").result(20)
        for place, registry in enumerate(registries):
            threads.submit(registry.close).result(20)
            for other in registries[place + 1 :]:
                assert other.get("other") is None


def test_calls_that_are_under_way_end_with_closed() -> None:
    with running_cluster(1) as cluster, ThreadPoolExecutor(8) as threads:
        registry = sync.connect(*cluster.endpoints)
        waits = [threads.submit(registry.wait, "k", timeout=None) for _ in range(4)]
        eventually("all wait", lambda: len(cluster.nodes[0].asked(WaitRequest)) == 4)
        closings = [threads.submit(registry.close) for _ in range(4)]
        for wait in waits:
            with pytest.raises(Closed):
                wait.result(20)
        for closing in closings:
            closing.result(20)


def test_many_threads_that_begin_at_once_start_one_thread() -> None:
    ready = threading.Barrier(16)
    with running_cluster(1) as cluster, ThreadPoolExecutor(16) as threads:
        registry = sync.connect(*cluster.endpoints)

        def ask() -> object:
            ready.wait(20)
            return registry.get("k")

        for asked in [threads.submit(ask) for _ in range(16)]:
            assert asked.result(20) is None
        assert (client_threads(), cluster.nodes[0].connections) == (1, 1)
        registry.close()


def test_a_client_may_be_closed_while_it_begins() -> None:
    with running_cluster(1) as cluster, ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            registry = sync.connect(*cluster.endpoints)
            asked = threads.submit(registry.get, "k")
            registry.close()
            # it came before the end or after it; in both cases it does not hang
            assert isinstance(asked.exception(20), Closed | None)
            assert client_threads() == 0


def test_a_call_that_the_end_of_the_client_overtook_leaves_no_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop has taken the call, and ends before the call begins."""
    with running_cluster(1) as cluster:
        registry = sync.connect(*cluster.endpoints)
        registry.get("k")

        def overtaken(coroutine: object, loop: object) -> Future[Any]:
            registry.close()
            return Future()

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", overtaken)
            with pytest.raises(Closed):
                registry.get("l")
            gc.collect()
    assert [str(each.message) for each in caught] == []


def test_an_interrupt_just_after_the_loop_took_the_call_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop is running the call by then, and nobody else may close it."""
    schedule = asyncio.run_coroutine_threadsafe
    runs, may_end = threading.Event(), threading.Event()

    async def work(_: object) -> None:
        runs.set()
        assert may_end.wait(60)

    def interrupted(coroutine: Any, loop: asyncio.AbstractEventLoop) -> Future[Any]:
        schedule(coroutine, loop)
        assert runs.wait(60)
        raise KeyboardInterrupt

    with running_cluster(1) as cluster, sync.connect(*cluster.endpoints) as registry:
        registry.get("k")
        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
            try:
                with pytest.raises(KeyboardInterrupt):
                    registry._portal.run(work)
            finally:
                may_end.set()
        assert registry.claim("l", "v").won


def lost_after(use: Callable[[sync.Registry], object], cluster: FakeCluster) -> list[str]:
    """The warnings when the only reference to the registry is dropped after `use`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        registry = sync.connect(*cluster.endpoints)
        use(registry)
        del registry
        gc.collect()
        eventually("its thread ends", lambda: client_threads() == 0)
    return [str(warning.message) for warning in caught if warning.category is ResourceWarning]


def test_an_unreferenced_client_is_closed_with_a_warning() -> None:
    with running_cluster(1) as cluster:
        [said] = lost_after(lambda registry: registry.get("k"), cluster)
        assert "was not closed" in said and "close()" in said
        assert lost_after(lambda registry: registry.close(), cluster) == []
        assert lost_after(lambda registry: None, cluster) == []


def test_an_iterator_keeps_its_client() -> None:
    with running_cluster(1) as cluster:
        cluster.decide(decree_of("k"))
        listing = sync.connect(*cluster.endpoints).list()
        gc.collect()
        assert [decree.key for decree in listing] == ["k"]
        listing._registry.close()  # type: ignore[attr-defined]


LEFT_OPEN = """
import sys
from decreed.client import sync
registry = sync.connect(sys.argv[1], cache_dir=sys.argv[2])
print(registry.get("k").key)
"""


def test_what_is_still_open_is_closed_when_the_interpreter_exits(tmp_path: Path) -> None:
    def run_it() -> tuple[int, str, str]:
        command = [sys.executable, "-W", "error", "-c", LEFT_OPEN, *endpoints, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    with running_cluster(1) as cluster:
        endpoints = cluster.endpoints
        cluster.decide(decree_of("k"))
        assert run_it() == (0, "k\n", "")
    # the decrees that it had read are on disk, so no node is asked
    assert run_it() == (0, "k\n", "")


INTERRUPTED = """
import signal, sys, threading
from decreed.client import errors, sync

def stop(number, frame):
    registry.close()
    print("closed", flush=True)

# a parent that ignores interrupts, such as a shell in the background, hands that down
signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.argv[2] == "handler":
    signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
try:
    with sync.connect(sys.argv[1]) as registry:
        registry.wait("k", timeout=None)
except errors.Closed:
    print("it says so")
except KeyboardInterrupt:
    print("interrupted")
print([thread.name for thread in threading.enumerate()])
"""


@pytest.mark.parametrize(
    ("how", "number", "said"),
    [
        ("interrupt", signal.SIGINT, ["interrupted"]),
        ("handler", signal.SIGTERM, ["closed", "it says so"]),
    ],
)
def test_a_signal_ends_a_call_that_waits(how: str, number: int, said: list[str]) -> None:
    with running_cluster(1) as cluster:
        command = [sys.executable, "-W", "error", "-c", INTERRUPTED, *cluster.endpoints, how]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                eventually("it waits", lambda: bool(cluster.nodes[0].asked(WaitRequest)))
                os.kill(process.pid, number)
                output, _ = process.communicate(timeout=60)
            finally:
                process.kill()
        assert output.splitlines() == ["ready", *said, "['MainThread']"]


def test_an_interrupt_while_the_thread_starts_leaves_the_client_usable() -> None:
    with running_cluster(1) as cluster, sync.connect(*cluster.endpoints) as registry:
        started = threading.Thread.start

        def start(self: threading.Thread) -> None:
            started(self)
            # Ctrl-C when the thread runs already, before the caller could note that it does
            if self.name == "decreed-client" and not interrupts:
                interrupts.append(1)
                raise KeyboardInterrupt

        interrupts: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(KeyboardInterrupt):
                registry.get("k")
            assert registry.get("k") is None
        eventually("one thread is left", lambda: client_threads() == 1)
        assert cluster.nodes[0].connections == 1
    assert client_threads() == 0
