"""The registry for code without an event loop: the same calls, blocking, from any thread.

One background thread, the `portal`, runs the event loop of one client; the first call starts it. A
call passes its work to that thread and waits; decrees in memory are read in the caller's own thread.

Threads and connections do not survive a fork. So a registry has a portal for each process that uses
it: in a forked process the first call starts another, which uses the decrees that are in memory.
Iterators and locks stay with the process that made them.
"""

import atexit
import functools
import os
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar
from weakref import WeakSet

import anyio

from ..registry.errors import Closed, Unreachable
from ..registry.types import Decree
from . import registry as aio
from .caching.memory import Memory
from .connecting import MIB, ConnectionPlan
from .locks.locking import DEFAULT_TTL, DEFAULT_WAIT, json_bytes
from .portal import AnyPortal, Portal, PortalView
from .requests import arguments
from .requests.arguments import Endpoints, Prefer, Seconds
from .requests.listing import Listing
from .requests.results import Watched
from .requests.watching import Watching as AsyncWatching
from .runtime.copying import NotCopied
from .runtime.forks import this_process
from .runtime.runtime import CLOSED
from .sync_lock import Lock, Locked, OnLost
from .sync_policy import BlockingPolicies
from .transport.securing import Tls
from .transport.tokens import Token, token_source

P = ParamSpec("P")
T = TypeVar("T")
__all__ = ["BlockingPolicies", "Lock", "Locked", "Registry", "Watching", "connect"]


