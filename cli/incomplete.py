"""The command's message if the library is installed without the extra that the command needs."""

import os
from collections.abc import Sequence

from ..registry.errors import MissingExtra
from .config.contexts import JSON_VARIABLE, is_on
from .shell.failures import CommandFailed


def tell(arguments: Sequence[str]) -> int:
    """Say what to install; the exit code."""
    failure = missing("the command line is not installed, only the library")
    failure.report("--json" in arguments or is_on(os.environ.get(JSON_VARIABLE)))
    return failure.exit_code


def missing(reason: str) -> CommandFailed:
    """The failure of a command that needs the extra ``cli``."""
    return CommandFailed(MissingExtra(reason), "", "pip install 'decreed[cli]'")
