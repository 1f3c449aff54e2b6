"""The guard of a command that runs under a lock: a small process between us and the command.

    python watchdog.py CONTROL REPORT GRACE_MS apart|foreground COMMAND…

The holder of the lock keeps moving a deadline, through the pipe CONTROL. When the deadline passes,
because the holder was stopped, died or lost the lock, the guard ends the command and all processes that
it has started: TERM first, KILL early enough that none of them outlives the validity of the lock.

It reads lines: ``until TERM_MS KILL_MS`` on the clock that also runs while the machine sleeps,
``signal N`` to pass on, ``stop``, ``resume``. It writes lines to REPORT: ``started GROUP``,
``suspended``, ``wanting`` (the terminal, which stops it), ``stopping``, ``exit CODE``,
``failed CODE TEXT``.

With ``foreground`` the command has the terminal while it runs, as a shell's job has: it is the group
that the terminal sends its signals to, and may read. When it is suspended, as by Ctrl-Z, the terminal
goes back to the group of the holder, who then stops too; the guard itself goes on, and so do the
deadlines: a lock that is not kept meanwhile ends the command.
It loads nothing but the standard library, so that it is there quickly.
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
    """The exit code that a shell would report for a wait status: the code, or 128 plus the signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def open_terminal() -> int | None:
    """A descriptor of the terminal that controls this process; None if there is none."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None


def take_terminal_back(group: int, ours: int) -> None:
    """If the process group `group` has the terminal, give it to the group `ours`."""
    terminal = open_terminal()
    if terminal is None:
        return
    # a process that is not in the foreground would be stopped for this
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        with suppress(OSError):
            if os.tcgetpgrp(terminal) == group:
                os.tcsetpgrp(terminal, ours)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(terminal)


class Terminal:
    """The terminal of the holder, lent to the command while that is not suspended.

    It is lent only while the holder's group has it: a job in the background never takes it.

    Args:
        descriptor: of the terminal.
        owner: the process group that gets it back.
    """

    def __init__(self, descriptor: int, owner: int) -> None:
        self._descriptor, self._owner = descriptor, owner
        self._lent = False
        self._heeding = signal.signal(signal.SIGTTOU, signal.SIG_IGN)

    def lend_from_within(self) -> None:
        """In the command's process, before exec: take the terminal from the start."""
        self.lend(os.getpid())
        signal.signal(signal.SIGTTOU, self._heeding)

    def lend(self, group: int) -> bool:
        """Give the terminal to the command's group, if the owner has it; returns whether it did."""
        with suppress(OSError):
            if os.tcgetpgrp(self._descriptor) == self._owner:
                os.tcsetpgrp(self._descriptor, group)
                self._lent = True
                return True
        return False

    def expect_lending(self) -> None:
        """Note whether the command, which is about to start, takes the terminal from its owner."""
        with suppress(OSError):
            self._lent = os.tcgetpgrp(self._descriptor) == self._owner

    def take_back(self) -> None:
        """Give the terminal back to its owner, if it was lent."""
        if self._lent:
            self._lent = False
            with suppress(OSError):
                os.tcsetpgrp(self._descriptor, self._owner)


