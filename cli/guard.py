"""The guard of a command that runs under a lock: a small process between us and the command.

    python guard.py CONTROL REPORT GRACE_MS COMMAND…

Whoever holds the lock keeps moving a deadline, through the pipe CONTROL. When the deadline has come,
because the holder was stopped, has died or has lost the lock, the guard ends the command and all that
it has started: TERM first, KILL soon enough that nothing of it outlives the validity of the lock.

What it reads, a line each: ``until TERM_MS KILL_MS`` on the clock that runs while the machine sleeps,
``signal N`` to pass on, ``stop``. What it writes to REPORT: ``started GROUP``, ``stopping``, ``exit
CODE``, ``failed CODE TEXT``. It loads nothing but the standard library, so that it is there quickly.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from math import inf
from pathlib import Path

CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
LONGEST_NAP_S = 0.5
KILLING_NAP_S = 0.02
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
CANNOT_RUN, NOT_FOUND = 126, 127
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def now_ms() -> float:
    """The time that deadlines are in."""
    return time.clock_gettime_ns(CLOCK) / 1e6


def exit_code(status: int) -> int:
    """What a shell would say of a process that ended so: 128 and the signal, or its code."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class Guard:
    """Watches over one command.

    Args:
        control: where orders are read.
        report: where news are written.
        grace_ms: from TERM to KILL, when there is no earlier deadline.
    """

    def __init__(self, control: int, report: int, grace_ms: float) -> None:
        self._control, self._report = control, report
        self._grace_ms = grace_ms
        self._group = 0
        self._code: int | None = None
        self._term_at, self._kill_at = inf, inf
        self._stopping = False
        self._listening = True
        self._buffer = b""
        self._pending: list[int] = []

    def run(self, command: list[str]) -> int:
        """Start the command and stay until nothing of it is left; returns its exit code.

        The first deadline is there before the command is, so that it never runs without one.
        """
        wake = self._catch_signals()
        self._hear(os.read(self._control, 4096))
        if now_ms() >= self._term_at:
            self._say(f"failed {CANNOT_RUN} the lock was lost before it was started")
            return CANNOT_RUN
        try:
            child = subprocess.Popen(command, process_group=0, preexec_fn=_die_with_parent)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            code = NOT_FOUND if missing else CANNOT_RUN
            self._say(f"failed {code} {error.strerror}")
            return code
        self._group = child.pid
        self._say(f"started {child.pid}")
        while not self._all_gone(child.pid):
            self._keep_deadlines()
            self._await_news(wake)
        assert self._code is not None
        child.returncode = self._code  # reaped here, not by subprocess
        self._say(f"exit {self._code}")
        return self._code

    def _all_gone(self, child: int) -> bool:
        """Reap what has ended. What the command left running is stopped once it has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return self._code is not None and not self._group_lives()
            if pid == 0:
                break
            if pid == child:
                self._code = exit_code(status)
        if self._code is not None and not self._stopping:
            self._stop()
        return False

    def _group_lives(self) -> bool:
        try:
            os.killpg(self._group, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    # -- deadlines

    def _keep_deadlines(self) -> None:
        now = now_ms()
        if now >= self._term_at and not self._stopping:
            self._say("stopping")
            self._stop()
        if now >= self._kill_at:
            self._send_to_all(signal.SIGKILL)

    def _stop(self) -> None:
        self._stopping = True
        self._kill_at = min(self._kill_at, now_ms() + self._grace_ms)
        self._send_to_all(signal.SIGTERM)
        self._send_to_all(signal.SIGCONT)

    def _send_to_all(self, number: int) -> None:
        """To the command's group, and to those of its processes that left the group and came to us."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)
        for pid in _children():
            with suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) != self._group:
                    os.kill(pid, number)

    # -- news

    def _await_news(self, wake: int) -> None:
        sources = [wake, self._control] if self._listening else [wake]
        ready, _, _ = select.select(sources, [], [], self._nap_s())
        if wake in ready:
            os.read(wake, 512)
        if self._control in ready:
            self._hear(os.read(self._control, 4096))
        while self._pending:
            self._pass_on(self._pending.pop(0))

    def _nap_s(self) -> float:
        now = now_ms()
        if now >= self._kill_at:
            return KILLING_NAP_S
        coming = self._kill_at if self._stopping else min(self._term_at, self._kill_at)
        return max(0.0, min(LONGEST_NAP_S, (coming - now) / 1000))

    def _hear(self, data: bytes) -> None:
        if not data:  # whoever holds the lock is gone
            self._listening = False
            self._term_at = 0
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._obey(line.decode().split())

    def _obey(self, order: list[str]) -> None:
        match order:
            case ["until", term_at, kill_at] if not self._stopping:
                self._term_at, self._kill_at = float(term_at), float(kill_at)
            case ["until", *_]:
                pass  # what is being stopped is not let go on
            case ["signal", number]:
                self._pass_on(int(number))
            case ["stop"]:
                self._term_at = 0
            case _:
                raise ValueError(f"no order: {order}")

    def _pass_on(self, number: int) -> None:
        """A signal for the command; one that comes before there is a command waits for it."""
        if not self._group:
            self._pending.append(number)
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)

    def _say(self, text: str) -> None:
        with suppress(OSError):
            os.write(self._report, text.encode() + b"\n")

    def _catch_signals(self) -> int:
        """Have signals noted, and a pipe made readable by each of them."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, frame: self._pending.append(number))
        return reader


def _children() -> list[int]:
    """Our children; none where the system does not say."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            if parent == os.getpid():
                found.append(int(stat.parent.name))
    return found


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Run a command line of the guard; returns the command's exit code."""
    control, report, grace_ms, *command = arguments
    for descriptor in (int(control), int(report)):
        os.set_inheritable(descriptor, False)
    # so that whatever leaves the command's group comes to us when its parent has ended
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    return Guard(int(control), int(report), float(grace_ms)).run(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
