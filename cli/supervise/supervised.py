"""Running a command under a lock: our side of the watchdog, and the signals that are passed on."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from ...client import Lock
from ...registry.clock import now_ms
from ...registry.errors import DecreedError
from ..shell.signals import heeded
from .watchdog import open_terminal, take_terminal_back

WATCHDOG = Path(__file__).with_name("watchdog.py")
PASSED_ON = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# fractions of the ttl before the end of validity at which the command gets TERM and KILL
TERM_PART = 1 / 4
KILL_PART = 1 / 12
MOVES_PER_TTL = 12
DEAD_SECONDS = 5.0


@dataclass
class CommandEnded:
    """How a command ended.

    Attributes:
        code: as a shell reports it: its exit code, or 128 plus the signal; 126 or 127 if it could
            not be started.
        trouble: why it could not be started; empty if it was.
        stopped: whether it was stopped because the lock could not be kept.
    """

    code: int = 128 + signal.SIGKILL
    trouble: str = ""
    stopped: bool = False


class Relay:
    """Passes signals on to the running command; without a command, signals that end a program end us.

    A signal that was ignored when we were started, as under ``nohup``, stays ignored by us, and by the
    command, which inherits that.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        """The last signal that asks a program to end."""
        self._scope = trio.CancelScope()
        self._to: Supervised | None = None

    async def run(self, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        """Pass signals on until cancelled; reports the scope that a signal ends."""
        heard = heeded(*PASSED_ON)
        if not heard:
            task_status.started(self._scope)
            return
        with trio.open_signal_receiver(*heard) as signals:
            task_status.started(self._scope)
            async for number in signals:
                if number in ENDING:
                    self.caught = number
                if self._to is not None:
                    self._to.send(f"signal {number}")
                elif number in ENDING:
                    self._scope.cancel()

    def lead_to(self, supervised: "Supervised | None") -> None:
        """Send signals to this command from now on."""
        self._to = supervised


class Supervised:
    """One command under a watchdog.

    Args:
        lock: the command may run while it is held.
        relay: passes signals on.
        foreground: whether the command gets our terminal, if we have one.
    """

    def __init__(self, lock: Lock, relay: Relay, foreground: bool = False) -> None:
        self._lock = lock
        self._relay = relay
        self._foreground = foreground and _has_terminal()
        self._group = 0
        self._ended = CommandEnded()
        self._control = -1

    async def run(self, command: Sequence[str], environment: Mapping[str, str]) -> CommandEnded:
        """Run the command to its end; when cancelled, end it first."""
        read_control, self._control = os.pipe()
        read_report, write_report = os.pipe()
        os.set_blocking(self._control, False)
        self._move_deadline()
        grace_ms = self._lock.holder.ttl * 1000 * (TERM_PART - KILL_PART)
        watchdog = [sys.executable, "-I", "-S", str(WATCHDOG), str(read_control), str(write_report)]
        form = "foreground" if self._foreground else "apart"
        try:
            process = await trio.lowlevel.open_process(
                [*watchdog, str(grace_ms), form, *command],
                env=dict(environment),
                pass_fds=(read_control, write_report),
                # signals of the terminal must not reach the watchdog, in both cases
                start_new_session=not self._foreground,
                process_group=0 if self._foreground else None,
            )
        finally:
            os.close(read_control)
            os.close(write_report)
        try:
            await self._watch(process, trio.lowlevel.FdStream(read_report))
        finally:
            os.close(self._control)
        return self._ended

    def send(self, order: str) -> None:
        """Send an order to the watchdog; ignored if it has ended."""
        with suppress(OSError):
            os.write(self._control, order.encode() + b"\n")

    async def _watch(self, process: trio.Process, report: trio.lowlevel.FdStream) -> None:
        self._relay.lead_to(self)
        try:
            async with report, trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_moving)
                await self._hear(report)
                nursery.cancel_scope.cancel()
        finally:
            self._relay.lead_to(None)
            self.send("stop")
            with trio.CancelScope(shield=True):
                await self._see_it_dead(process)

    async def _see_it_dead(self, process: trio.Process) -> None:
        """Wait for the watchdog, which outlives the command; if it died first, kill the command."""
        with trio.move_on_after(self._lock.holder.ttl + DEAD_SECONDS):
            await process.wait()
        process.kill()
        if await process.wait() < 0 and self._group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)
            if self._foreground:
                take_terminal_back(self._group, os.getpgrp())

    async def _keep_moving(self) -> None:
        while True:
            await trio.sleep(self._lock.holder.ttl / MOVES_PER_TTL)
            self._move_deadline()

    def _move_deadline(self) -> None:
        ttl_ms = self._lock.holder.ttl * 1000
        until_ms = now_ms() + self._lock.remaining * 1000
        self.send(f"until {until_ms - ttl_ms * TERM_PART} {until_ms - ttl_ms * KILL_PART}")

    async def _hear(self, report: trio.lowlevel.FdStream) -> None:
        async for line in _lines(report):
            match line.split(" ", 2):
                case ["started", group]:
                    self._group = int(group)
                case ["suspended"]:
                    self._suspend()
                case ["wanting"]:
                    self._await_terminal()
                case ["stopping"]:
                    self._ended.stopped = True
                case ["exit", code]:
                    self._ended.code = int(code)
                case ["failed", code, trouble]:
                    self._ended.code, self._ended.trouble = int(code), trouble
                case _:
                    raise DecreedError(f"the watchdog said {line!r}")

    def _suspend(self) -> None:
        """Stop together with the command, as a job does; when the shell resumes us, resume the command.

        Without a shell that could resume us, the system leaves us running, and the command too.
        """
        heeding = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        os.killpg(os.getpgrp(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, heeding)
        # to this thread: it is stopped before the call returns, so that nothing is resumed too soon
        signal.raise_signal(signal.SIGTSTP)
        self.send("resume")

    def _await_terminal(self) -> None:
        """Stop with the command, which wants the terminal, until our job is in the foreground.

        The system looks whether it is, and stops us, in one step: an ``fg`` that came since the
        watchdog looked is not missed. Without a shell, or with SIGTTOU ignored, nobody is stopped.
        """
        terminal = open_terminal()
        if terminal is not None:
            with suppress(OSError):
                os.tcsetpgrp(terminal, os.getpgrp())
            os.close(terminal)
        self.send("resume")


def _has_terminal() -> bool:
    terminal = open_terminal()
    if terminal is None:
        return False
    os.close(terminal)
    return True


async def _lines(stream: trio.lowlevel.FdStream) -> AsyncIterator[str]:
    buffer = b""
    while data := await stream.receive_some(4096):
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
