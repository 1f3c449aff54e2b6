"""A shell in which the commands of a page run as a reader would type them.

The ports of the pages are replaced by free ones. `decreed dev` and `decreed watch`, which do not end by
themselves, run beside the shell, and are stopped by their process id.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .pages import Command

FIRST_DOCUMENTED_PORT = 7400
PORTS = 40
PATIENCE = 300.0
LIMIT = 1_500.0
MARK = "-- the command has ended with"

_PORT = re.compile(r"(?<=127\.0\.0\.1:)74\d\d\b|(?<=127\.0\.0\.1\", )74\d\d\b")
# what bash prints about a killed process, at the time when it notices
_KILLED = re.compile(r"^.*: line \d+: +\d+ Killed .*$")


def with_ports(text: str, first: int) -> str:
    """`text` with the ports of a page replaced by those from `first` on."""
    return _PORT.sub(lambda port: str(int(port[0]) - FIRST_DOCUMENTED_PORT + first), text)


def looks_like(shown: tuple[str, ...], output: list[str]) -> bool:
    """Whether `output` is what a page shows; ``...`` stands for anything."""
    if shown == ("...",):
        return True
    pattern = re.escape("\n".join(shown)).replace(re.escape("..."), "(?:.|\n)*?")
    return re.fullmatch(pattern, "\n".join(output)) is not None


@contextmanager
def stopped_by(seconds: float, process: "subprocess.Popen[str]") -> Generator[None]:
    """Kill `process`, whose output is being read, after `seconds`.

    What it has started is killed too: it would keep the output open, which then never ends.
    """
    timer = threading.Timer(seconds, _kill_all, [process])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Shell:
    """A shell in its own folder.

    Args:
        folder: the folder in which it runs.
        first_port: replaces the first port of the pages.
    """

    def __init__(self, folder: Path, first_port: int) -> None:
        self.folder = folder
        self.first_port = first_port
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | {
            "PATH": path,
            "DECREED_ENDPOINTS": with_ports(
                "127.0.0.1:7400,127.0.0.1:7401,127.0.0.1:7402", first_port
            ),
            "LC_ALL": "C.UTF-8",
        }
        self._shell = self._start(["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE)

    def run(self, command: Command) -> tuple[int, list[str]]:
        """Run a command and return its exit code and what it printed."""
        return self.type(with_ports(command.text, self.first_port))

    def type(self, text: str) -> tuple[int, list[str]]:
        """Type a line into the shell."""
        ending = f"__code=$?; printf '\\n%s %s\\n' '{MARK}' $__code; (exit $__code)"
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{text}\n{ending}\n")
        self._shell.stdin.flush()
        with stopped_by(PATIENCE, self._shell):
            return self._output()

    def check(self, command: Command) -> int:
        """Run a command and compare what it prints with what the page shows."""
        shown = tuple(with_ports(line, self.first_port) for line in command.shown)
        code, output = self.run(command)
        until = time.monotonic() + (PATIENCE if command.text == "decreed status" else 0)
        while not looks_like(shown, output) and time.monotonic() < until:
            # nodes are starting or stopping: ask for their status until it is as shown
            code, output = self.run(command)
        printed = "\n".join(output)
        assert looks_like(shown, output), f"{command.block}: $ {command.text}\n{printed}"
        return code

    @contextmanager
    def beside(self, text: str) -> "Generator[subprocess.Popen[str]]":
        """Run a command that does not end by itself; interrupt it afterwards."""
        process = self._start(["bash", "-c", f"exec {text}"])
        try:
            with stopped_by(LIMIT, process):
                yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            lines_of(process).close()

    def close(self) -> None:
        """Stop what the shell started, and the shell."""
        assert self._shell.stdin is not None
        with suppress(BrokenPipeError, EOFError):
            self.type("kill $(jobs -p) 2> jobs; wait")
        with suppress(BrokenPipeError):
            self._shell.stdin.close()
        self._shell.wait(PATIENCE)
        # the jobs that are left, if the shell was killed before it could stop them
        _kill_all(self._shell)
        lines_of(self._shell).close()

    def _output(self) -> tuple[int, list[str]]:
        lines: list[str] = []
        for line in lines_of(self._shell):
            if line.startswith(MARK):
                if lines[-1] == "":
                    lines.pop()  # the newline is ours, unless the output ended without one
                return int(line.removeprefix(MARK)), [x for x in lines if not _KILLED.match(x)]
            lines.append(line.rstrip("\n"))
        raise EOFError("the shell has ended: a command took too long, or broke it")

    def _start(self, words: list[str], stdin: int | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
            preexec_fn=_hear_interrupts,
        )


def _kill_all(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _hear_interrupts() -> None:
    """Take interrupts: the background processes of a shell, and their children, ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def lines_of(process: "subprocess.Popen[str]") -> IO[str]:
    """The output of a process, to be read line by line."""
    assert process.stdout is not None
    return process.stdout
