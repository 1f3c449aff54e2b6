"""Giving memory back to the system after a peak.

The C library keeps freed memory for later use, and returns only what is at the end of its heap. After a
flood of large values it would keep hundreds of megabytes. Other libraries than glibc have no call for
this, and are left alone.
"""

import ctypes
import gc
from collections.abc import Callable

import trio

PERIOD_S = 1.0
MUCH_BYTES = 16 * 1024 * 1024
"""When this much less is held than at the peak, a trim is worth some milliseconds."""


async def give_back(held: Callable[[], int], trim: Callable[[], object] | None = None) -> None:
    """Give memory back each time that much of it has become free, until cancelled.

    Args:
        held: how many bytes are held now.
        trim: gives memory back; None for the function of the C library.
    """
    trim = trim or _library_trim()
    most = held()
    while trim is not None:
        await trio.sleep(PERIOD_S)
        most = max(most, held())
        if most - held() > MUCH_BYTES:
            most = held()
            gc.collect(1)  # errors that ended connections keep buffers alive
            trim()


def _library_trim() -> Callable[[], object] | None:
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    return lambda: malloc_trim(0)
