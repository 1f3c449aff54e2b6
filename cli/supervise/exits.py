"""The exit codes of ``lock run``, ``elect`` and ``once``, besides those of the commands that they run.

They differ from the usual codes of commands: 120 and 121 are about the lock, 125 is about decreed
itself, 126 and 127 are about a command that cannot be run, as in other programs of this kind.
"""

from collections.abc import Sequence
from enum import IntEnum

from ...registry.errors import DecreedError, LockHeld, LockLost


class RunExit(IntEnum):
    """The exit codes of commands that run another one, besides that one's own codes."""

    LOST = 120
    HELD = 121
    FAILED = 125
    CANNOT_RUN = 126
    NOT_FOUND = 127


def run_exit(error: DecreedError) -> RunExit:
    """The exit code of such a command after `error`."""
    match error:
        case LockLost():
            return RunExit.LOST
        case LockHeld():
            return RunExit.HELD
        case _:
            return RunExit.FAILED


def runs_another(arguments: Sequence[str]) -> bool:
    """Whether a command line is one of these."""
    return tuple(arguments[:1]) in (("elect",), ("once",)) or tuple(arguments[:2]) == (
        "lock",
        "run",
    )
