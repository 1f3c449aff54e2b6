"""What the command says where the library is installed without the extra that the command needs."""

from collections.abc import Sequence

from ..registry.errors import MissingExtra
from .failures import CommandFailed


def tell(arguments: Sequence[str]) -> int:
    """Say what to install; the exit code."""
    failure = missing("the command line is not installed, only the library")
    failure.report("--json" in arguments)
    return failure.exit_code


def missing(reason: str) -> CommandFailed:
    """The failure of a command that needs the extra ``cli``."""
    return CommandFailed(MissingExtra(reason), "decreed", "pip install 'decreed[cli]'")
