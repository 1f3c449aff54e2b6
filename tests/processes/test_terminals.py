"""``lock run`` at a terminal: which process has it, typed keys, and suspending a job."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..support.processes import PATIENCE_S, Processes, decreed, eventually, running
from ..support.terminals import Typist

READS_TERMINAL = "read line < /dev/tty && echo read $line > /dev/tty"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


Sit = Callable[..., Typist]


@pytest.fixture
def sit(cluster: Processes) -> Iterator[Sit]:
    """Makes terminals, at each of which a program runs; all are closed at the end."""
    found: list[Typist] = []

    def sit(*words: str) -> Typist:
        found.append(Typist([*words], cluster.endpoints))
        return found[-1]

    yield sit
    for each in found:
        each.close()


@pytest.fixture
def shell(sit: Sit) -> Typist:
    """A user at an interactive shell, in which each command is a job."""
    typist = sit("bash", "--norc", "--noprofile", "-i")
    typist.see("ready> ")
    return typist


def locked(lock: str, script: str, *options: str) -> list[str]:
    return decreed("lock", "run", lock, *options, "--", "sh", "-c", script)


def test_a_command_in_the_foreground_has_the_terminal(sit: Sit) -> None:
    script = f"echo begun; {READS_TERMINAL}"
    typist = sit(*locked("has", script, "--foreground"))
    typist.see("begun")
    typist.type("hello\n")
    typist.see("read hello")
    assert typist.end() == 0


def test_without_foreground_a_command_cannot_open_the_terminal_but_reads_its_input(
    sit: Sit,
) -> None:
    script = "(: < /dev/tty) 2> /dev/null || echo none; read line && echo read $line"
    typist = sit(*locked("has-not", script))
    typist.see("none")
    typist.type("hello\n")
    typist.see("read hello")
    assert typist.end() == 0


def test_ctrl_c_reaches_the_command_once_and_its_exit_code_is_ours(sit: Sit) -> None:
    script = "trap 'echo caught; exit 9' INT; echo begun; while :; do sleep 0.05; done"
    for number, options in enumerate(((), ("--foreground",))):
        typist = sit(*locked(f"interrupted-{number}", script, *options))
        typist.see("begun")
        typist.type("\x03")
        typist.see("caught")
        assert typist.end() == 9
        assert "caught" not in typist.seen


def job(tmp_path: Path, lock: str, script: str, ttl: str = "60s") -> str:
    """A line for the shell that runs `script` in the foreground under a lock."""
    path = tmp_path / "script"
    path.write_text(script)
    words = decreed("lock", "run", lock, "--ttl", ttl, "--foreground", "--", "sh", path)
    return " ".join(words)


def see_that_the_shell_has_the_terminal(typist: Typist) -> None:
    typist.type("echo $((40 + 2))\n")
    typist.see("42")
    typist.see("ready> ")


def see_that_the_job_has_it_in_the_foreground(typist: Typist) -> None:
    """Any job that reads from the terminal just while the shell carries out ``fg`` may be stopped.

    The shell took it for running, and so did not resume it. People type ``fg`` again.
    """
    for _ in range(3):
        typist.type("fg\n")
        typist.see("decreed")
        typist.type("mine\n")
        if typist.see_either("read mine", "Stopped").endswith("read mine"):
            return
        typist.see("command not found")  # it was the shell that read the line
        typist.see("ready> ")
    raise AssertionError("the job is stopped each time")


def leave(typist: Typist, code: int) -> None:
    """See the last exit code, and leave the shell."""
    typist.see("ready> ")
    typist.type("echo code=$?\n")
    typist.see(f"code={code}\r\n")
    typist.type("exit\n")
    typist.end()


def test_a_job_is_suspended_continues_and_gives_the_terminal_back(
    shell: Typist, tmp_path: Path
) -> None:
    script = "echo begun\nwhile read line < /dev/tty; do echo read $line; done\n"
    shell.type(job(tmp_path, "job", script) + "\n")
    shell.see("begun")
    for word in ("one", "two", "three"):
        shell.type(f"{word}\n")
        shell.see(f"read {word}")
        shell.type("\x1a")
        shell.see("Stopped")
        shell.see("ready> ")
        see_that_the_shell_has_the_terminal(shell)
        shell.type("fg\n")
        shell.see("decreed")
    shell.type("last\n")
    shell.see("read last")
    shell.type("\x03")
    leave(shell, 130)


def test_a_job_in_the_background_never_takes_the_terminal(shell: Typist, tmp_path: Path) -> None:
    shell.type(job(tmp_path, "aside", f"echo begun\n{READS_TERMINAL}\n") + " &\n")
    shell.see("begun")
    see_that_the_shell_has_the_terminal(shell)
    see_that_the_job_has_it_in_the_foreground(shell)
    leave(shell, 0)


def test_a_job_that_waits_for_the_terminal_in_the_background_is_stopped_until_it_has_it(
    shell: Typist, tmp_path: Path
) -> None:
    shell.type("set -b\n")
    shell.type(job(tmp_path, "waits", f"{READS_TERMINAL}\n") + " &\n")
    shell.see("Stopped")
    see_that_the_shell_has_the_terminal(shell)
    see_that_the_job_has_it_in_the_foreground(shell)
    leave(shell, 0)


def test_a_job_continues_when_it_is_put_into_the_foreground_as_it_asks_for_the_terminal(
    shell: Typist, tmp_path: Path
) -> None:
    """The holder learns that the job wants the terminal when the job has it already."""
    shell.type("set -b\n")
    go, pid = tmp_path / "go", tmp_path / "pid"
    waits = f"echo $$ > {pid}\necho begun\nuntil [ -e {go} ]; do sleep 0.05; done\n"
    shell.type(job(tmp_path, "wants", f"{waits}{READS_TERMINAL}\n") + " & echo holder=$!.\n")
    shell.see("holder=")
    shell.see("holder=")
    holder = int(shell.see(".").rstrip("."))
    shell.see("begun")
    os.kill(holder, signal.SIGSTOP)
    shell.see("Stopped")
    go.touch()
    eventually("the command is stopped too", lambda: is_stopped(int(pid.read_text())))
    shell.type("fg\n")
    shell.see("decreed")
    shell.type("mine\n")
    shell.see("read mine")
    leave(shell, 0)


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_suspended_command_continues_if_no_shell_can_resume_it(sit: Sit) -> None:
    """Without a shell, as in a container, the system does not let the process group stop."""
    script = f"echo begun; {READS_TERMINAL}"
    typist = sit(*locked("orphan", script, "--foreground"))
    typist.see("begun")
    typist.type("\x1a")
    typist.type("hello\n")
    typist.see("read hello")
    assert typist.end() == 0


TRIES = [f"late-{number}" for number in range(20)]


def suspended(typist: Typist, tmp_path: Path, lock: str) -> bool:
    """Run a job under a lock with a short ttl and suspend it; False if the machine took too long."""
    # wait for the shell: while it begins a program by vfork it cannot be stopped
    typist.type(job(tmp_path, lock, "sleep 60 &\necho begun\nwait\n", ttl="3s") + "\n")
    if typist.see_either("begun", "was lost") == "begun":
        typist.type("\x1a")
        if typist.see_either("Stopped", "was lost") == "Stopped":
            return True
    typist.see("ready> ")
    return False


def test_a_lock_that_is_lost_while_the_job_is_suspended_ends_the_command(
    cluster: Processes, shell: Typist, tmp_path: Path
) -> None:
    lock = next(name for name in TRIES if suspended(shell, tmp_path, name))
    with cluster.client() as registry, registry.lock(lock, ttl=30, wait=PATIENCE_S) as held:
        assert held.token == 2
    shell.see("ready> ")
    shell.type("fg\n")
    shell.see("was lost")
    leave(shell, 120)
