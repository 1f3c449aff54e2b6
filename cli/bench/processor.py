"""How fast this machine's processor runs Python, beside the machine of docs/performance.md."""

import os
from collections.abc import Callable
from hashlib import blake2b
from time import process_time

REFERENCE_S = 0.0072
"""What `_work` took there, at best, with CPython 3.11."""
TRIALS = 7
_KEYS = 10_000


def slowness(clock: Callable[[], float] = process_time) -> float:
    """How many times as long as there Python takes here; below 1, this machine is faster.

    It is the best of some trials in processor time, so that other work on the machine counts little.
    """
    return min(_timed(clock) for _ in range(TRIALS)) / REFERENCE_S


def usable_cores() -> int:
    """How many cores this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _timed(clock: Callable[[], float]) -> float:
    began = clock()
    _work()
    return clock() - began


def _work() -> None:
    """A little of what a node does: hashes, dictionaries, bytes that are put together."""
    found: dict[bytes, int] = {}
    for number in range(_KEYS):
        key = b"bench/%d" % number
        found[blake2b(key, digest_size=16).digest() + key] = number
    b"".join(sorted(found))
