"""The lifetime of a client: where its tasks run, and how they end.

A client belongs to no task of its callers. Its tasks run in a task group that a task of the client,
its *host*, enters. On asyncio the host is a task of its own; on trio it runs in a nursery, since every
trio task needs one.

Invariants kept here:

* No cancel scope stays open in a task of a caller. So one task may open a client and another may close
  it, and several clients may be closed in any order.
* For whatever reason the host ends (`end` was called, it was cancelled, its event loop closes, an error
  was raised), the last words are sent first, for a bounded time. Then the pool is closed: waiting calls
  are woken, and nothing more is sent.
"""

import logging
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ...registry.errors import BadRequest, Closed
from ..transport.loops import Loop
from .forks import this_process
from .runtime import CLOSED

LOG = logging.getLogger(__name__)
ELSEWHERE = "the client belongs to another event loop than the one that runs now: open one in each"
NEEDS_NURSERY = (
    "trio has no tasks without a nursery: give one, open_registry(…, nursery=nursery), or use "
    "`async with connect(…)`"
)

Work = Callable[[], Coroutine[Any, Any, None]]
# asyncio holds its tasks by weak references only
_HOSTS: set[Any] = set()


class Nursery(Protocol):
    """Starts tasks: a nursery of trio, or a task group of anyio."""

    def start_soon(self, async_fn: Work, /) -> object:
        """Start a task."""


class Lifetime:
    """The tasks of one client, in the event loop that runs when this is made.

    Args:
        nursery: where the host runs; on asyncio it may be None.

    Raises:
        BadRequest: if trio runs and `nursery` is None.
    """

    def __init__(self, nursery: Nursery | None) -> None:
        self._loop = Loop()
        if nursery is None and self._loop.is_trio:
            raise BadRequest(NEEDS_NURSERY)
        self._nursery = nursery
        self._process = this_process()
        self._close_pool: Callable[[], None] = lambda: None
        self._last_words: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint
        self._early: list[Work] = []
        self._tasks: TaskGroup | None = None
        self._ending = anyio.Event()
        self._ended = anyio.Event()
        self._failure: BaseException | None = None

    @property
    def over(self) -> bool:
        """Whether the client has ended."""
        return self._ended.is_set()

    def begin(
        self, close_pool: Callable[[], None], last_words: Callable[[], Awaitable[None]]
    ) -> None:
        """Start the host.

        Args:
            close_pool: called at the end, before any task is stopped.
            last_words: awaited before that; it must be bounded.
        """
        self._close_pool, self._last_words = close_pool, last_words
        if self._nursery is not None:
            self._nursery.start_soon(self._host)
        else:
            host = self._loop.start(self._host, "decreed-client")
            _HOSTS.difference_update([x for x in _HOSTS if x.get_loop().is_closed()])
            _HOSTS.add(host)
            # a task that is cancelled before its first step never runs its `finally`
            host.add_done_callback(self._note_end)

    def spawn(self, work: Work) -> None:
        """Start a task of the client.

        Raises:
            Closed: if it has ended.
        """
        if self._tasks is not None:
            self._tasks.start_soon(work)
        elif self.over:
            raise Closed(CLOSED)
        else:
            self._early.append(work)

    def check_open(self) -> None:
        """Check that the client is used in its own event loop.

        Raises:
            Closed: if another event loop runs.
        """
        if not self._loop.runs_here:
            raise Closed(ELSEWHERE)

    @property
    def is_foreign(self) -> bool:
        """Whether this is another process than the client's."""
        return self._process != this_process()

    async def end(self) -> None:
        """End the client and wait until its tasks have ended. Does nothing if it has ended.

        If this is cancelled, the client still ends.

        Raises:
            Closed: if it belongs to another event loop, which is still open.
            ExceptionGroup: the error that the client failed with on asyncio; raised once.
        """
        if self.is_foreign:
            return
        if not self.over:
            await self._end()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    async def _end(self) -> None:
        if self._loop.is_closed:
            self._bury()
            return
        if not self._loop.runs_here:
            raise Closed(f"{ELSEWHERE}, and close each in its own")
        self._ending.set()
        # bounded: last words and the disk cache get a few seconds, connections end immediately
        with anyio.CancelScope(shield=True):
            await self._ended.wait()

    def forget(self, what: str) -> None:
        """End a client that is no longer referenced, with a warning. From any thread.

        Args:
            what: the warning; it names the client and says how to end it.
        """
        if self.over or self.is_foreign or self._loop.is_closed:
            return
        warnings.warn(what, ResourceWarning, stacklevel=2)
        self._loop.soon(self._ending.set)

    async def _host(self) -> None:
        try:
            async with anyio.create_task_group() as self._tasks:
                await self._wait_for_end()
                self._tasks.cancel_scope.cancel()
        except Exception as error:
            if self._nursery is not None:
                raise
            if not self._loop.is_closed:
                # nobody awaits the host: `end` raises it
                LOG.exception("a client has failed, and is closed")
                self._failure = error
        finally:
            self._finish()

    async def _wait_for_end(self) -> None:
        assert self._tasks is not None
        try:
            early, self._early = self._early, []
            for work in early:
                self._tasks.start_soon(work)
            await self._ending.wait()
        finally:
            try:
                with anyio.CancelScope(shield=True):
                    # tasks that were cancelled together with this one start their last words first
                    await anyio.lowlevel.checkpoint()
                    await self._last_words()
            finally:
                self._close_pool()

    def _bury(self) -> None:
        """End a client whose event loop was closed without ending its tasks, which wait forever."""
        try:
            self._close_pool()
        except RuntimeError as error:
            LOG.debug("a client is closed after its event loop: %s", error)
        self._ended.set()

    def _note_end(self, host: Any) -> None:
        _HOSTS.discard(host)
        self._finish()

    def _finish(self) -> None:
        self._tasks = None
        self._early.clear()
        if not self.over:
            self._close_pool()
            self._ended.set()