def _blocking(
    method: Callable[Concatenate[aio.Registry, P], Awaitable[T]],
) -> "Callable[Concatenate[Registry, P], T]":
    """The blocking form of an asynchronous method."""

    @functools.wraps(method)
    def call(self: "Registry", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.portal.run(lambda registry: method(registry, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[aio.Registry, P], AsyncIterator[T]],
) -> "Callable[Concatenate[Registry, P], Iterator[T]]":
    """The blocking form of a method that returns an asynchronous iterator."""

    @functools.wraps(method)
    def call(self: "Registry", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        portal = self.portal
        return _Steps(self, portal, method(portal.registry, *args, **kwargs))

    return call


class Registry(NotCopied):
    """A cluster of decreed servers, for blocking callers; made by `decreed.client.sync.connect`.

    Each method does what the one of the same name of `decreed.client.Registry` does, with the same
    arguments and errors. Any number of threads may use it at once, and so may processes that are
    forked from this one: each has connections of its own. It is ended with `close`, or by ``with``;
    when the interpreter exits, what is still open is closed.

    Args:
        plan: of the client.
    """

    def __init__(self, plan: ConnectionPlan) -> None:
        self._plan = plan
        self._memory = plan.memory
        self._closed = False
        self._portal = Portal(plan)
        self._portals: dict[tuple[int, int], Portal] = {}
        _OPEN.add(self)

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # at the end of the interpreter, the modules that this needs may have been unloaded
        if self._closed or is_finalizing():
            return
        portal = self._portal
        if portal.is_foreign:
            portal.let_go()
        elif portal.is_open:
            seeds = ", ".join(map(str, self._plan.seeds))
            text = f"the client of {seeds} was not closed: use it in `with`, or call close()"
            warnings.warn(text, ResourceWarning, stacklevel=2)
            portal.close(wait=False)

    def close(self) -> None:
        """Close the client: calls that are under way end with `Closed`, or `OutcomeUnknown`.

        Any thread may do so, once or several times. A lock that is still held gets no more
        keep-alives; it is free again after its ttl. A forked process closes its own client, not its
        parent's.
        """
        self._closed = True
        if self._portal.is_foreign:
            self._portal.let_go()
        self._portal.close()

    @property
    def policy(self) -> BlockingPolicies:
        """The policies of the cluster, which say who may do what."""
        return BlockingPolicies(self)

    @property
    def portal(self) -> AnyPortal:
        """What does the work in this process.

        Raises:
            Closed: if the client was closed.
        """
        self._check_open()
        return self._move() if self._portal.is_foreign else self._portal

    def acting_for(self, identity: str) -> "Registry":
        """The same cluster for somebody else, as a gateway asks it.

        Args:
            identity: as for `decreed.client.Registry.acting_for`.

        Returns:
            A view of this client: it has the same calls, and ends with this client.

        Raises:
            BadRequest: if the text is no identity of a client or a token.
        """
        return _ActingRegistry(self, arguments.identity(identity))

    def _move(self) -> Portal:
        """A portal for this process, which was forked from the one that used the client last."""
        old = self._portal
        old.let_go()
        # without a lock: a thread of the parent, which is not here, may hold it
        self._portal = self._portals.setdefault(this_process(), Portal(self._plan, old.cache))
        return self._portal

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(CLOSED)

    def __repr__(self) -> str:
        return f"<decreed.client.sync.Registry {self._portal}>"

    claim = _blocking(aio.Registry.claim)
    claim_many = _blocking(aio.Registry.claim_many)
    claim_next = _blocking(aio.Registry.claim_next)
    get_many = _blocking(aio.Registry.get_many)
    wait = _blocking(aio.Registry.wait)
    list = _iterating(aio.Registry.list)
    latest = _blocking(aio.Registry.latest)
    status = _blocking(aio.Registry.status)
    max_value_bytes = _blocking(aio.Registry.max_value_bytes)
    once = _blocking(aio.Registry.once)
    lock_state = _blocking(aio.Registry.lock_state)
    lock_names = _blocking(aio.Registry.lock_names)
    lock_history = _blocking(aio.Registry.lock_history)
    break_lock = _blocking(aio.Registry.break_lock)
    observe = _iterating(aio.Registry.observe)

    def get(self, key: str, *, timeout: Seconds | None = None) -> Decree | None:
        """The decree of `key`; None when a quorum said that it is undecided.

        A decree that was read before is answered from the cache, even when the cluster is down. One
        that is in memory is read in the caller's own thread.

        Args:
            key: the key.
            timeout: seconds; None for the time given to `connect`.

        Returns:
            The decree, or None when nobody has frozen the key yet.

        Raises:
            Unreachable: no quorum answered in time.
        """
        arguments.seconds_or_none("timeout", timeout)
        decree = self._memory.get(key) if type(key) is str and not self._closed else None
        if decree is not None:
            return decree
        return self.portal.run(lambda registry: registry.get(key, timeout=timeout))

    def lock(
        self,
        name: str,
        *,
        ttl: Seconds = DEFAULT_TTL,
        wait: Seconds | None = DEFAULT_WAIT,
        note: str = "",
        info: bytes = b"",
        on_lost: OnLost | None = None,
    ) -> Locked:
        """Hold a lock while the block runs: ``with registry.lock("migrate") as lock: …``.

        The lock is kept by the client's thread. The block cannot be stopped from outside: it must
        ask `Lock.ensure_held`. If the lock is lost before the block's end, `LockLost` is raised
        after the block, unless the block raises an error itself. Where no block fits, use
        ``lock = registry.lock("migrate").acquire()`` and ``lock.release()``, from any thread.

        Args:
            name, ttl, wait, note, info: as for `decreed.client.Registry.lock`.
            on_lost: called with the reason, in a thread of its own, when the lock is lost.

        Returns:
            What gets the lock: enter it once, or `Locked.acquire` it.

        Raises:
            DecreedError: as `decreed.client.Registry.lock` does.
        """
        seconds = arguments.seconds_or_none("wait", wait)
        if on_lost is not None:
            arguments.function("on_lost", on_lost)
        portal = self.portal
        hold = portal.registry.hold(name, ttl, note, info)
        return Locked(self, portal, hold, seconds, portal.owners, on_lost)

    def lead(
        self,
        name: str,
        *,
        info: Any = None,
        ttl: Seconds = DEFAULT_TTL,
        wait: Seconds | None = None,
        note: str = "",
        on_lost: OnLost | None = None,
    ) -> Locked:
        """Lead while the block runs; the same as `lock`, but it waits forever by default.

        Args:
            name: of what is to be led.
            info: what can be written as JSON, for those who look for the leader.
            ttl, wait, note, on_lost: as for `lock`.

        Returns:
            What gets the lock, as `lock` does.

        Raises:
            DecreedError: as `lock` does.
        """
        data = json_bytes(info)
        return self.lock(name, ttl=ttl, wait=wait, note=note, info=data, on_lost=on_lost)

    def watch(self, prefix: str = "", *, since: str | None = None) -> "Watching":
        """The decrees under `prefix` as they are learned; never ends, also across failures of nodes.

        Args:
            prefix, since: as for `decreed.client.Registry.watch`.

        Returns:
            An iterator of `decreed.client.Watched`; each step waits for the next one.
        """
        portal = self.portal
        return Watching(self, portal, portal.registry.watch(prefix, since=since))

    def cached(self, key: str) -> Decree | None:
        """The decree of `key` if it is in memory. Asks nobody, waits for nothing.

        Args:
            key: the key.

        Returns:
            The decree, or None if it is not in memory; the key may still be frozen.
        """
        self._check_open()
        return self._memory.get(arguments.key(key))


def connect(
    *endpoints: Endpoints,
    timeout: Seconds = 10.0,
    claimant: str | None = None,
    cache_decrees: int = 10_000,
    cache_bytes: int = 64 * MIB,
    cache_dir: str | os.PathLike[str] | None = None,
    prefer: Prefer = "home",
    tls: Tls | None = None,
    token: Token | None = None,
) -> Registry:
    """A blocking client of the cluster at `endpoints`, for use in ``with``, or until `close`.

    Nothing is started before the first call, so a client may be made while a module is imported, and
    be used after a fork.

    Args:
        endpoints, timeout, claimant, cache_decrees, cache_bytes, cache_dir, prefer, tls, token: as for
            `decreed.client.connect`.

    Returns:
        The client. Nothing runs yet.

    Raises:
        ConfigError: if an endpoint is malformed, or none is given, or there is a token and no `tls`.
        BadRequest: if another argument is of the wrong type or out of bounds.
    """
    source = token_source(token)
    del token  # a traceback that is made later must not have it
    cache = (cache_decrees, cache_bytes, cache_dir)
    return Registry(ConnectionPlan.of(endpoints, timeout, claimant, *cache, prefer, tls, source))


# closed when the interpreter exits
_OPEN: "WeakSet[Registry]" = WeakSet()


@atexit.register
def _close_all() -> None:
    for registry in list(_OPEN):
        registry.close()


class _ActingRegistry(Registry):
    """A client's cluster as a gateway asks it for somebody else.

    It has no decrees at hand, since what the gateway may read is not what this one may.

    Args:
        owner: the client.
        identity: for whom.
    """

    def __init__(self, owner: Registry, identity: str) -> None:
        self._owner, self._identity = owner, identity
        self._memory = Memory(0, 0)
        self._view: PortalView | None = None

    @property
    def portal(self) -> PortalView:
        """That of the client, which asks for this identity; one for each process."""
        portal = self._owner.portal
        if self._view is None or self._view.portal is not portal:
            self._view = PortalView(portal, self._identity)
        return self._view

    def close(self) -> None:
        """Do nothing: it ends with the client that it is a view of."""

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        """Nothing to end."""

    @property
    def _closed(self) -> bool:  # type: ignore[override]
        return self._owner._closed

    def __repr__(self) -> str:
        return f"{self._owner!r} for {self._identity}"


class _Steps(NotCopied, Iterator[T]):
    """An asynchronous iterator, stepped from outside its event loop.

    Args:
        registry: kept alive, since it is closed when it is no longer referenced.
        portal: where the iterator is stepped.
        steps: the iterator.
    """

    instead: ClassVar[str] = Listing.instead

    def __init__(self, registry: Registry, portal: AnyPortal, steps: AsyncIterator[T]) -> None:
        self._registry = registry
        self._portal = portal
        self._steps = steps

    def __next__(self) -> T:
        found = self._portal.run(self._step)
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

    instead: ClassVar[str] = AsyncWatching.instead

    def __init__(self, registry: Registry, portal: AnyPortal, watching: AsyncWatching) -> None:
        super().__init__(registry, portal, watching)
        self._watching = watching

    def begin(self, timeout: Seconds = 10.0) -> None:
        """Take the position now: all that is decreed after this returns will be seen.

        Args:
            timeout: seconds until it gives up.

        Raises:
            Unreachable: no node answered in time.
            Closed: the client is closed.
        """

        seconds = arguments.seconds("timeout", timeout)

        async def begin(_: aio.Registry) -> None:
            try:
                with anyio.fail_after(seconds):
                    await self._watching.begin()
            except TimeoutError as error:
                raise Unreachable(f"no node answered within {seconds:g} s") from error

        self._portal.run(begin)
