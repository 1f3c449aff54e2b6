"""Programs interrupted while they wait for a lock: the next waiter does not wait for a lease."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from decreed.client import sync

from ..support.processes import PATIENCE_S, Processes, decreed, eventually, running

ROOT = Path(__file__).parent.parent.parent
LONG_S = 120.0
MOMENTS_MS = (-3, 0, 1, 3, 6)
"""When the program is interrupted, counted from the release of the lock that it waits for."""
PROGRAM = f"""
import sys
from decreed.client import sync

with sync.connect(sys.argv[1]) as registry:
    try:
        with registry.lock(sys.argv[2], ttl={LONG_S}):
            pass
    except KeyboardInterrupt:
        sys.exit(3)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def program(cluster: Processes, lock: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, cluster.endpoints, lock]


def lock_run(cluster: Processes, lock: str) -> list[str]:
    return decreed("lock", "run", lock, "--ttl", f"{LONG_S:g}s", "--", "true")


@pytest.mark.parametrize("waits", [program, lock_run])
def test_a_program_that_is_interrupted_in_a_hand_over_leaves_the_lock_to_others(
    cluster: Processes, waits: Callable[[Processes, str], list[str]]
) -> None:
    with cluster.client() as registry:
        for number, moment_ms in enumerate(MOMENTS_MS):
            lock = f"{waits.__name__}/{number}"
            interrupt(registry, lock, waits(cluster, lock), moment_ms / 1000, cluster)
            with registry.lock(lock, wait=LONG_S / 2):
                pass


def interrupt(
    registry: sync.Registry, lock: str, command: list[str], after_s: float, cluster: Processes
) -> None:
    """Interrupt a command that waits for a lock, at about the release of that lock."""
    environment = {**os.environ, "DECREED_ENDPOINTS": cluster.endpoints}
    with registry.lock(lock, ttl=LONG_S):
        waiter = subprocess.Popen(command, env=environment, cwd=ROOT)
        eventually("it waits", lambda: waiters(registry, lock) == 1)
        timer = threading.Timer(0.02 + after_s, waiter.send_signal, [signal.SIGINT])
        timer.start()
        time.sleep(0.02)
    timer.join()
    try:
        assert waiter.wait(PATIENCE_S) in (0, 3, 128 + signal.SIGINT)
    finally:
        waiter.kill()
        waiter.wait()


def waiters(registry: sync.Registry, lock: str) -> int:
    lock_state = registry.lock_state(lock)
    return lock_state.waiters if lock_state else 0
