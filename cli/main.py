"""The command ``decreed``: its commands, and the one place where their errors end.

Commands return their exit code and raise errors; `run` turns whatever comes out into a line on
standard error and a number. ``DECREED_DEBUG=1`` shows the traceback of an unexpected error.
"""

import errno
import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import typer

from ..registry.errors import BadRequest, DecreedError, Exit
from . import bench, claims, dev, importing, init, locks, reads, running, serving, status, waiting
from .connection import leading_error
from .early import main as main  # scripts that were installed before look for it here
from .failures import INTERRUPTED, OUTPUT_CLOSED, CommandFailed
from .output import OutputClosed, OutputLost, send_the_rest_nowhere, write_line
from .values import VALUE_SETTINGS, ValueCommand

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
lock_app = typer.Typer(
    rich_markup_mode=None, help="Locks: run a command under one, see who has it."
)
app.add_typer(lock_app, name="lock")


def _add(
    name: str,
    command: Callable[..., int],
    *examples: str,
    to: typer.Typer = app,
    **settings: Any,
) -> None:
    """Register a command with examples at the end of its help."""
    lines = "".join(f"  {example}\n" for example in examples)
    to.command(name, epilog=f"\b\nExamples:\n{lines}", **settings)(command)


VALUES: dict[str, Any] = {"cls": ValueCommand, "context_settings": VALUE_SETTINGS}

_add("dev", dev.dev, "decreed dev", "decreed dev --demo", "decreed dev --data try --port 7500")
_add(
    "init",
    init.init,
    "decreed init . --node n1=127.0.0.1:7400 --node n2=127.0.0.1:7401 --node n3=127.0.0.1:7402",
)
_add("serve", serving.serve, "decreed serve --config cluster.toml --node n1 --data n1.data")
_add(
    "claim",
    claims.claim,
    "decreed claim prod/db/region eu-west-1",
    "decreed claim prod/ca.pem @ca.pem",
    "date | decreed claim job/2026-01-31 - --exclusive && run-the-job",
    "decreed claim offset -5",
    "decreed claim -- flags --verbose",
    **VALUES,
)
_add("get", reads.get, "decreed get prod/db/region", "decreed get prod/ca.pem --raw > ca.pem")
_add("list", reads.list_keys, "decreed list prod/db", "decreed list --keys", "decreed list --json")
_add("wait", waiting.wait, "decreed wait prod/db/region --timeout 2m")
_add("watch", waiting.watch, "decreed watch prod", "decreed watch prod --json --timeout 1h")
_add(
    "import",
    importing.import_command,
    "decreed import config/ prod/config",
    "decreed import settings.toml prod/settings",
    "decreed import .env prod/env --json",
)
_add(
    "next",
    claims.claim_next,
    "decreed next prod/settings @settings.json",
    "decreed next deploys v1.4.2 --json",
    **VALUES,
)
_add("latest", reads.latest, "decreed latest prod/settings", "decreed latest prod/settings --raw")
_add(
    "run",
    running.run,
    "decreed lock run prod/migrate -- ./migrate --all",
    "decreed lock run cron/report --wait 0 --ttl 1m -- make report",
    to=lock_app,
)
_add("list", locks.list_locks, "decreed lock list", "decreed lock list --json", to=lock_app)
_add("show", locks.show, "decreed lock show prod/migrate", to=lock_app)
_add("history", locks.history, "decreed lock history prod/migrate --json", to=lock_app)
_add(
    "break",
    locks.break_lock,
    'decreed lock break prod/migrate --reason "the machine is gone"',
    to=lock_app,
)
_add("elect", running.elect, "decreed elect scheduler -- ./scheduler --port 80")
_add("leader", locks.leader, "decreed leader scheduler", "decreed leader scheduler --watch")
_add("once", running.once, "decreed once jobs/migrate-12 -- ./migrate --to 12")
_add("status", status.status, "decreed status", "decreed status --json --timeout 2s")
_add(
    "bench",
    bench.bench,
    "decreed bench --yes --duration 10s --outstanding 256",
    "decreed bench --only claims --value-bytes 1024 --json --yes",
    "decreed bench --disk /var/lib/decreed --disk-only",
)
_add("version", status.version, "decreed version", "decreed version --json")


@app.callback(invoke_without_command=True)
def root(context: typer.Context) -> None:
    """A distributed write-once registry: the first claim freezes a key for ever.

    Exit codes: 0 done, 1 unexpected, 2 bad usage or input, 3 lost to another value, 4 undecided,
    5 unreachable (nothing was chosen by this request), 6 outcome unknown (ask again with the same
    --claim-id), 7 refused, 8 the lock is held, 9 the lock was lost. 'lock run', 'elect' and 'once'
    exit with the code of their command, or with one of 120 to 127 (see 'decreed lock run --help').
    """
    if context.invoked_subcommand is None:
        write_line(context.get_help())
        raise typer.Exit(Exit.BAD_REQUEST)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing but that comes out of it."""
    try:
        result = app(args=list(arguments), prog_name="decreed", standalone_mode=False)
        return result if isinstance(result, int) else Exit.DONE
    except BaseException as error:  # noqa: BLE001 (each gets an exit code)
        return _end(leading_error(error), arguments)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether errors are wanted as JSON; asked before the command line is understood."""
    before = list(arguments)
    return "--json" in (before[: before.index("--")] if "--" in before else before)


def _end(error: BaseException, arguments: Sequence[str]) -> int:
    match error:
        case SystemExit(__context__=BrokenPipeError()):
            return OUTPUT_CLOSED  # Typer has seen to the rest of the output
        case SystemExit():
            raise error
        case KeyboardInterrupt() | typer.Abort():
            return INTERRUPTED
        case OutputClosed():
            return OUTPUT_CLOSED
        case BrokenPipeError():
            send_the_rest_nowhere()
            return OUTPUT_CLOSED
        case OutputLost():
            failure = _output_lost(str(error))
        case OSError(errno=errno.ENOSPC):
            send_the_rest_nowhere()
            failure = _output_lost(os.strerror(errno.ENOSPC))
        case typer.TyperException():
            failure = CommandFailed(BadRequest(error.format_message().rstrip(".")), "usage")
        case CommandFailed():
            failure = error
        case DecreedError():
            failure = CommandFailed(error, "decreed")
        case _:
            failure = _unexpected(error)
    if running.runs_another(arguments):
        failure.exit_code = running.run_exit(failure.error)
    failure.report(wants_json(arguments))
    return failure.exit_code


def _output_lost(reason: str) -> CommandFailed:
    way_out = "what was asked for may be done all the same; ask again"
    return CommandFailed(DecreedError(reason), "standard output", way_out)


def _unexpected(error: BaseException) -> CommandFailed:
    if os.environ.get("DECREED_DEBUG"):
        traceback.print_exception(error)
    cause = DecreedError(f"{type(error).__name__}: {error}")
    return CommandFailed(cause, "unexpected", "DECREED_DEBUG=1 shows where; please report it")
