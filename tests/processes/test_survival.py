"""Real processes, killed and paused at any moment: nothing acknowledged is lost or changed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from decreed.client import Claimed, Outcome, Registry, connect, errors, sync
from decreed.client.requests import operations, sender
from decreed.client.transport import pulse

from ..support.processes import Processes, eventually, run, running

CLAIMANTS = int(os.environ.get("DECREED_TEST_CLAIMANTS", "5"))
KEYS = int(os.environ.get("DECREED_TEST_KEYS", "100"))
LIMIT_S = 600.0
MOST_FAULTS = 12
"""The most faults of a test: otherwise a slow machine would only start nodes."""
SUSPECT_MS = 15_000
PROMPT_S = 0.25
"""A node that answers within this time was not held up, and neither was the machine."""
ROUNDS = int(os.environ.get("DECREED_TEST_ROUNDS", "3"))

CLAIMANT = """
import sys
from decreed.client import errors, sync
me, endpoints, keys = sys.argv[1], sys.argv[2], int(sys.argv[3])
with sync.connect(endpoints, timeout=600) as registry:
    registry.wait("begin", timeout=None)  # all nodes may be down at the first contact
    for number in range(keys):
        claimed = registry.claim(f"race/{number}", f"{me}/{number}", claim_id=f"{me}/{number}")
        print(number, claimed.outcome.name, claimed.decree.text, flush=True)
