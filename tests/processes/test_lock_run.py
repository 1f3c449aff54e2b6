"""``decreed lock run``, ``elect`` and ``once`` on a real cluster: exit codes, signals, no leftovers."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from decreed.registry.clock import now_ms

from ..support.held_up import watched_from_beside
from ..support.processes import PATIENCE_S, Processes, decreed, eventually, run, running

TTL_S = 60.0
SHORT_TTL_S = 3.0
"""For the tests that wait until a lock runs out."""
LONGER_TTL_S = 12.0
"""The watchdog kills a twelfth of it before the end, which leaves room on a busy machine."""
MARGIN_S = SHORT_TTL_S / 12 / 2
"""Half of the watchdog's time for a short ttl: it must also wake up and find all processes."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@contextlib.contextmanager
def locked(
    cluster: Processes,
    lock: str,
    script: str,
    *options: str,
    how: tuple[str, ...] = ("lock", "run"),
    ttl_s: float = TTL_S,
) -> Iterator[subprocess.Popen[bytes]]:
    """A shell script that runs under a lock; processes that are left at the end are killed."""
    command = decreed(*how, lock, "--ttl", f"{ttl_s}s", *options, "--", "sh", "-c", script)
    process = subprocess.Popen(
        command,
        env={
            **os.environ,
            "DECREED_ENDPOINTS": cluster.endpoints,
            "DECREED_TIMEOUT": f"{PATIENCE_S}s",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def pids(file: Path, count: int) -> list[int]:
    """The process ids that a script has written, once there are `count` of them."""
    eventually(f"{count} lines in {file.name}", lambda: begun(file, count))
    return [int(line) for line in lines(file)]


def lines(file: Path) -> list[str]:
    return file.read_text().split()


def test_the_command_gets_a_token_and_its_exit_code_is_passed_on(cluster: Processes) -> None:
    for token in (1, 2):
        done = run(
            "lock", "run", "codes", "--", "sh", "-c", 'echo "$DECREED_LOCK $DECREED_TOKEN"; exit 7',
            endpoints=cluster.endpoints,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (7, f"codes {token}\n".encode()), done
        assert done.stderr == b""


def test_our_own_exit_codes_differ_from_those_of_commands(cluster: Processes) -> None:
    def code(*arguments: str, endpoints: str = cluster.endpoints) -> int:
        done = run("lock", "run", *arguments, endpoints=endpoints)
        assert done.stdout == b"" and done.stderr.count(b"\n") == 1, done
        return done.returncode

    assert code("a//b", "--", "true") == 125
    assert code("x", "--nonsense") == 125
    assert code("missing", "--", "/no/such/program") == 127
    assert code("not-a-program", "--", "/etc/passwd") == 126
    assert code("nobody", "--wait", "500ms", "--", "true", endpoints="127.0.0.1:9") == 125
    with locked(cluster, "held", "echo ready; sleep 600", "--note", "release 12") as process:
        assert process.stdout is not None and process.stdout.readline()
        assert code("held", "--wait", "0", "--", "true") == 121
        assert code("held", "--wait", "3s", "--", "true") == 121
        shown = run("lock", "show", "held", "--json", endpoints=cluster.endpoints)
        document = json.loads(shown.stdout)
        assert (document["pid"], document["note"], document["held"]) == (
            process.pid, "release 12", True,
        )  # fmt: skip


def test_a_timeout_ends_a_command_that_cannot_begin(cluster: Processes) -> None:
    """The timeout of lock run limits reaching the cluster, that of elect the whole campaign."""

    def code(words: str, endpoints: str, script: str = "true") -> int:
        return run(*words.split(), "--", "sh", "-c", script, endpoints=endpoints).returncode

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        nowhere = f"127.0.0.1:{silent.getsockname()[1]}"
        assert code("lock run far --wait 1h --timeout 300ms", nowhere) == 125
        assert code("elect far --timeout 300ms", nowhere) == 125
    with locked(cluster, "taken", "echo ready; sleep 60") as process:
        assert process.stdout is not None and process.stdout.readline()
        assert code("elect taken --timeout 500ms", cluster.endpoints) == 121
    # a command that has begun continues; on a slow machine the time may end before that
    codes = (
        code("elect led --timeout 2s", cluster.endpoints, "sleep 3; exit 3") for _ in range(20)
    )
    assert next(each for each in codes if each not in (121, 125)) == 3


def test_signals_are_passed_on_and_the_command_decides_the_exit_code(cluster: Processes) -> None:
    script = "trap 'exit 9' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.2; done"
    with locked(cluster, "signals", script) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == b"usr1\n"
        process.terminate()
        assert process.wait(PATIENCE_S) == 9
    with locked(cluster, "signals", "echo ready; exec sleep 600") as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGINT


def test_a_signal_ends_lock_run_while_it_waits(cluster: Processes) -> None:
    with locked(cluster, "busy", "echo ready; sleep 600") as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        with locked(cluster, "busy", "true") as waiter:
            eventually("it waits", lambda: waiters(cluster, "busy") == 1)
            waiter.terminate()
            assert waiter.wait(PATIENCE_S) == 128 + signal.SIGTERM
        eventually("it waits no more", lambda: waiters(cluster, "busy") == 0)


def waiters(cluster: Processes, lock: str) -> int:
    with cluster.client() as registry:
        lock_state = registry.lock_state(lock)
        return lock_state.waiters if lock_state else 0


STUBBORN = """
trap '' TERM
echo $$ >> {file}
sh -c 'echo $$ >> {file}; exec sleep 6000' &
setsid sh -c 'echo $$ >> {file}; exec sleep 6000' &
exec sleep 6000
"""


@contextlib.contextmanager
def stubborn(
    cluster: Processes, folder: Path, name: str
) -> Iterator[tuple[str, subprocess.Popen[bytes], list[int]]]:
    """Such a command under a lock with a short ttl: the lock, who holds it, and what the command began.

    On a slow machine the lock may be lost before all of it has begun. Then it is tried with another.
    """
    for number in range(20):
        lock, file = f"stubborn-{name}-{number}", folder / f"pids-{name}-{number}"
        script = STUBBORN.format(file=file)
        with locked(cluster, lock, script, ttl_s=SHORT_TTL_S) as process:
            await_start(process, file, 3)
            if begun(file, 3):
                yield lock, process, pids(file, 3)
                return
    raise AssertionError("it was never begun in time")


def await_start(process: subprocess.Popen[bytes], file: Path, count: int) -> None:
    """Wait until a script has written `count` lines, or has ended."""
    eventually("it begins or ends", lambda: begun(file, count) or process.poll() is not None)


def begun(file: Path, count: int) -> bool:
    """Whether a script has written `count` lines."""
    return file.exists() and len(lines(file)) >= count


@pytest.mark.parametrize("fate", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
def test_nothing_of_a_stubborn_command_outlives_the_validity(
    cluster: Processes, tmp_path: Path, fate: signal.Signals
) -> None:
    """It ignores TERM, it forks, and one of its children leaves the process group.

    A guard that the machine stops for longer than its margin is late: then it is tried again. It may be
    stopped alone, so one that was late must be in time three times as often.
    """
    late = in_time = 0
    for number in range(20):
        with watched_from_beside() as held_up_s:
            running_on = outlives(cluster, tmp_path, f"{fate.name}-{number}", fate)
            late += bool(running_on) and held_up_s() < MARGIN_S
            in_time += not running_on
        if late == 3 or in_time > 3 * late:
            break
    assert running_on == []
    assert in_time > 3 * late


def outlives(cluster: Processes, folder: Path, name: str, fate: signal.Signals) -> list[int]:
    """The processes of such a command that still run when another client has the lock."""
    with stubborn(cluster, folder, name) as (lock, process, command):
        process.send_signal(fate)
        with cluster.client() as registry, registry.lock(lock, wait=PATIENCE_S) as lock_of_another:
            running_on = [pid for pid in command if alive(pid)]
            assert lock_of_another.token == 2
        if fate is signal.SIGSTOP:
            process.send_signal(signal.SIGCONT)
            assert process.wait(PATIENCE_S) == 120
            assert process.stderr is not None and b"was lost" in process.stderr.read()
    return running_on


def test_a_broken_lock_stops_its_command(cluster: Processes, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    script = f"echo $$ >> {file}; exec sleep 600"
    with locked(cluster, "broken", script, ttl_s=LONGER_TTL_S) as process:
        [command] = pids(file, 1)
        refused = run("lock", "break", "broken", "--reason", "x", endpoints=cluster.endpoints)
        assert refused.returncode == 2 and b"--yes" in refused.stderr
        broken = run(
            "lock", "break", "broken", "--reason", "it hangs", "--yes", endpoints=cluster.endpoints
        )
        assert broken.returncode == 0, broken
        assert process.wait(PATIENCE_S) == 120
        assert not alive(command)
    after = run("lock", "run", "broken", "--", "true", endpoints=cluster.endpoints)
    assert after.returncode == 0
    told = run("lock", "history", "broken", endpoints=cluster.endpoints).stdout.decode()
    assert "broken by" in told and "it hangs" in told


def test_processes_that_a_command_leaves_running_are_stopped(
    cluster: Processes, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    script = (
        f"setsid sh -c 'echo $$ >> {file}; exec sleep 600' & sleep 600 & echo $! >> {file};"
        f" until [ $(wc -l < {file}) = 2 ]; do sleep 0.1; done"
    )
    with locked(cluster, "leaves", script) as process:
        left = pids(file, 2)
        assert process.wait(PATIENCE_S) == 0
        assert [pid for pid in left if alive(pid)] == []


def test_the_command_of_a_killed_watchdog_is_killed(cluster: Processes, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    script = f"echo $PPID >> {file}; echo $$ >> {file}; exec sleep 600"
    with locked(cluster, "guardless", script) as process:
        watchdog, command = pids(file, 2)
        os.kill(watchdog, signal.SIGKILL)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGKILL
        eventually("the command is dead", lambda: not alive(command))


def test_the_locks_are_listed(cluster: Processes) -> None:
    with cluster.client() as registry, registry.lock("listed/one", note="here"):
        text = run("lock", "list", endpoints=cluster.endpoints).stdout.decode()
        row = next(line for line in text.splitlines() if line.startswith("listed/one "))
        assert "held by" in row and "note: here" in row and "s left" in row
    shown = run("lock", "show", "listed/one", endpoints=cluster.endpoints).stdout.decode()
    assert shown.startswith("listed/one  free, released")
    assert run("lock", "show", "never", endpoints=cluster.endpoints).returncode == 4


def test_the_leader_runs_its_command_and_the_next_leader_follows(
    cluster: Processes, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    script = f"echo $$ >> {file}; exec sleep 600"
    with (
        locked(cluster, "service", script, how=("elect",)) as first,
        locked(cluster, "service", script, how=("elect",)) as second,
    ):
        [leading] = pids(file, 1)
        told = run("leader", "service", "--json", endpoints=cluster.endpoints)
        leader = json.loads(told.stdout)["pid"]
        by_pid = {first.pid: first, second.pid: second}
        by_pid[leader].terminate()
        assert by_pid[leader].wait(PATIENCE_S) == 128 + signal.SIGTERM
        assert not alive(leading)
        assert len(pids(file, 2)) == 2
        os.kill(pids(file, 2)[1], signal.SIGKILL)
        eventually("a command that ends is run again", lambda: len(lines(file)) == 3)
        assert any("term 3" in line for line in watched(cluster, "service"))


def watched(cluster: Processes, name: str) -> Iterator[str]:
    """The lines of a command that watches who leads, as they come."""
    with subprocess.Popen(
        decreed("leader", name, "--watch"),
        env={**os.environ, "DECREED_ENDPOINTS": cluster.endpoints},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield from process.stdout
        finally:
            process.kill()


def test_once_runs_once(cluster: Processes) -> None:
    results = [
        run("once", "jobs/1", "--", "sh", "-c", "echo it runs; exit 5", endpoints=cluster.endpoints)
        for _ in range(2)
    ]
    assert [result.returncode for result in results] == [5, 121]
    assert [result.stdout for result in results] == [b"it runs\n", b""]
    assert b"has won it and runs the command" in results[1].stderr


# it says when it runs, on the clock of leases, so that nobody who looks at it can be late
RUNS_ON = """
import os, signal, sys, time
from decreed.registry.clock import now_ms
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[1], "w") as file:
    print(os.getpid(), file=file, flush=True)
    while True:
        print(now_ms(), file=file, flush=True)
        time.sleep(0.02)
"""


def test_a_command_is_stopped_in_time_when_no_quorum_is_left(tmp_path: Path) -> None:
    file, program = tmp_path / "times", tmp_path / "runs_on.py"
    program.write_text(RUNS_ON)
    script = f"exec {sys.executable} {program} {file}"
    with (
        running(tmp_path / "cluster") as own,
        locked(own, "quorum", script, ttl_s=LONGER_TTL_S) as process,
    ):
        eventually("it runs", lambda: begun(file, 2))
        killed_ms = now_ms()
        own.kill("n1", "n2")
        command = int(lines(file)[0])
        eventually("the command is dead", lambda: not alive(command))
        *_, last_ms = lines(file)
        assert float(last_ms) - killed_ms < LONGER_TTL_S * 1_000
        assert process.wait(PATIENCE_S) == 120