class Watchdog:
    """Watches over one command.

    Args:
        control: the descriptor that orders are read from.
        report: the descriptor that reports are written to.
        grace_ms: from TERM to KILL, if there is no earlier deadline.
        terminal: the terminal that is lent to the command, or None.
    """

    def __init__(
        self, control: int, report: int, grace_ms: float, terminal: Terminal | None = None
    ) -> None:
        self._control, self._report = control, report
        self._grace_ms = grace_ms
        self._terminal = terminal
        self._group = 0
        self._code: int | None = None
        self._term_at, self._kill_at = inf, inf
        self._stopping = False
        self._listening = True
        self._buffer = b""
        self._pending: list[int] = []

    def run(self, command: list[str]) -> int:
        """Start the command and stay until all its processes have ended; returns its exit code.

        The first deadline is set before the command starts, so that it never runs without one.
        """
        wake = self._catch_signals()
        self._hear(os.read(self._control, 4096))
        if now_ms() >= self._term_at:
            self._say(f"failed {CANNOT_RUN} the lock was lost before it was started")
            return CANNOT_RUN
        if self._terminal is not None:
            self._terminal.expect_lending()
        try:
            child = subprocess.Popen(command, process_group=0, preexec_fn=self._before_command)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            code = NOT_FOUND if missing else CANNOT_RUN
            self._after_command()
            self._say(f"failed {code} {error.strerror}")
            return code
        self._group = child.pid
        self._say(f"started {child.pid}")
        while not self._all_gone(child.pid):
            self._keep_deadlines()
            self._await_news(wake)
        assert self._code is not None
        child.returncode = self._code  # reaped here, not by subprocess
        self._after_command()
        self._say(f"exit {self._code}")
        return self._code

    def _before_command(self) -> None:
        """Runs in the command's process, which is already in a group of its own."""
        _die_with_parent()
        if self._terminal is not None:
            self._terminal.lend_from_within()

    def _after_command(self) -> None:
        if self._terminal is not None:
            self._terminal.take_back()

    def _all_gone(self, child: int) -> bool:
        """Reap ended processes. Once the command has ended, the processes that it left are stopped."""
        while True:
            try:
                pid, status = os.waitpid(-1, self._heeded_changes())
            except ChildProcessError:
                return self._code is not None and not self._group_lives()
            if pid == 0:
                break
            if os.WIFSTOPPED(status):
                self._suspended(pid == child, os.WSTOPSIG(status))
            elif pid == child:
                self._code = exit_code(status)
        if self._code is not None and not self._stopping:
            self._stop()
        return False

    def _heeded_changes(self) -> int:
        """The options of waitpid: exits, and stops too if the job may be suspended."""
        return os.WNOHANG if self._terminal is None else os.WNOHANG | os.WUNTRACED

    def _suspended(self, itself: bool, number: int) -> None:
        """Handle a suspended command; other processes are ignored.

        If it wanted the terminal, and its holder has that by now, as after ``fg``, it is resumed.
        """
        if not itself or self._terminal is None or self._stopping:
            return
        wanted = number in (signal.SIGTTIN, signal.SIGTTOU)
        if wanted and self._terminal.lend(self._group):
            self._pass_on(signal.SIGCONT)
        else:
            self._terminal.take_back()
            self._say("wanting" if wanted else "suspended")

    def _resume(self) -> None:
        if self._terminal is not None and self._group:
            self._terminal.lend(self._group)
            self._pass_on(signal.SIGCONT)

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
        """Signal the command's group, and its processes that left the group and became our children."""
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
        if not data:  # the holder of the lock is gone
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
                pass  # a command that is being stopped gets no new deadline
            case ["signal", number]:
                self._pass_on(int(number))
            case ["stop"]:
                self._term_at = 0
            case ["resume"]:
                self._resume()
            case _:
                raise ValueError(f"no order: {order}")

    def _pass_on(self, number: int) -> None:
        """Pass a signal to the command; a signal before its start is delivered afterwards."""
        if not self._group:
            self._pending.append(number)
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)

    def _say(self, text: str) -> None:
        with suppress(OSError):
            os.write(self._report, text.encode() + b"\n")

    def _catch_signals(self) -> int:
        """Note signals from now on; each makes a pipe readable."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, frame: self._pending.append(number))
        return reader


def _children() -> list[int]:
    """Our children; empty if the system does not tell."""
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
    control, report, grace_ms, form, *command = arguments
    for descriptor in (int(control), int(report)):
        os.set_inheritable(descriptor, False)
    # so that processes that leave the command's group become our children when their parent ends
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    terminal = _terminal_of_holder() if form == "foreground" else None
    return Watchdog(int(control), int(report), float(grace_ms), terminal).run(command)


def _terminal_of_holder() -> Terminal | None:
    descriptor = open_terminal()
    if descriptor is None:
        return None
    return Terminal(descriptor, os.getpgid(os.getppid()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
