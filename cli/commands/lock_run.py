"""``decreed lock run``, ``decreed elect`` and ``decreed once``: commands that run under a lock.

`decreed.cli.supervise.exits` has their exit codes besides those of the command.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Annotated

import trio

from ...client import Lock, Registry
from ...registry.errors import DecreedError, LockHeld, LockLost, OutcomeUnknown, Unreachable
from ...registry.keys import parse_key
from ...registry.locks.terms import MAX_TTL_MS, MIN_TTL_MS, parse_lock
from ..config.contexts import TIMEOUT_VARIABLE
from ..options import types as o
from ..options.connection import with_registry
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, about, error_line
from ..shell.output import write_error
from ..shell.signals import restored_for_exec
from ..supervise.backoff import FIRST_SECONDS, Backoff
from ..supervise.exits import RunExit, run_exit
from ..supervise.supervised import CommandEnded, Relay, Supervised
from ..supervise.words import refused

DEFAULT_TTL = 15.0
DEFAULT_WAIT = 60.0
STOP = "the command was stopped before another could run"


def parse_wait(text: str) -> float:
    """Seconds to wait for a lock: a duration, ``0`` not to wait, or ``forever``."""
    if text in ("0", "0s"):
        return 0.0
    if text == "forever":
        return inf
    try:
        return o.parse_duration(text)
    except typer.BadParameter as error:
        raise typer.BadParameter(f"{error.message}; or 0, or forever") from error


def parse_ttl(text: str) -> float:
    """Seconds that a lock stays held without a renewal."""
    ttl = o.parse_duration(text)
    if not MIN_TTL_MS <= ttl * 1000 <= MAX_TTL_MS:
        raise typer.BadParameter(
            f"a ttl is {MIN_TTL_MS}ms to {MAX_TTL_MS // 3_600_000}h, not {text}"
        )
    return ttl


LockName = Annotated[str, typer.Argument(metavar="NAME", help="The lock, such as prod/migrate.")]
CommandLine = Annotated[
    list[str], typer.Argument(metavar="-- CMD…", help="The command and its arguments.")
]
Ttl = Annotated[
    float | None,
    o.duration(
        "--ttl",
        "DECREED_TTL",
        "How soon the lock is free again if this machine dies.",
        "15s",
        parse_ttl,
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait",
        parser=parse_wait,
        envvar="DECREED_WAIT",
        metavar="TIME",
        help="How long to wait for the lock: 0, 60s, 1h30m, forever.  [default: 60s]",
        show_default=False,
    ),
]
Foreground = Annotated[
    bool,
    typer.Option(
        "--foreground",
        help="Give CMD the terminal, as a shell would: for what asks for passwords, for editors.",
    ),
]
ReachTimeout = Annotated[
    float | None,
    o.duration(
        "--timeout",
        TIMEOUT_VARIABLE,
        "How long to try to reach the cluster before waiting for the lock.",
        "as long as --wait",
    ),
]
Note = Annotated[
    str, typer.Option("--note", metavar="TEXT", help="Free text for those who find it held.")
]


@dataclass(frozen=True)
class Job:
    """A command to run under a lock.

    Args:
        lock: the lock's name.
        command: the command and its arguments.
        ttl: of the lock, in seconds.
        note: kept in the term.
        foreground: whether the command gets the terminal.
    """

    lock: str
    command: Sequence[str]
    ttl: float
    note: str
    foreground: bool = False

    @classmethod
    def of(
        cls,
        lock: str,
        command: Sequence[str],
        ttl: float | None,
        note: str,
        foreground: bool = False,
    ) -> "Job":
        """Fill in what the user left out."""
        ttl = DEFAULT_TTL if ttl is None else ttl
        return cls(parse_lock(lock), command, ttl, note, foreground)

    def environment(self, lock: Lock) -> Mapping[str, str]:
        """The environment of the command: ours, the lock's name, and the fencing token."""
        return {**os.environ, "DECREED_LOCK": self.lock, "DECREED_TOKEN": str(lock.token)}

    async def run(self, lock: Lock, relay: Relay) -> CommandEnded:
        """Run the command while the lock is held.

        Raises:
            LockLost: if it was stopped since the lock was lost.
        """
        ended = await Supervised(lock, relay, self.foreground).run(
            self.command, self.environment(lock)
        )
        if ended.stopped:
            raise LockLost(f"the lock {self.lock!r} could not be kept; {STOP}")
        return ended


