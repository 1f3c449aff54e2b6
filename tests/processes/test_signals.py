"""Signals: ignored signals stay ignored, and SIGTERM ends the first process of a container.

A cluster runs here only for the commands under a lock. The others talk to a port that accepts
connections and stays silent, so that each is in the middle of its work.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support import ports
from ..support.processes import PATIENCE_S, Processes, decreed, eventually, running

IN_THE_MIDDLE = {
    "wait": ("wait", "k"),
    "watch": ("watch",),
    "leader": ("leader", "l", "--watch"),
    "get": ("get", "k", "--timeout", "1h"),
    "list": ("list", "--timeout", "1h"),
    "claim": ("claim", "k", "v", "--timeout", "1h"),
    "next": ("next", "s", "v", "--timeout", "1h"),
    "status": ("status", "--timeout", "1h"),
    "bench": ("bench", "--yes", "--timeout", "1h"),
    "lock run": ("lock", "run", "l", "--", "true"),
    "elect": ("elect", "l", "--", "true"),
}
UNSHARE = ["unshare", "--pid", "--fork"]
ENDED_BY_A_FRIEND = ("bench", "lock run", "elect")


def may_unshare() -> bool:
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=20)
    except OSError:
        return False
    return done.returncode == 0


needs_unshare = pytest.mark.skipif(not may_unshare(), reason="no process namespace may be made")


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        listener.settimeout(PATIENCE_S)
        yield listener


@contextlib.contextmanager
def begun(listener: socket.socket, words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that has connected."""
    endpoints = f"127.0.0.1:{listener.getsockname()[1]}"
    process = subprocess.Popen(
        words,
        env={**os.environ, "DECREED_ENDPOINTS": endpoints},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        connection, _ = listener.accept()
        with connection:
            yield process
    finally:
        process.kill()
        process.wait(PATIENCE_S)


def code_of_first_process(listener: socket.socket, words: list[str], number: int) -> int:
    """The exit code of a command that is the first process of a namespace and gets a signal."""
    with begun(listener, [*UNSHARE, *decreed(*words)]) as process:
        first = child_of(process)
        try:
            os.kill(first, number)
            return process.wait(PATIENCE_S)
        finally:
            if process.poll() is None:
                os.kill(first, signal.SIGKILL)


def child_of(process: subprocess.Popen[bytes]) -> int:
    """The only child of a process."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    eventually("it has a child", lambda: bool(path.read_text().split()))
    return int(path.read_text().split()[0])


@needs_unshare
@pytest.mark.parametrize("command", IN_THE_MIDDLE)
def test_the_first_process_of_a_container_ends_by_sigterm(
    silent: socket.socket, command: str
) -> None:
    code = code_of_first_process(silent, [*IN_THE_MIDDLE[command]], signal.SIGTERM)
    assert code == (130 if command == "bench" else 128 + signal.SIGTERM)


@needs_unshare
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)]
)
def test_the_first_process_of_a_container_ends_by_others_too(
    silent: socket.socket, number: signal.Signals, code: int
) -> None:
    assert code_of_first_process(silent, ["wait", "k"], number) == code


@pytest.mark.parametrize("command", [x for x in IN_THE_MIDDLE if x not in ENDED_BY_A_FRIEND])
def test_the_parent_of_any_other_process_sees_the_signal_that_ended_it(
    silent: socket.socket, command: str
) -> None:
    with begun(silent, decreed(*IN_THE_MIDDLE[command])) as process:
        process.terminate()
        assert process.wait(PATIENCE_S) == -signal.SIGTERM


FIRST_STOP = """
import os, signal, sys
os.getpid = lambda: 1
from decreed.cli.shell import signals
signals.end_as_first_process()
print([signal.getsignal(x) is signals._exit for x in signals.ENDING], flush=True)
os.kill(os.getppid(), 0)
signal.raise_signal(signal.SIGTERM)
"""


def test_the_handlers_are_set_even_without_namespaces() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_STOP], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (143, "[True, True, True]\n"), done.stderr


# -- an interrupt at a place where exceptions are lost

# in a callback of the garbage collector, as in a finalizer
DEAF = """
import signal, sys, weakref
from decreed.cli import early
import {module}
module = sys.modules["{module}"]

class Gone:
    pass

whole = module.{name}
def interrupted(*arguments, **settings):
    gone = Gone()
    noted = weakref.ref(gone, lambda noted: signal.raise_signal(signal.SIGINT))
    del gone
    return whole(*arguments, **settings)
module.{name} = interrupted
sys.argv = ["decreed", *{words}]
early.main()
"""


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        ("decreed.client.blocking", "ask", IN_THE_MIDDLE["claim"]),
        ("decreed.client", "connect", IN_THE_MIDDLE["wait"]),
    ],
    ids=["without an event loop", "in trio"],
)
def test_an_interrupt_is_not_lost_wherever_it_comes(
    silent: socket.socket, module: str, name: str, words: tuple[str, ...]
) -> None:
    program = DEAF.format(module=module, name=name, words=words)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "DECREED_ENDPOINTS": f"127.0.0.1:{silent.getsockname()[1]}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 128 + signal.SIGINT, done
    assert "Traceback" not in done.stderr
    assert ("interrupted; it may be chosen" in done.stderr) == ("claim" in words)


# -- ignored signals


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
SHOW_IGNORED = "grep SigIgn /proc/self/status; read line; echo heard $line"


def ignore() -> None:
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


@pytest.mark.parametrize("how", [("lock", "run"), ("elect",)], ids=["lock run", "elect"])
def test_ignored_signals_stay_ignored_by_us_and_by_the_command(
    cluster: Processes, how: tuple[str, ...]
) -> None:
    process = subprocess.Popen(
        decreed(*how, f"ignored-{how[-1]}", "--", "sh", "-c", SHOW_IGNORED),
        env={**os.environ, "DECREED_ENDPOINTS": cluster.endpoints},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=ignore,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        mask = int(process.stdout.readline().split()[1], 16)
        assert [number for number in IGNORED if not mask >> (number - 1) & 1] == []
        for number in IGNORED:
            process.send_signal(number)
        process.stdin.write(b"it\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"heard it\n"
        process.terminate()
        assert process.wait(PATIENCE_S) in (0, 143)
    finally:
        process.kill()
        process.communicate()


def test_a_node_in_the_background_of_a_script_is_not_stopped_by_ctrl_c(tmp_path: Path) -> None:
    """A shell without job control has its background processes ignore SIGINT."""
    with ports.held(1) as [port]:
        init = decreed("init", tmp_path, "--node", f"n1=127.0.0.1:{port}")
        subprocess.run(init, check=True, capture_output=True)
        process = subprocess.Popen(
            decreed(
                "serve", "--config", tmp_path / "cluster.toml", "--node", "n1",
                "--data", tmp_path / "d",
                "--json",
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=ignore,
        )  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        try:
            assert process.stderr.readline()
            process.send_signal(signal.SIGINT)
            process.terminate()
            _, log = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.wait(PATIENCE_S)
    assert process.returncode == 0
    assert b"SIGTERM" in log and b"SIGINT" not in log
