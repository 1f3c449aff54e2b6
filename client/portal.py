"""A portal: the thread with the event loop of a blocking client, in one process.

Invariants kept here:

* The first call starts the thread. So an unused client has no thread, and a fork before the first call
  shares nothing.
* After the end nothing hangs: a call that is under way returns or raises.
* A process that was forked from the portal's process uses nothing of it: no lock, no descriptor.
"""

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import anyio

from ..registry.errors import Closed
from . import registry as aio
from .caching.cache import Cache
from .connecting import ConnectionPlan
from .locks.lock import Owners
from .requests.sender import RequestSender, seeds_text
from .runtime.forks import FORKS, this_process
from .runtime.runtime import CLOSED

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

T = TypeVar("T")
FORKED = (
    "it belongs to the process that this one was forked from: ask the registry for another one here"
)
# the parent's portals in a forked process: kept alive, since their destruction would close the
# parent's event loop and remove its connections from the selector that both share
_LEFT_BEHIND: "list[Portal]" = []


class _Running(NamedTuple):
    loop: "AbstractEventLoop"
    registry: aio.Registry
    stop: anyio.Event


class Portal:
    """Runs work in the event loop of its thread.

    Args:
        plan: of the client.
        known: the cache of this client in the process that this one was forked from.
    """

    def __init__(self, plan: ConnectionPlan, known: Cache | None = None) -> None:
        self.process = this_process()
        self.owners: Owners = {}
        """The threads of this process that hold locks."""
        self._plan, self._known = plan, known
        self._running: Future[_Running] = Future()
        # kept outside the future: another thread may hold the future's lock at a fork
        self._sender: RequestSender | None = None
        # a signal handler may close the client while this thread is in here
        self._turn = threading.RLock()
        self._taken = threading.Lock()
        self._thread: threading.Thread | None = None
        self._calls: set[Future[Any]] = set()
        # `_ended`: no new calls are accepted; `_finished`: the event loop has ended
        self._ended = False
        self._finished = False
        FORKS.share(self)

    def __str__(self) -> str:
        """The cluster of this client, and whether it is connected; may be called from any thread."""
        if self._sender is not None and not self.is_foreign:
            return str(self._sender)
        return f"{seeds_text(self._plan.seeds)}; {'closed' if self._ended else 'not connected'}"

    @property
    def is_foreign(self) -> bool:
        """Whether this is another process than the portal's."""
        return self.process != this_process()

    @property
    def is_open(self) -> bool:
        """Whether it was used in this process and is not closed."""
        return self._thread is not None and not self._ended and not self.is_foreign

    @property
    def registry(self) -> aio.Registry:
        """The asynchronous registry.

        Raises:
            Closed: if it is closed, or belongs to another process.
        """
        return self._start().registry

    @property
    def cache(self) -> Cache | None:
        """The current cache, for a process that was forked from this one."""
        return self._sender.cache if self._sender is not None else self._known

    def run(self, work: Callable[[aio.Registry], Awaitable[T]]) -> T:
        """Run `work` in the event loop and wait for its end.

        Raises:
            Closed: if the client is closed, or is closed meanwhile.
        """
        import asyncio

        running = self._start()
        future: Future[T] | None = None
        coroutine = _carry_out(work, running.registry)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, running.loop)
            self._calls.add(future)
            if self._finished:
                # the loop ended just now, and will not run this
                future.cancel()
            return future.result()
        except CancelledError as error:
            raise Closed(CLOSED) from error
        except RuntimeError as error:
            if future is not None:
                raise
            coroutine.close()
            raise Closed(CLOSED) from error
        finally:
            if future is not None:
                # cancels the work of an interrupted caller
                future.cancel()
                self._calls.discard(future)
            if self._finished:
                # a loop that has ended may have dropped it before it began; one that runs may have it,
                # even if an interrupt came before we were told so
                coroutine.close()

    def close(self, wait: bool = True) -> None:
        """End the client, and its thread. Does nothing in another process, or the second time.

        Args:
            wait: whether to return only when the thread has ended.
        """
        if self.is_foreign:
            return
        with self._turn:
            self._ended = True
            thread = self._thread
        if thread is None:
            return
        # a thread that is still starting is told once it runs
        self._running.add_done_callback(_stop)
        if wait and thread is not threading.current_thread():
            thread.join()

    def let_go(self) -> None:
        """In a forked process: never use this portal again, and never destroy it."""
        if self not in _LEFT_BEHIND:
            _LEFT_BEHIND.append(self)
        if self._sender is not None:
            self._sender.pool.let_go()

    def _start(self) -> _Running:
        if self.is_foreign:
            raise Closed(FORKED)
        if self._ended:
            raise Closed(CLOSED)
        if self._thread is None:
            self._start_thread()
        return self._running.result()

    def _start_thread(self) -> None:
        with self._turn:
            if self._thread is None and not self._ended:
                thread = threading.Thread(target=self._work, name="decreed-client", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    raise Closed(f"the client cannot start its thread: {error}") from error
                self._thread = self._thread or thread
        if self._thread is None:
            raise Closed(CLOSED)
        if self._ended:
            # a signal handler closed the client before it could see the thread
            self._running.add_done_callback(_stop)

    def _work(self) -> None:
        if not self._taken.acquire(blocking=False):
            # after an interrupt, a thread had been started already without the caller's knowledge
            return
        self._thread = threading.current_thread()
        try:
            anyio.run(self._main, backend="asyncio")
        finally:
            self._ended = self._finished = True
            if not self._running.done():
                self._running.set_exception(Closed("the thread of the client did not start"))
            for future in list(self._calls):
                future.cancel()

    async def _main(self) -> None:
        import asyncio

        stop = anyio.Event()
        self._sender = self._plan.begin(None, self._known)
        async with aio.Registry(self._sender, self._plan.claimant) as registry:
            self._running.set_result(_Running(asyncio.get_running_loop(), registry, stop))
            await stop.wait()
        # the client is closed now; wait until each running call has ended
        while calls := [asyncio.wrap_future(x) for x in list(self._calls) if not x.done()]:
            await asyncio.wait(calls)


class PortalView:
    """A portal whose work is done in the name of somebody else.

    Args:
        portal: of the client, or a view of it.
        identity: for whom.
    """

    def __init__(self, portal: "AnyPortal", identity: str) -> None:
        self.portal, self._identity = portal, identity
        self.owners: Owners = portal.owners
        self._seen: tuple[aio.Registry, aio.Registry] | None = None

    @property
    def registry(self) -> aio.Registry:
        """The asynchronous registry for this identity."""
        return self._of(self.portal.registry)

    def run(self, work: Callable[[aio.Registry], Awaitable[T]]) -> T:
        """Run `work` in the event loop and wait for its end; see `Portal.run`."""
        return self.portal.run(lambda registry: work(self._of(registry)))

    def _of(self, registry: aio.Registry) -> aio.Registry:
        if self._seen is None or self._seen[0] is not registry:
            self._seen = registry, registry.acting_for(self._identity)
        return self._seen[1]


AnyPortal = Portal | PortalView


def _stop(running: Future[_Running]) -> None:
    """Tell a running thread to end; one that did not start needs no end."""
    if running.exception() is None:
        try:
            running.result().loop.call_soon_threadsafe(running.result().stop.set)
        except RuntimeError:
            # already ended
            return


async def _carry_out(work: Callable[[aio.Registry], Awaitable[T]], registry: aio.Registry) -> T:
    return await work(registry)
