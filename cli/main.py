"""The command ``decreed``: its commands, and the one place where their errors end.

Commands return their exit code and raise errors; `run` turns every error into a line on standard error
and an exit code. ``DECREED_DEBUG=1`` shows the traceback of an unexpected error.
"""

import errno
import os
from collections.abc import Sequence

from ..registry.errors import DecreedError
from .config.contexts import JSON_VARIABLE, is_on
from .early import command_words
from .early import main as main  # scripts of earlier installations import it from here
from .front import named, run_line
from .incomplete import missing
from .options.usage import usage_failure
from .shell.deferred import typer
from .shell.error_groups import leading_error
from .shell.failures import INTERRUPTED, OUTPUT_CLOSED, CommandFailed
from .shell.output import OutputClosed, OutputLost, send_the_rest_nowhere, write_error
from .supervise.exits import run_exit, runs_another

COMPLETION_VARIABLE = "_DECREED_COMPLETE"
"""Set by the shells' scripts, which Typer writes; its name is Typer's."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; raises no errors."""
    try:
        if instruction := os.environ.get(COMPLETION_VARIABLE):
            from .completing import run_completion

            return run_completion(instruction, os.environ)
        return run_line(arguments)
    except BaseException as error:  # noqa: BLE001 (each gets an exit code)
        return _end(leading_error(error), arguments)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether errors are wanted as JSON; works before the command line is parsed."""
    before = list(arguments)
    told = "--json" in (before[: before.index("--")] if "--" in before else before)
    return told or is_on(os.environ.get(JSON_VARIABLE))


def _end(error: BaseException, arguments: Sequence[str]) -> int:
    match error:
        case CommandFailed():
            failure = error
        case DecreedError():
            failure = CommandFailed(error, "")
        case SystemExit(__context__=BrokenPipeError()):
            return OUTPUT_CLOSED  # Typer has seen to the rest of the output
        case SystemExit():
            raise error
        case KeyboardInterrupt():
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
        case _:
            return _end_of_typer(error, arguments)
    return _report(failure, arguments)


def _end_of_typer(error: BaseException, arguments: Sequence[str]) -> int:
    """The exit code of an error of Typer, or of an unexpected one."""
    match error:
        case ModuleNotFoundError(name=str(name)) if not name.startswith("decreed"):
            return _report(missing(f"this needs {name}, which is not installed"), arguments)
        case typer.Exit():
            return int(error.exit_code)
        case typer.Abort():
            return INTERRUPTED
        case typer.TyperException():
            return _report(usage_failure(error), arguments)
        case _:
            return _report(_unexpected(error), arguments)


def _report(failure: CommandFailed, arguments: Sequence[str]) -> int:
    words = command_words(arguments)
    failure.name_command(named(words))
    if runs_another(words):
        failure.exit_code = run_exit(failure.error)
    failure.report(wants_json(arguments))
    return failure.exit_code


def _output_lost(reason: str) -> CommandFailed:
    way_out = "what was asked for may be done all the same; ask again"
    return CommandFailed(DecreedError(reason), "standard output", way_out)


def _unexpected(error: BaseException) -> CommandFailed:
    if os.environ.get("DECREED_DEBUG"):
        import traceback  # loaded only for debugging

        write_error("".join(traceback.format_exception(error)).rstrip())
    cause = DecreedError(f"{type(error).__name__}: {error}")
    return CommandFailed(cause, "unexpected", "DECREED_DEBUG=1 shows where; please report it")
