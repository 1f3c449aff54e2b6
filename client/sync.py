"""The registry for code without an event loop: the same calls, blocking, from any thread.

One background thread runs the event loop of one client. A call hands its work to that thread and
waits; what is in memory is read in the caller's own thread. Nothing here hangs after the end: a
closed registry, and one that was carried across a fork, raise `Closed`.
"""

import asyncio
import functools
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio

from ..registry.errors import Closed, Unreachable
from ..registry.types import Decree
from . import cluster as aio
from .connecting import MIB
from .connecting import connect as connect_async
from .lock import Owners
from .locking import DEFAULT_TTL, DEFAULT_WAIT, checked_wait, json_bytes
from .results import Watched
from .sync_lock import Lock, Locked, OnLost
from .watching import Watching as AsyncWatching

P = ParamSpec("P")
T = TypeVar("T")
__all__ = ["Lock", "Registry", "Watching", "connect"]
CLOSED = "the client was closed: use it inside its `with` block"


def _blocking(
    method: Callable[Concatenate[aio.Registry, P], Awaitable[T]],
) -> "Callable[Concatenate[Registry, P], T]":
    """The blocking form of an asynchronous method."""

    @functools.wraps(method)
    def call(self: "Registry", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.loop.run(lambda registry: method(registry, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[aio.Registry, P], AsyncIterator[T]],
) -> "Callable[Concatenate[Registry, P], Iterator[T]]":
    """The blocking form of a method that returns an asynchronous iterator."""

    @functools.wraps(method)
    def call(self: "Registry", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return _Steps(self.loop, method(self.loop.registry, *args, **kwargs))

    return call


class Registry:
    """A cluster of decreed servers, for blocking callers; made by `decreed.client.sync.connect`.

    Each method does what the one of the same name of `decreed.client.Registry` does, with the same
    arguments and errors. Any number of threads may use it at once.

    Args:
        loop: the thread that does the work.
        shared: the registry that it does it with.
    """

    def __init__(self, loop: "_Loop", shared: aio.Registry) -> None:
        self.loop = loop
        self._shared = shared
        self._owners: Owners = {}

    claim = _blocking(aio.Registry.claim)
    claim_many = _blocking(aio.Registry.claim_many)
    claim_next = _blocking(aio.Registry.claim_next)
    get_many = _blocking(aio.Registry.get_many)
    wait = _blocking(aio.Registry.wait)
    list = _iterating(aio.Registry.list)
    latest = _blocking(aio.Registry.latest)
    status = _blocking(aio.Registry.status)
    once = _blocking(aio.Registry.once)
    standing = _blocking(aio.Registry.standing)
    lock_names = _blocking(aio.Registry.lock_names)
    lock_history = _blocking(aio.Registry.lock_history)
    break_lock = _blocking(aio.Registry.break_lock)
    observe = _iterating(aio.Registry.observe)

    def get(self, key: str, *, timeout: float | None = None) -> Decree | None:
        """The decree of `key`; None when a quorum said that it is undecided.

        A decree that was read before is answered from the cache, even when the cluster is down. One
        that is in memory is read in the caller's own thread.
        """
        decree = self._shared.cached(key)
        if decree is not None and (timeout is None or timeout >= 0):
            return decree
        return self.loop.run(lambda registry: registry.get(key, timeout=timeout))

    def lock(
        self,
        name: str,
        *,
        ttl: float = DEFAULT_TTL,
        wait: float | None = DEFAULT_WAIT,
        note: str = "",
        info: bytes = b"",
        on_lost: OnLost | None = None,
    ) -> AbstractContextManager[Lock]:
        """Hold a lock while the block runs: ``with registry.lock("migrate") as lock: …``.

        The lock is kept by the client's thread. The block cannot be stopped from outside: it must
        ask `Lock.ensure_held`. If the lock is lost before the block's end, `LockLost` is raised
        behind it, unless an error of its own comes out.

        Args:
            name, ttl, wait, note, info: as for `decreed.client.Registry.lock`.
            on_lost: called with the reason, in a thread of its own, when the lock is lost.

        Raises:
            DecreedError: as `decreed.client.Registry.lock` does.
        """
        hold = self.loop.registry.hold(name, ttl, note, info)
        return Locked(self.loop, hold, checked_wait(wait), self._owners, on_lost)

    def lead(
        self,
        name: str,
        *,
        info: Any = None,
        ttl: float = DEFAULT_TTL,
        wait: float | None = None,
        note: str = "",
        on_lost: OnLost | None = None,
    ) -> AbstractContextManager[Lock]:
        """Lead while the block runs; the same as `lock`, but it waits for ever by default.

        Args:
            name: of what is to be led.
            info: what can be written as JSON, for those who look for the leader.
            ttl, wait, note, on_lost: as for `lock`.

        Raises:
            DecreedError: as `lock` does.
        """
        data = json_bytes(info)
        return self.lock(name, ttl=ttl, wait=wait, note=note, info=data, on_lost=on_lost)

    def watch(self, prefix: str = "", *, since: str | None = None) -> "Watching":
        """Iterate over the decrees under `prefix` as they are frozen; see `Watching`."""
        return Watching(self.loop, self.loop.registry.watch(prefix, since=since))

    def cached(self, key: str) -> Decree | None:
        """The decree of `key` if it is in memory. Asks nobody, waits for nothing."""
        return self._shared.cached(key)


def connect(
    *endpoints: str,
    timeout: float = 10.0,
    claimant: str | None = None,
    cache_decrees: int = 10_000,
    cache_bytes: int = 64 * MIB,
    cache_dir: str | os.PathLike[str] | None = None,
) -> AbstractContextManager[Registry]:
    """A blocking client of the cluster at `endpoints`, for use in ``with``.

    Takes what `decreed.client.connect` takes, and raises what it raises.
    """
    client = connect_async(
        *endpoints,
        timeout=timeout,
        claimant=claimant,
        cache_decrees=cache_decrees,
        cache_bytes=cache_bytes,
        cache_dir=cache_dir,
    )
    return _Loop(client)


class _Loop(AbstractContextManager[Registry]):
    """The background thread with the event loop of one client."""

    def __init__(self, client: AbstractAsyncContextManager[aio.Registry]) -> None:
        self._client = client
        self._process = os.getpid()
        self._thread: threading.Thread | None = None
        self._started: Future[tuple[asyncio.AbstractEventLoop, aio.Registry]] = Future()
        self._stop = asyncio.Event()
        self._calls: set[Future[Any]] = set()
        # no new calls are taken; the event loop is over
        self._ended = False
        self._finished = False

    def __enter__(self) -> Registry:
        if self._thread is not None:
            raise Closed("a client can be entered once: call connect again")
        self._thread = threading.Thread(target=self._work, name="decreed-client", daemon=True)
        self._thread.start()
        return Registry(self, self._started.result()[1])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # the thread did not come along into a forked process: there is nothing to stop
        if self._thread is None or os.getpid() != self._process:
            return
        loop, _ = self._started.result()
        if not self._ended:
            self._ended = True
            loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def registry(self) -> aio.Registry:
        """The asynchronous registry.

        Raises:
            Closed: if it may not be used.
        """
        return self._parts()[1]

    def run(self, work: Callable[[aio.Registry], Awaitable[T]]) -> T:
        """Do `work` in the event loop and wait for its end.

        Raises:
            Closed: if the client is closed, or is closed meanwhile.
        """
        loop, registry = self._parts()
        coroutine = _carry_out(work, registry)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError as error:
            coroutine.close()
            raise Closed(CLOSED) from error
        self._calls.add(future)
        if self._finished:
            # the loop ended just now, and will not come to this
            future.cancel()
        try:
            return future.result()
        except CancelledError as error:
            raise Closed(CLOSED) from error
        finally:
            # an interrupted caller takes its request back
            future.cancel()
            self._calls.discard(future)

    def _parts(self) -> tuple[asyncio.AbstractEventLoop, aio.Registry]:
        if os.getpid() != self._process:
            raise Closed("the client belongs to the process that this one was forked from: connect")
        if self._ended:
            raise Closed(CLOSED)
        return self._started.result()

    def _work(self) -> None:
        try:
            anyio.run(self._main, backend="asyncio")
        finally:
            self._ended = self._finished = True
            if not self._started.done():
                self._started.set_exception(Closed("the thread of the client did not start"))
            for future in list(self._calls):
                future.cancel()

    async def _main(self) -> None:
        async with self._client as registry:
            self._started.set_result((asyncio.get_running_loop(), registry))
            await self._stop.wait()
        # the client is closed now, and each call that runs finds out how it ended
        while running := [asyncio.wrap_future(x) for x in list(self._calls) if not x.done()]:
            await asyncio.wait(running)


async def _carry_out(work: Callable[[aio.Registry], Awaitable[T]], registry: aio.Registry) -> T:
    return await work(registry)


class _Steps(Iterator[T]):
    """An asynchronous iterator, stepped from outside its event loop."""

    def __init__(self, loop: _Loop, steps: AsyncIterator[T]) -> None:
        self._loop = loop
        self._steps = steps

    def __next__(self) -> T:
        found = self._loop.run(self._step)
        if not found:
            raise StopIteration
        return found[0]

    async def _step(self, registry: aio.Registry) -> tuple[T] | tuple[()]:
        try:
            return (await anext(self._steps),)
        except StopAsyncIteration:
            return ()


class Watching(_Steps[Watched]):
    """A watch, stepped by blocking code: ``for seen in registry.watch("prod"): …``."""

    def __init__(self, loop: _Loop, watching: AsyncWatching) -> None:
        super().__init__(loop, watching)
        self._watching = watching

    def begin(self, timeout: float = 10.0) -> None:
        """Take the position now: all that is decreed after this returns will be seen.

        Args:
            timeout: seconds until it gives up.

        Raises:
            Unreachable: if no node answered in time.
            Closed: if the client is closed.
        """

        async def begin(_: aio.Registry) -> None:
            try:
                with anyio.fail_after(timeout):
                    await self._watching.begin()
            except TimeoutError as error:
                raise Unreachable(f"no node answered within {timeout:g} s") from error

        self._loop.run(begin)
