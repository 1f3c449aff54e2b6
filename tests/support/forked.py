"""Nodes that are forked from a process which has imported everything already.

A node needs a fifth of a second of processor time to start, nearly all of it to import, and the tests
start hundreds of nodes. What is forked runs the command ``decreed serve`` from its beginning, as a
process of its own. It ends without Python's own end: functions that are registered for it do not run.
The other tests of processes start programs in the usual way.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait
from pathlib import Path

IMPORTED = [
    "decreed.cli.main",
    "decreed.cli.commands.serve",
    "decreed.registry.server.serve",
    "decreed.storage.directory",
    "google_crc32c",
    __name__,
]

_TURN = threading.RLock()
"""One looks at a time: who looks first reaps a process that has ended, and is told its exit code."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(IMPORTED)


class Forked:
    """A running command, with the methods of `subprocess.Popen` that tests need.

    Args:
        arguments: the words after ``decreed``.
        output: the file that its output is appended to.
    """

    def __init__(self, arguments: list[str], output: Path) -> None:
        output.touch()  # tests may look at it before the process runs
        self._process = _context.Process(target=_run, args=(arguments, output))
        with _TURN:
            self._process.start()
        assert self._process.pid is not None, "it was started"
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code; None while it runs, and minus the number of the signal that ended it."""
        with _TURN:
            return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        with _TURN:
            if self.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, for so many seconds at most; returns the exit code."""
        wait([self._process.sentinel], timeout)
        code = self.poll()
        assert code is not None, f"process {self.pid} still runs after {timeout} s"
        return code


def _run(arguments: list[str], output: Path) -> None:
    """What the forked process does."""
    from trio._core import _run as trio_run

    from decreed.cli import early

    log = os.open(output, os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in enumerate((nothing, log, log)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    trio_run._r.seed()  # it decides the order of tasks, and would be the same in each node
    sys.argv = ["decreed", *arguments]
    early.main()