def run(
    name: LockName,
    command: CommandLine,
    ttl: Ttl = None,
    wait: Wait = None,
    note: Note = "",
    foreground: Foreground = False,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: ReachTimeout = None,
    as_json: o.Json = False,
) -> int:
    """Run CMD while holding the lock NAME, and exit with its exit code.

    CMD finds its fencing token in DECREED_TOKEN. If the lock cannot be kept, CMD and all that it
    started get TERM, then KILL, so that they are dead before anybody else can have the lock; also
    when this process is stopped or killed. Signals are passed on. What CMD leaves running when it
    ends is stopped too. Nothing but CMD writes to standard output. CMD has no /dev/tty, unless with
    --foreground.

    Exit code 120: the lock was lost; 121: somebody else has it; 125: decreed failed; 126, 127: CMD
    cannot be run, or was not found; 128 and more: CMD, or this, was ended by a signal.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)
    with about(name):
        job = Job.of(name, command, ttl, note, foreground)
    if (code := refused(command, as_json)) is not None:
        return code
    seconds = DEFAULT_WAIT if wait is None else wait

    async def work(registry: Registry, relay: Relay) -> int:
        wanted = None if seconds == inf else seconds
        if call.timeout is not None and seconds:
            await registry.lock_state(job.lock, timeout=call.timeout)  # raises if no node answers
        async with registry.lock(job.lock, ttl=job.ttl, wait=wanted, note=note) as lock:
            ended = await job.run(lock, relay)
        return _told(ended, job)

    try:
        return _relayed(call, work)
    except OutcomeUnknown as error:
        raise CommandFailed(error, name, "ask again") from error
    except DecreedError as error:
        raise CommandFailed(error, name) from error


def elect(
    name: LockName,
    command: CommandLine,
    ttl: Ttl = None,
    note: Note = "",
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Patience = None,
    as_json: o.Json = False,
) -> int:
    """Campaign for NAME forever: run CMD whenever this leads, and stop it when it does not.

    When CMD ends by itself, others get their turn, and the campaign goes on after a second. While CMD
    keeps ending within ten seconds, each pause is twice the one before, up to 30 seconds. CMD is run
    and stopped as by 'decreed lock run'. A signal ends this: it is passed on to CMD, whose exit code
    is returned. When the time of --timeout is up there is no further campaign; a CMD that runs then
    is left to its end. Exit code 121: this never led in that time.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)
    with about(name):
        job = Job.of(name, command, ttl, note)
    if (code := refused(command, as_json)) is not None:
        return code

    async def work(registry: Registry, relay: Relay) -> int:
        deadline = trio.current_time() + (inf if call.timeout is None else call.timeout)
        return await _campaign(registry, relay, job, deadline)

    with about(name):
        return _relayed(call, work)


async def _campaign(registry: Registry, relay: Relay, job: Job, deadline: float) -> int:
    """Lead again and again, with pauses between."""
    backoff = Backoff()
    while True:
        code, ran_seconds = await _lead_once(registry, relay, job, deadline)
        if relay.caught is not None or code in (RunExit.CANNOT_RUN, RunExit.NOT_FOUND):
            return code
        pause = FIRST_SECONDS if ran_seconds is None else backoff.pause_after(ran_seconds)
        if trio.current_time() + pause >= deadline:
            return code
        if pause > FIRST_SECONDS:
            write_error(error_line(job.lock, f"the command ends at once; rests for {pause:g} s"))
        await trio.sleep(pause)


async def _lead_once(
    registry: Registry, relay: Relay, job: Job, deadline: float
) -> tuple[int, float | None]:
    """One campaign and one term; what goes wrong with them is said, and is no end.

    Returns:
        The exit code, and how many seconds the command ran; None if it did not end by itself.
    """
    led = False
    wait = None if deadline == inf else max(0.0, deadline - trio.current_time())
    try:
        async with registry.lead(job.lock, ttl=job.ttl, note=job.note, wait=wait) as term:
            led = True
            write_error(error_line(job.lock, f"leads, with term {term.token}"))
            began = trio.current_time()
            ended = await job.run(term, relay)
            ran_seconds = trio.current_time() - began
        code = _told(ended, job)
        write_error(error_line(job.lock, f"leads no more: the command exited with {code}"))
        return code, ran_seconds
    except LockLost as error:
        write_error(error_line(job.lock, str(error)))
        return RunExit.LOST, None
    except (LockHeld, Unreachable, OutcomeUnknown) as error:
        if led:
            raise
        write_error(error_line(job.lock, str(error)))
        return run_exit(error), None


def once(
    key: o.KeyName,
    command: CommandLine,
    note: Note = "",
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Run CMD if nobody ever claimed KEY: at most once, on one machine of many.

    It becomes CMD, which so has its own exit code. Exit code 121: somebody else had KEY before. If
    CMD fails or its machine dies, nobody runs it again.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)

    if (code := refused(command, as_json)) is not None:
        return code

    async def ask(registry: Registry) -> str:
        claimed = await registry.once(key, note=note, timeout=call.seconds)
        return "" if claimed.won else claimed.decree.claimant

    try:
        with about(key):
            parse_key(key)
            winner = with_registry(call, ask)
    except CommandFailed as failure:
        if isinstance(failure.error, OutcomeUnknown):
            failure.way_out = f"it may be won, and nobody runs CMD then: see 'decreed get {key}'"
        raise
    if winner:
        cause = f"{winner} has won it and runs the command; it was not run here"
        write_error(error_line(key, cause, f"see 'decreed get {key} --json'"))
        return RunExit.HELD
    return _become(command)


def _become(command: Sequence[str]) -> int:
    try:
        with restored_for_exec():
            os.execvp(command[0], list(command))
    except OSError as error:
        write_error(error_line(command[0], error.strerror or str(error)))
        missing = isinstance(error, FileNotFoundError)
        return RunExit.NOT_FOUND if missing else RunExit.CANNOT_RUN


def _relayed(call: o.Call, work: Callable[[Registry, Relay], Awaitable[int]]) -> int:
    """Do the work with signals passed on; a signal without a command ends it as usual."""

    async def body(registry: Registry) -> int:
        relay = Relay()
        code = RunExit.FAILED.value
        async with trio.open_nursery() as nursery:
            scope: trio.CancelScope = await nursery.start(relay.run)
            with scope:
                code = await work(registry, relay)
            nursery.cancel_scope.cancel()
        return 128 + relay.caught if scope.cancelled_caught and relay.caught else code

    return with_registry(call, body)


def _told(ended: CommandEnded, job: Job) -> int:
    """The exit code of a command; prints why it could not be started."""
    if ended.trouble:
        write_error(error_line(job.command[0], ended.trouble))
    return ended.code
