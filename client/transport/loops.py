"""Which event loop runs, asyncio's or trio's, without loading either of them."""

import sys
from collections.abc import Callable
from typing import Any


class Loop:
    """The event loop that ran when this was made.

    Raises:
        RuntimeError: if no event loop runs.
    """

    __slots__ = ("_find", "_native", "is_trio")

    def __init__(self) -> None:
        self._find, self.is_trio = _finder()
        self._native = self._find()

    @property
    def runs_here(self) -> bool:
        """Whether it is the event loop that runs now, in this thread."""
        try:
            return bool(self._find() is self._native)
        except RuntimeError:
            return False

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, so that none of its tasks continues. Always false for trio."""
        return not self.is_trio and bool(self._native.is_closed())

    def start(self, work: Callable[[], Any], name: str) -> Any:
        """Start a task without a nursery; asyncio only."""
        return self._native.create_task(work(), name=name)

    def soon(self, work: Callable[[], object]) -> None:
        """Have `work` called in the loop, from any thread; nothing happens if it has ended."""
        try:
            call = self._native.run_sync_soon if self.is_trio else self._native.call_soon_threadsafe
            call(work)
        except RuntimeError:
            # closed (asyncio), or its run is over (trio's error is one of these too)
            return


def current_task() -> Any:
    """The task that runs now, of trio or asyncio."""
    if _in_trio():
        return sys.modules["trio"].lowlevel.current_task()
    return sys.modules["asyncio"].current_task()


def in_asyncio() -> bool:
    """Whether the task that runs now belongs to asyncio."""
    return not _in_trio()


def _in_trio() -> bool:
    # asked first: trio may run as a guest of asyncio
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


def _finder() -> tuple[Callable[[], Any], bool]:
    if _in_trio():
        return sys.modules["trio"].lowlevel.current_trio_token, True
    if "asyncio" not in sys.modules:
        raise RuntimeError("no event loop runs here")
    return sys.modules["asyncio"].get_running_loop, False
