"""Errors of bad usage, which name the option or variable that they came from."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ...registry.errors import BadRequest
from ..shell.deferred import typer
from ..shell.failures import CommandFailed

WAY_OUT = "correct the variable, or unset it"
EXTRA = "Got unexpected extra argument"
"""How Typer begins to say that there are too many; it goes on with what they are."""
SWITCH = "it is a switch: write 1 or 0"


def usage_failure(error: Any) -> CommandFailed:
    """The failure of a command line that was not understood.

    The error names the variable if the value came from one, and otherwise only the option, so that the
    user looks at the right one.
    """
    parameter: Any = getattr(error, "param", None)
    if not isinstance(error, typer.BadParameter) or not _is_told(error, parameter):
        return CommandFailed(BadRequest(_without_arguments(error.format_message())), "usage")
    fault = SWITCH if getattr(parameter, "is_flag", False) else str(error.message)
    if _came_from_variable(error, parameter):
        return CommandFailed(BadRequest(fault), str(parameter.envvar), WAY_OUT)
    cause = BadRequest(f"Invalid value for '{parameter.opts[0]}': {fault}")
    return CommandFailed(cause, "usage")


def _without_arguments(message: str) -> str:
    """What Typer says, without arguments that are too many: one may be a part of a value."""
    if message.startswith(EXTRA):
        return "there are more arguments than it takes; put quotes around one that has blanks"
    return message.rstrip(".")


@contextmanager
def said_by(variable: str, value: object) -> Generator[None]:
    """Have errors in the block name the variable too, if `value` came from it."""
    try:
        yield
    except CommandFailed as failure:
        if os.environ.get(variable) == str(value):
            failure.thing = f"{variable}: {failure.thing}"
        raise


def _is_told(error: Any, parameter: Any) -> bool:
    """Whether the value was given by an option that also has a variable."""
    return bool(error.message and getattr(parameter, "envvar", None))


def _came_from_variable(error: Any, parameter: Any) -> bool:
    context: Any = getattr(error, "ctx", None)
    source = context.get_parameter_source(parameter.name) if context is not None else None
    return getattr(source, "name", "") == "ENVIRONMENT"
