"""Locks in real processes that are killed and stopped: two never hold a lock at the same time."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from decreed.registry.clock import now_ms
from decreed.registry.keys import homes
from decreed.registry.locks.terms import term_key
from decreed.registry.types import NodeId

from ..support.contender import prepare
from ..support.forked import Forked
from ..support.processes import PATIENCE_S, Processes, eventually, running

ROOT = Path(__file__).parent.parent.parent
TTL_S = 1.5
MARGIN_S = 60.0
FIGHT_S = float(os.environ.get("DECREED_TEST_FIGHT_SECONDS", "15"))
SEED = int(os.environ.get("DECREED_TEST_FIGHT_SEED", "1"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@contextlib.contextmanager
def program(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A Python program, which is killed at the end, even if it is stopped."""
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    """The next line that a program prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


# -- contenders


@dataclass
class Window:
    """The time in which a holder counted itself the holder of a term, in ms on the machine's clock."""

    begin: float = float("inf")
    until: float = 0.0
    left: float = field(default=float("inf"))

    @property
    def end(self) -> float:
        """When the holder left the lock, or its validity ended."""
        return min(self.until, self.left)


def windows(folder: Path) -> dict[int, Window]:
    """The windows that the contenders recorded, by token."""
    found: dict[int, Window] = {}
    log = folder / "log"
    for line in log.read_text().splitlines() if log.exists() else []:
        kind, token, now, *until = line.split()
        window = found.setdefault(int(token), Window())
        if kind == "valid":
            window.begin = min(window.begin, float(now))
            window.until = max(window.until, float(until[0]))
        elif kind == "left":
            window.left = float(now)
    return dict(sorted(found.items()))


def overlaps(found: dict[int, Window]) -> list[tuple[int, Window, Window]]:
    """The tokens whose windows begin before an earlier one has ended."""
    bad: list[tuple[int, Window, Window]] = []
    last = Window(0.0, 0.0)
    for token, window in found.items():
        if window.begin < last.end:
            bad.append((token, last, window))
        last = max(last, window, key=lambda one: one.end) if window.until else last
    return bad


def contender(cluster: Processes, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "tests.support.contender", cluster.endpoints, "fight",
            str(TTL_S), str(folder),
        ],
        cwd=ROOT,
    )  # fmt: skip


def stop_for(process: Forked | subprocess.Popen[bytes], seconds: float) -> None:
    process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    process.send_signal(signal.SIGCONT)


