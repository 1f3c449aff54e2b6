"""The clock for leases and their holders: it also runs while the machine sleeps.

A lease whose clock stops during a suspend would run longer than its holder thinks. A holder whose clock
stops would count itself as holder for too long.
"""

import time

# CLOCK_BOOTTIME counts suspends on Linux; where it is missing, CLOCK_MONOTONIC does
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_ms() -> float:
    """Milliseconds since some moment in the past; one clock for all processes of a machine."""
    return time.clock_gettime_ns(_CLOCK) / 1e6
