"""The clock that leases and their holders go by: it also runs while the machine sleeps.

A lease that stood still during a suspend would run longer than its holder thinks, and a holder whose
clock stood still would take itself for the holder for too long.
"""

import time

# CLOCK_BOOTTIME counts suspends on Linux; where it is missing, CLOCK_MONOTONIC does
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def seconds() -> float:
    """Seconds since some moment in the past; never goes back."""
    return time.clock_gettime(_CLOCK)