def harm(cluster: Processes, fighters: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Kill and stop nodes and holders, one after another, for a while."""
    chance = random.Random(SEED)
    ends_at = time.monotonic() + FIGHT_S
    while time.monotonic() < ends_at:
        time.sleep(chance.uniform(0.2, 0.8))
        place, node = chance.randrange(len(fighters)), chance.choice(cluster.nodes)
        match chance.choice(
            ["kill node", "stop node", "kill holder", "stop holder", "stop holder"]
        ):
            case "kill node":
                cluster.kill(node)
                time.sleep(chance.uniform(0.1, 1.0))
                cluster.start(node)
            case "stop node":
                stop_for(cluster.running[node], chance.uniform(0.5, 2.0))
            case "kill holder":
                fighters[place].kill()
                fighters[place].wait()
                fighters[place] = contender(cluster, folder)
            case _:
                stop_for(fighters[place], TTL_S * chance.uniform(0.5, 2.0))


def test_two_contenders_never_hold_a_lock_at_the_same_time(tmp_path: Path) -> None:
    prepare(tmp_path)
    with running(tmp_path / "cluster") as own:
        fighters = [contender(own, tmp_path) for _ in range(2)]
        try:
            harm(own, fighters, tmp_path)
            enough = max(len(windows(tmp_path)) + 2, 6)
            eventually("they go on", lambda: len(windows(tmp_path)) >= enough)
            eventually("they have counted", lambda: len({*counted(tmp_path)}) > 5)
        finally:
            for fighter in fighters:
                fighter.kill()
                fighter.wait()
    assert overlaps(windows(tmp_path)) == []
    tokens = counted(tmp_path)
    assert tokens == sorted(tokens), "no stale token was accepted"


def counted(folder: Path) -> list[int]:
    """The tokens that passed the fence, in order."""
    with contextlib.closing(sqlite3.connect(folder / "counts.db", timeout=PATIENCE_S)) as database:
        return [token for (token,) in database.execute("SELECT token FROM counts ORDER BY id")]


def test_the_check_finds_windows_that_overlap() -> None:
    assert overlaps({1: Window(0, 10), 2: Window(10, 20), 3: Window(20, 30, 25)}) == []
    assert overlaps({1: Window(0, 10, 5), 2: Window(6, 20)}) == []
    assert [bad[0] for bad in overlaps({1: Window(0, 10), 2: Window(9, 20)})] == [2]
    assert [
        bad[0] for bad in overlaps({1: Window(0, 30), 2: Window(31, 35), 3: Window(34, 36)})
    ] == [3]


# -- a holder that is stopped

# on a slow machine the first term may end before the work begins; then there is another term
STOPPED = """
import sys, anyio
from decreed.client import connect, errors
backend, endpoints = sys.argv[1:]
async def main():
    ran_on = held = 0
    while not held:
        try:
            name = f"stopped/{backend}"
            async with connect(endpoints) as registry, registry.lock(name, ttl=1) as lock:
                held = 1
                print("held", flush=True)
                try:
                    while True:
                        await anyio.sleep(0.01)
                        ran_on += not lock.remaining
                except anyio.get_cancelled_exc_class():
                    try:
                        lock.ensure_held()
                    except errors.LockLost:
                        print("cancelled, ran on", ran_on, flush=True)
                    raise
        except errors.LockLost as error:
            if held:
                print("lost", flush=True)
anyio.run(main, backend=backend)
"""


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_stopped_holder_is_cancelled_at_its_next_await(cluster: Processes, backend: str) -> None:
    with program("-c", STOPPED, backend, cluster.endpoints) as holder:
        assert said(holder) == "held"
        holder.send_signal(signal.SIGSTOP)
        with cluster.client() as registry, registry.lock(f"stopped/{backend}", wait=PATIENCE_S):
            holder.send_signal(signal.SIGCONT)
            assert said(holder) in ("cancelled, ran on 0", "cancelled, ran on 1")
            assert said(holder) == "lost"


# -- many waiters

QUEUE_TTL_S = 600.0
WAITERS = """
import sys, anyio
from decreed.client import connect
endpoints, count = sys.argv[1], int(sys.argv[2])
async def main():
    async def wait(number):
        async with registry.lock("queue", ttl=600, wait=None):
            print("got", number, flush=True)
    async with connect(endpoints) as registry:
        await registry.lock_state("queue")
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(wait, number)
                await anyio.sleep(0.005)
            print("all wait", flush=True)
anyio.run(main)
"""


def test_live_waiters_get_the_lock_in_order_without_waiting_for_dead_ones(
    cluster: Processes,
) -> None:
    """Two hundred wait, in four programs; three of these are killed."""
    with contextlib.ExitStack() as stack, cluster.client() as registry:
        with registry.lock("queue", ttl=QUEUE_TTL_S):
            arguments = ("-c", WAITERS, cluster.endpoints, "50")
            programs = [stack.enter_context(program(*arguments)) for _ in range(4)]
            assert [said(each) for each in programs] == ["all wait"] * 4

            def waiting() -> int:
                lock_state = registry.lock_state("queue")
                return lock_state.waiters if lock_state else 0

            eventually("all 200 wait", lambda: waiting() == 200)
            for dead in programs[:3]:
                dead.kill()
            eventually("the dead wait no more", lambda: waiting() == 50)
        began = time.monotonic()
        assert [said(programs[3]) for _ in range(50)] == [f"got {n}" for n in range(50)]
        assert time.monotonic() - began < QUEUE_TTL_S, "the waiters waited for a ttl"


# -- death

HOLDER = """
import sys, time
from decreed.client import errors, sync
from decreed.registry.clock import now_ms
endpoints, name, ttl = sys.argv[1:]
with sync.connect(endpoints) as registry:
    while True:
        try:
            with registry.lock(name, ttl=float(ttl)) as lock:
                while True:
                    now = now_ms()
                    print(now + lock.remaining * 1000, flush=True)
                    time.sleep(0.02)
        except errors.LockLost:
            pass  # before it was begun, on a slow machine
"""


def last_word(holder: subprocess.Popen[str]) -> float:
    """The time until which a dead holder counted itself the holder."""
    assert holder.stdout is not None
    *_, last = holder.stdout.read().split()
    return float(last)


@pytest.mark.parametrize("victims", ["the holder", "the holder and its home", "everybody"])
def test_a_dead_holders_lock_is_free_after_its_ttl_and_never_before(
    tmp_path: Path, victims: str
) -> None:
    name = "death"
    with running(tmp_path / "cluster") as own, ThreadPoolExecutor(1) as pool:
        with program("-c", HOLDER, own.endpoints, name, str(TTL_S)) as holder:
            said(holder)
            with own.client() as registry:
                registry.claim("up", "yes")
            time.sleep(TTL_S)
            holder.kill()
            dead = {"the holder": 0, "the holder and its home": 1, "everybody": 3}[victims]
            own.kill(*home_first(own, name)[:dead])
            until_ms = last_word(holder)
        waiting = pool.submit(got_at, own, name)
        if dead == 3:
            for node in own.nodes:
                own.start(node)
            own.await_voting(*own.nodes)
        ready_ms = now_ms()
        got_ms = waiting.result(PATIENCE_S)
    assert got_ms >= until_ms
    assert got_ms - max(until_ms, ready_ms) < (TTL_S + MARGIN_S) * 1000


def home_first(cluster: Processes, lock: str) -> list[str]:
    return [str(node) for node in homes(term_key(lock, 1), map(NodeId, cluster.nodes))]


def got_at(cluster: Processes, name: str) -> float:
    """The time at which another client got the lock."""
    with cluster.client() as registry:
        registry.wait("up", timeout=None)  # all nodes may be down at the first contact
        with registry.lock(name, ttl=5, wait=PATIENCE_S):
            return now_ms()
