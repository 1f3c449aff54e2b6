"""The command ``decreed``: its commands, and the one place where their errors end.

Commands return their exit code and raise errors; `run` turns whatever comes out into a line on
standard error and a number. ``DECREED_DEBUG=1`` shows the traceback of an unexpected error.
"""

import errno
import os
import traceback
from collections.abc import Sequence

import typer

from ..registry.errors import DecreedError, Exit
from .bare import leading_error
from .commands import COMMANDS, CONTEXT_COMMANDS, LOCK_COMMANDS
from .contexts import JSON_VARIABLE, is_on
from .early import main as main  # scripts that were installed before look for it here
from .failures import INTERRUPTED, OUTPUT_CLOSED, CommandFailed
from .lazy import LazyGroup
from .output import OutputClosed, OutputLost, send_the_rest_nowhere, write_error, write_line
from .run_exits import run_exit, runs_another
from .usage import usage_failure


class Root(LazyGroup):
    """All commands."""

    entries = COMMANDS


class LockGroup(LazyGroup):
    """The commands about locks."""

    entries = LOCK_COMMANDS


class ContextGroup(LazyGroup):
    """The commands about contexts."""

    entries = CONTEXT_COMMANDS


app = typer.Typer(cls=Root, rich_markup_mode=None, pretty_exceptions_enable=False)
lock_app = typer.Typer(
    cls=LockGroup, rich_markup_mode=None, help="Locks: run a command under one, see who has it."
)
app.add_typer(lock_app, name="lock")
context_app = typer.Typer(
    cls=ContextGroup, rich_markup_mode=None, help="Contexts: named clusters of the config file."
)
app.add_typer(context_app, name="context")


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
    told = "--json" in (before[: before.index("--")] if "--" in before else before)
    return told or is_on(os.environ.get(JSON_VARIABLE))


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
            failure = usage_failure(error)
        case CommandFailed():
            failure = error
        case DecreedError():
            failure = CommandFailed(error, "decreed")
        case _:
            failure = _unexpected(error)
    if runs_another(arguments):
        failure.exit_code = run_exit(failure.error)
    failure.report(wants_json(arguments))
    return failure.exit_code


def _output_lost(reason: str) -> CommandFailed:
    way_out = "what was asked for may be done all the same; ask again"
    return CommandFailed(DecreedError(reason), "standard output", way_out)


def _unexpected(error: BaseException) -> CommandFailed:
    if os.environ.get("DECREED_DEBUG"):
        write_error("".join(traceback.format_exception(error)).rstrip())
    cause = DecreedError(f"{type(error).__name__}: {error}")
    return CommandFailed(cause, "unexpected", "DECREED_DEBUG=1 shows where; please report it")