"""


@contextmanager
def trouble(cluster: Processes, *kinds: str, pause_s: float = 0.3) -> Iterator[list[str]]:
    """Kill and restart, or pause and continue, one random node after another."""
    over = threading.Event()
    done: list[str] = []

    def make() -> None:
        chance = random.Random(7)
        while len(done) < MOST_FAULTS and not over.wait(pause_s):
            node, kind = chance.choice(cluster.nodes), chance.choice(kinds)
            if kind == "kill":
                await_another(cluster, node)
                cluster.kill(node)
                over.wait(pause_s)
                cluster.start(node)
            else:
                cluster.signal(node, signal.SIGSTOP)
                over.wait(2 * pause_s)
                cluster.signal(node, signal.SIGCONT)
            done.append(f"{kind} {node}")

    thread = threading.Thread(target=make)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def await_another(cluster: Processes, node: str) -> None:
    """Wait until a node other than `node` answers: to whom nobody listens, it is said at once."""
    others = [other for other in cluster.nodes if other != node]
    eventually("another answers", lambda: any(cluster.report(other) for other in others))


def zone_files() -> dict[str, bytes]:
    """All binary files of the tzdata package, by the path below it."""
    root = Path(str(files("tzdata") / "zoneinfo"))
    found = {
        path.relative_to(root): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    return {str(path): data for path, data in found.items() if data.startswith(b"TZif")}


def test_every_file_of_an_import_is_there_byte_for_byte_though_nodes_are_killed(
    tmp_path: Path,
) -> None:
    wanted = zone_files()
    assert len(wanted) > 500
    folder = tmp_path / "zones"
    for name, data in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    with running(tmp_path / "cluster") as cluster:
        with trouble(cluster, "kill") as done:
            for _ in range(3):  # repeating is safe
                imported = run(
                    "import",
                    folder,
                    "tz",
                    "--timeout",
                    "600s",
                    endpoints=cluster.endpoints,
                    timeout=2 * LIMIT_S,
                )
                assert imported.returncode == 0, imported.stderr
            eventually("two kills", lambda: len(done) >= 2)
        cluster.await_voting(*cluster.nodes)
        for node in cluster.nodes:
            with cluster.alone(node) as registry:
                listed = {decree.key: decree.value for decree in registry.list("tz")}
                assert listed == {f"tz/{name}": data for name, data in wanted.items()}
                got = registry.get_many([f"tz/{name}" for name in wanted])
                assert {key: d and d.value for key, d in got.items()} == listed


def test_many_processes_that_race_are_all_told_the_same_winner(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        with cluster.client() as registry:
            registry.claim("begin", "now")
        with trouble(cluster, "kill", "pause"):
            command = [sys.executable, "-c", CLAIMANT]
            claimants = [
                subprocess.Popen(
                    [*command, f"p{number}", cluster.endpoints, str(KEYS)],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for number in range(CLAIMANTS)
            ]
            told = [claimant.communicate(timeout=LIMIT_S)[0].splitlines() for claimant in claimants]
        assert [claimant.returncode for claimant in claimants] == [0] * CLAIMANTS
        winners: dict[int, str] = {}
        won: dict[int, list[str]] = {number: [] for number in range(KEYS)}
        for number, lines in enumerate(told):
            for line in lines:
                key, outcome, winner = line.split()
                assert winners.setdefault(int(key), winner) == winner
                if outcome == Outcome.WON.name:
                    won[int(key)].append(f"p{number}/{key}")
        assert won == {key: [winner] for key, winner in winners.items()}
        cluster.await_voting(*cluster.nodes)
        for node in cluster.nodes:
            with cluster.alone(node) as registry:
                read = {decree.key: decree.text for decree in registry.list("race")}
            assert read == {f"race/{key}": winner for key, winner in winners.items()}


def more_than(things: Sized, count: int) -> bool:
    return len(things) > count


def test_nothing_acknowledged_is_lost_when_all_nodes_are_killed_at_once(tmp_path: Path) -> None:
    acknowledged: dict[str, str] = {}
    over = threading.Event()

    def claim_on(cluster: Processes, worker: int) -> None:
        number = 0
        with sync.connect(cluster.endpoints, timeout=LIMIT_S) as registry:
            while not over.is_set():
                key = f"w{worker}/{number}"
                acknowledged[key] = registry.claim(key, f"value of {key}").decree.text
                number += 1

    with running(tmp_path) as cluster:
        workers = [threading.Thread(target=claim_on, args=(cluster, n)) for n in range(8)]
        for worker in workers:
            worker.start()
        for _ in range(ROUNDS):
            enough = len(acknowledged) + 50
            eventually("claims flow", partial(more_than, acknowledged, enough))
            cluster.kill(*cluster.nodes)
            for node in cluster.nodes:
                cluster.start(node)
        over.set()
        for worker in workers:
            worker.join()
        cluster.await_voting(*cluster.nodes)
        for node in cluster.nodes:
            with cluster.alone(node) as registry:
                read = {decree.key: decree.text for decree in registry.list()}
            assert acknowledged.items() <= read.items()


def test_claims_succeed_with_one_node_down_and_fail_with_two_down(
    tmp_path: Path,
) -> None:
    def slow_to_suspect(text: str) -> str:
        return text.replace("suspect_ms = 250", f"suspect_ms = {SUSPECT_MS}")

    with running(tmp_path, edit=slow_to_suspect) as cluster:
        assert str(SUSPECT_MS) in cluster.config.read_text()
        with cluster.client() as registry:
            registry.claim("before", "1")
            cluster.kill("n1")
            slowest = 0.0
            for number in range(30):
                began = time.monotonic()
                registry.claim(f"one-down/{number}", "1", timeout=60)
                slowest = max(slowest, time.monotonic() - began)
            assert slowest < SUSPECT_MS / 1000, "a claim waited until a node was suspected"
        cluster.kill("n2")
        for command in (("claim", "x", "1"), ("get", "never")):
            ended = run(*command, "--timeout", "1s", endpoints=cluster.endpoints)
            assert ended.returncode in (5, 6), ended
            assert ended.stdout == b""
        with cluster.alone("n3") as registry:
            decree = registry.get("before")
            assert decree is not None and decree.text == "1", "what is learned needs no quorum"
            with pytest.raises(errors.Unreachable):
                list(registry.list(timeout=1))


def test_a_paused_node_delays_claims_only_briefly_and_resumes_without_harm(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as cluster, cluster.client() as registry:
        for node in cluster.nodes:
            cluster.signal(node, signal.SIGSTOP)
            claims = [registry.claim(f"{node}/{n}", "x", timeout=60) for n in range(30)]
            cluster.signal(node, signal.SIGCONT)
            assert all(claimed.won for claimed in claims)
        cluster.await_voting(*cluster.nodes)
        for node in cluster.nodes:
            with cluster.alone(node) as alone:
                assert len(list(alone.list())) == 90


def test_a_command_leaves_a_stopped_node_long_before_its_time_is_over(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        for stopped in cluster.nodes:
            cluster.signal(stopped, signal.SIGSTOP)
            for command, expected in (
                (("claim", f"{stopped}/k", "x"), 0),
                (("get", f"{stopped}/k"), 0),
                (("get", f"{stopped}/none"), 4),
            ):
                began = time.monotonic()
                ended = run(*command, "--timeout", f"{LIMIT_S}s", endpoints=cluster.endpoints)
                assert ended.returncode == expected, ended
                # about a second, when the machine has nothing else to do
                assert time.monotonic() - began < LIMIT_S / 4
            cluster.signal(stopped, signal.SIGCONT)
            cluster.await_voting(*cluster.nodes)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_waits_at_a_stopped_node_are_answered_by_the_others(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 20
    # a client that does not leave the silent node would still be there when the test ends
    monkeypatch.setattr(sender, "POLL_SECONDS", LIMIT_S)
    monkeypatch.setattr(operations, "POLL_SECONDS", LIMIT_S)
    monkeypatch.setattr(pulse, "DEAD_SECONDS", LIMIT_S)
    with running(tmp_path) as cluster:
        for stopped in cluster.nodes:
            seen = anyio.run(wait_and_watch, cluster, stopped, count, backend=backend)
            keys = sorted(f"{stopped}/{number}" for number in range(count))
            assert sorted(seen["wait"]) == keys
            assert sorted(seen["watch"]) == keys, "nothing is missed and nothing comes twice"
            cluster.signal(stopped, signal.SIGCONT)
            cluster.await_voting(*cluster.nodes)


async def wait_and_watch(cluster: Processes, stopped: str, count: int) -> dict[str, list[str]]:
    """The events that many waits and watches get of keys decided after `stopped` was stopped."""
    seen: dict[str, list[str]] = {"wait": [], "watch": []}
    begun = anyio.Semaphore(0)
    enough = anyio.Event()

    async def wait(registry: Registry, key: str) -> None:
        seen["wait"].append((await registry.wait(key, timeout=LIMIT_S)).key)

    async def watch(registry: Registry, key: str) -> None:
        watching = registry.watch(key)
        await watching.begin()
        begun.release()
        async for watched in watching:
            seen["watch"].append(watched.decree.key)
            if len(seen["watch"]) == count:
                enough.set()

    addresses = [*cluster.addresses.values()]
    with anyio.fail_after(LIMIT_S / 4):
        async with (
            connect(*addresses) as registry,
            connect(*addresses) as other,
            anyio.create_task_group() as tasks,
        ):
            keys = [f"{stopped}/{number}" for number in range(count)]
            for key in keys:
                tasks.start_soon(wait, registry, key)
                tasks.start_soon(watch, registry, key)
            for _ in keys:
                await begun.acquire()
            await other.status()
            cluster.signal(stopped, signal.SIGSTOP)
            results = await other.claim_many([(key, "x") for key in keys])
            assert all(isinstance(result, Claimed) and result.won for result in results)
            await enough.wait()
            while len(seen["wait"]) < count:
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    return seen


def test_a_wait_that_ends_at_a_stopped_node_ends_as_undecided(tmp_path: Path) -> None:
    """If other nodes or this process were held up at its end, it may end differently: try again."""
    with running(tmp_path) as cluster:
        for _ in range(10):
            ended, slowest_s = anyio.run(ends_of_waits, cluster)
            if set(ended) == {errors.StillUndecided} or slowest_s < PROMPT_S:
                break
            cluster.signal("n1", signal.SIGCONT)
            cluster.await_voting(*cluster.nodes)
    assert ended == [errors.StillUndecided] * 10


async def ends_of_waits(cluster: Processes) -> tuple[list[type[errors.DecreedError]], float]:
    """How waits end once n1 is stopped, and the longest that another node took to answer meanwhile."""
    ended: list[type[errors.DecreedError]] = []
    slowest_s = 0.0

    async def wait(registry: Registry, key: str) -> None:
        with pytest.raises(errors.DecreedError) as caught:
            await registry.wait(key, timeout=5)
        ended.append(caught.type)

    async def look(node: str) -> None:
        nonlocal slowest_s
        while True:
            began = anyio.current_time()
            await anyio.to_thread.run_sync(cluster.report, node)
            await anyio.sleep(0.02)
            slowest_s = max(slowest_s, anyio.current_time() - began)

    async with (
        connect(*cluster.addresses.values()) as registry,
        anyio.create_task_group() as looking,
    ):
        await registry.status()
        cluster.signal("n1", signal.SIGSTOP)
        for node in ("n2", "n3"):
            looking.start_soon(look, node)
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(wait, registry, f"k{number}")
        looking.cancel_scope.cancel()
    return ended, slowest_s


def test_a_node_that_was_down_soon_has_every_decree(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.kill("n3")
        with cluster.client() as registry:
            for batch in range(4):
                items = [(f"k/{batch}/{n}", "x" * 64) for n in range(1_000)]
                results = registry.claim_many(items, timeout=LIMIT_S)
                assert all(isinstance(result, Claimed) and result.won for result in results)
        cluster.start("n3")

        def caught_up() -> bool:
            report = cluster.report("n3")
            return report is not None and report.decrees == 4_000

        eventually("n3 has all decrees", caught_up)


def test_sigterm_ends_a_node_with_0_and_answers_what_is_in_batch(tmp_path: Path) -> None:
    with running(tmp_path) as cluster, cluster.client() as registry:
        over = threading.Event()
        failures: list[BaseException] = []

        def claim_on() -> None:
            number = 0
            while not over.is_set():
                try:
                    registry.claim(f"k{number}", "x", timeout=60)
                except errors.DecreedError as error:
                    failures.append(error)
                number += 1

        worker = threading.Thread(target=claim_on)
        worker.start()
        assert cluster.stop("n2") == 0
        cluster.start("n2")
        over.set()
        worker.join()
        assert failures == []
