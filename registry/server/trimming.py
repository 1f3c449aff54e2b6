"""Memory that much was held in is given back to the system once little is.

The C library keeps what was freed, in case that it is wanted again, and gives back only what lies at
the end of its heap. After a flood of large values that would be hundreds of megabytes. Where the
library cannot be asked (it is not glibc), its own habits stand.
"""

import ctypes
import gc
from collections.abc import Callable

import trio

PERIOD_S = 1.0
MUCH_BYTES = 16 * 1024 * 1024
"""When so much less is held than there was, it is worth some milliseconds."""


async def give_back(held: Callable[[], int], trim: Callable[[], object] | None = None) -> None:
    """Give memory back each time that much of it has become free, until cancelled.

    Args:
        held: how many bytes are held now.
        trim: gives it back; None for what the C library has.
    """
    trim = trim or _library_trim()
    most = held()
    while trim is not None:
        await trio.sleep(PERIOD_S)
        most = max(most, held())
        if most - held() > MUCH_BYTES:
            most = held()
            gc.collect(1)  # errors that ended connections, and what they refer to
            trim()


def _library_trim() -> Callable[[], object] | None:
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    return lambda: malloc_trim(0)
