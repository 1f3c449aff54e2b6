"""Tests with leases on the machine's clock, and what they prove in a process that stood still.

A lease ends at its time, whether its holder was allowed to run or not. A test that holds one may
fail only because its process was stopped for a good part of the lease. Such a test is tried again.
A test that fails while its process ran has failed.
"""

import functools
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

LOOK_S = 0.05
HELD_UP_S = 0.4
"""About a third of the shortest lease: after such a pause a keep-alive was late."""
TRIES = 8


class Watch:
    """Measures, in a thread of its own, the longest time for which this process stood still."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        before = time.monotonic()
        while not self._over.wait(LOOK_S):
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - before - LOOK_S)
            before = now


_LOOKS = """
import select, sys, time
longest_s, before = 0.0, time.monotonic()
while not select.select([sys.stdin], [], [], 0.02)[0]:
    now = time.monotonic()
    longest_s, before = max(longest_s, now - before - 0.02), now
print(max(longest_s, time.monotonic() - before - 0.02))
"""


@contextmanager
def watched_from_beside() -> Iterator[Callable[[], float]]:
    """A process that is stopped when our other children are; gives its longest pause.

    It can be asked once.
    """
    with subprocess.Popen(
        [sys.executable, "-c", _LOOKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield lambda: float(process.communicate()[0])
        finally:
            process.kill()


def again_if_held_up(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Try `test` again if it failed and the process stood still, each time with another `name`."""

    @functools.wraps(test)
    async def tried(name: str, **fixtures: Any) -> None:
        for number in range(TRIES):
            watch = Watch()
            try:
                with watch:
                    return await test(name=f"{name}-{number}", **fixtures)
            except (Exception, BaseExceptionGroup, pytest.fail.Exception):
                if watch.longest_s < HELD_UP_S or number == TRIES - 1:
                    raise

    return tried


def is_leased(item: pytest.Item) -> bool:
    """Whether a test has a lock name of its own and real servers in a thread."""
    asynchronous = inspect.iscoroutinefunction(getattr(item, "obj", None))
    named = "name" in getattr(item, "fixturenames", ())
    return asynchronous and named and hasattr(getattr(item, "module", None), "servers")
