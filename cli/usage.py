"""Bad usage, told of the option or variable that it came from."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ..registry.errors import BadRequest
from .deferred import typer
from .failures import CommandFailed

WAY_OUT = "correct the variable, or unset it"
SWITCH = "it is a switch: write 1 or 0"


def usage_failure(error: Any) -> CommandFailed:
    """The failure of a command line that was not understood.

    A value that came from a variable is told of that variable, and one from an option of the option
    alone: whoever gave one of the two is not to look at the other.
    """
    parameter: Any = getattr(error, "param", None)
    if not isinstance(error, typer.BadParameter) or not _is_told(error, parameter):
        return CommandFailed(BadRequest(error.format_message().rstrip(".")), "usage")
    fault = SWITCH if getattr(parameter, "is_flag", False) else str(error.message)
    if _came_from_variable(error, parameter):
        return CommandFailed(BadRequest(fault), str(parameter.envvar), WAY_OUT)
    cause = BadRequest(f"Invalid value for '{parameter.opts[0]}': {fault}")
    return CommandFailed(cause, "usage")


@contextmanager
def said_by(variable: str, value: object) -> Generator[None]:
    """Failures inside name the variable too, if it is what said `value`."""
    try:
        yield
    except CommandFailed as failure:
        if os.environ.get(variable) == str(value):
            failure.thing = f"{variable}: {failure.thing}"
        raise


def _is_told(error: Any, parameter: Any) -> bool:
    """Whether a value was given, by an option that has a variable too."""
    return bool(error.message and getattr(parameter, "envvar", None))


def _came_from_variable(error: Any, parameter: Any) -> bool:
    context: Any = getattr(error, "ctx", None)
    source = context.get_parameter_source(parameter.name) if context is not None else None
    return getattr(source, "name", "") == "ENVIRONMENT"
