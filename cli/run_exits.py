"""What ``lock run``, ``elect`` and ``once`` exit with, besides the codes of the commands that they run.

Their exit codes stand apart from those of the command: 120 and 121 are said of the lock, 125 of
decreed itself, 126 and 127 of a command that cannot be run, as other programs of this kind do.
"""

from collections.abc import Sequence
from enum import IntEnum

from ..registry.errors import DecreedError, LockHeld, LockLost


class RunExit(IntEnum):
    """What commands that run another one exit with, besides that one's own codes."""

    LOST = 120
    HELD = 121
    FAILED = 125
    CANNOT_RUN = 126
    NOT_FOUND = 127


def run_exit(error: DecreedError) -> RunExit:
    """What such a command exits with when it meets `error`."""
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
