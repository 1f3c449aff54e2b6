"""The clock that validity is measured on: it also runs while the machine sleeps, where there is one."""

import time

_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_ms() -> float:
    """Milliseconds since some moment in the past; the same clock for all processes of a machine."""
    return time.clock_gettime_ns(_CLOCK) / 1e6
