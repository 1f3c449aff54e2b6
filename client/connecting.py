"""`connect` and `open_registry`: put the parts of a client together, and take them apart again."""

import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct

from ..registry.errors import Closed
from ..registry.types import MAX_COUNTER
from .caching.cache import Cache
from .caching.memory import Memory
from .registry import Registry
from .requests import arguments
from .requests.arguments import Endpoints, Prefer, Seconds
from .requests.claims import checked_claimant
from .requests.pool import Pool
from .requests.sender import RequestSender
from .runtime.copying import NotCopied
from .runtime.lifetime import Lifetime, Nursery, Work
from .runtime.loop_runtime import LoopRuntime
from .transport.endpoints import Endpoint, parse_endpoints
from .transport.loops import in_asyncio
from .transport.securing import ClientSecurity, Tls, security_of
from .transport.tokens import Token, TokenSource, token_source

if TYPE_CHECKING:
    from .caching.cache_directory import CacheDirectory

MIB = 1024 * 1024
DISK_FACTOR = 4


class NotOpened(Closed, AttributeError):
    """A client was used before it was opened."""


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
) -> AbstractAsyncContextManager[Registry]:
    """A client of the cluster at `endpoints`, for use in ``async with``.

    Nothing is sent before the first call, so the cluster need not be up. On asyncio the block may
    be left by another task than the one that entered it, and several in any order.

    Args:
        endpoints: servers as ``host:port``, or several in one text, separated by commas, or
            collections of such texts. One is enough: it names the others.
        timeout: seconds that a call may take when it names no time of its own.
        claimant: the name that claims carry; ``user@host`` by default.
        cache_decrees: how many decrees are held in memory at most.
        cache_bytes: how many bytes they take together at most, roughly.
        cache_dir: a directory to hold decrees on disk too, four times as many; several processes
            may share it. None for no disk cache.
        prefer: where to read from. ``"home"`` asks the home of each key first, which answers soonest
            for keys that are new. ``"nearest"`` asks the node that answers fastest, members and
            observers alike, for frozen keys, waits and watches, and the nearest member for lists. Both
            ask members, the home first, for all that needs a vote: claims, locks, and keys that the
            nearest node does not know as frozen.
        tls: how connections are secured, and what certificate is shown; None for no TLS.
        token: who this client is, in place of a certificate: the text of a token, the ``pathlib.Path``
            of a file with it, or a function that returns it. File and function are asked again for
            each connection, so the token may be replaced while the client runs. It takes `tls`.

    Returns:
        What gives the `Registry` to its block, and closes it at the block's end.

    Raises:
        ConfigError: if an endpoint is malformed, or none is given, or a file of `tls` cannot be used,
            or there is a token and no `tls`.
        BadRequest: if another argument is of the wrong type or out of bounds.
    """
    source = token_source(token)
    del token  # a traceback that is made later must not have it
    cache = (cache_decrees, cache_bytes, cache_dir)
    return _Connection(ConnectionPlan.of(endpoints, timeout, claimant, *cache, prefer, tls, source))


async def open_registry(
    *endpoints: Endpoints,
    timeout: Seconds = 10.0,
    claimant: str | None = None,
    cache_decrees: int = 10_000,
    cache_bytes: int = 64 * MIB,
    cache_dir: str | os.PathLike[str] | None = None,
    prefer: Prefer = "home",
    tls: Tls | None = None,
    token: Token | None = None,
    nursery: Nursery | None = None,
) -> Registry:
    """An open client, to be ended with `Registry.aclose`, by any task and in any order.

    For where no ``async with`` fits: start and stop hooks, fixtures, notebooks.

    Args:
        endpoints, timeout, claimant, cache_decrees, cache_bytes, cache_dir, prefer, tls, token: as for
            `connect`.
        nursery: where the client's tasks run. Trio needs one; it does not end before the client is
            closed. On asyncio the client has a task of its own if this is None.

    Returns:
        The client, open.

    Raises:
        ConfigError: if an endpoint is malformed, or none is given.
        BadRequest: if trio runs and there is no nursery, or an argument is of the wrong type.
    """
    source = token_source(token)
    del token  # a traceback that is made later must not have it
    cache = (cache_decrees, cache_bytes, cache_dir)
    plan = ConnectionPlan.of(endpoints, timeout, claimant, *cache, prefer, tls, source)
    if nursery is not None:
        arguments.function("nursery", getattr(nursery, "start_soon", nursery))
    return plan.open(nursery)


class ConnectionPlan(Struct, frozen=True):
    """The settings of a client; no event loop and no connection yet.

    Args:
        seeds: the endpoints that the user gave.
        timeout: seconds.
        claimant: the name that claims carry.
        memory: the decrees in memory.
        cache_directory: those on disk, if any.
        prefers_nearest: whether it reads from the node that answers fastest.
        security: for TLS; None for connections without.
    """

    seeds: tuple[Endpoint, ...]
    timeout: float
    claimant: str
    memory: Memory
    cache_directory: "CacheDirectory | None"
    prefers_nearest: bool = False
    security: ClientSecurity | None = None

    @classmethod
    def of(
        cls,
        endpoints: tuple[Endpoints, ...],
        timeout: Seconds,
        claimant: str | None,
        cache_decrees: int,
        cache_bytes: int,
        cache_dir: str | os.PathLike[str] | None,
        prefer: Prefer = "home",
        tls: Tls | None = None,
        token: TokenSource | None = None,
    ) -> "ConnectionPlan":
        """The plan of a client, from what `connect` takes."""
        seeds = parse_endpoints(arguments.endpoints(endpoints))
        seconds = arguments.seconds("timeout", timeout)
        bounds = (
            arguments.whole_number("cache_decrees", cache_decrees, 0, MAX_COUNTER),
            arguments.whole_number("cache_bytes", cache_bytes, 0, MAX_COUNTER),
        )
        cache_directory = None
        if cache_dir is not None:
            # loads SQLite, which takes a while
            from .caching.cache_directory import CacheDirectory

            directory = Path(arguments.path("cache_dir", cache_dir))
            cache_directory = CacheDirectory(
                directory, *(max(1, bound * DISK_FACTOR) for bound in bounds)
            )
        name = checked_claimant(claimant)
        nearest = arguments.preference("prefer", prefer)
        security = security_of(tls, token)
        memory = Memory(*bounds)
        return cls(tuple(seeds), seconds, name, memory, cache_directory, nearest, security)

    def open(self, nursery: Nursery | None) -> Registry:
        """A client in the event loop that runs now; its tasks run in `nursery`, if it is given."""
        return Registry(self.begin(nursery), self.claimant)

    def begin(self, nursery: Nursery | None, known: Cache | None = None) -> RequestSender:
        """The requester of a registry, in the event loop that runs now.

        Args:
            nursery: where the client's tasks run; None on asyncio.
            known: the cache of this plan's client in the process that this one was forked from.
        """
        lifetime = Lifetime(nursery)
        cache = Cache(self.memory, self.cache_directory, map(str, self.seeds))
        if known is not None:
            cache.inherit(known)
        runtime = LoopRuntime(lifetime.spawn, self.security)
        pool = Pool(self.seeds, runtime, cache.adopt, prefers_nearest=self.prefers_nearest)
        sender = RequestSender(pool, cache, self.timeout, lifetime)
        lifetime.begin(pool.close, pool.tasks.spoken)
        if cache.on_disk:
            lifetime.spawn(cache.write)
        return sender


class _Sheltered:
    """A nursery whose tasks are shielded from cancellation.

    Otherwise a cancellation of the client's block would end the client's own task at the same time,
    before the block has released its locks. The end of the block ends that task.
    """

    def __init__(self, nursery: TaskGroup) -> None:
        self._nursery = nursery

    def start_soon(self, work: Work) -> None:
        """Start a task."""
        self._nursery.start_soon(self._run, work)

    async def _run(self, work: Work) -> None:
        with anyio.CancelScope(shield=True):
            await work()


class _Connection(NotCopied, AbstractAsyncContextManager[Registry]):
    """A client for one block. Errors of the block pass through unchanged."""

    def __init__(self, plan: ConnectionPlan) -> None:
        self._plan = plan
        self._registry: Registry | None = None
        # trio's tasks need a nursery in the task that enters the block; asyncio's do not
        self._nursery: TaskGroup | None = None

    async def __aenter__(self) -> Registry:
        if self._registry is not None:
            raise Closed("a client can be entered once: call connect again")
        if not in_asyncio():
            self._nursery = anyio.create_task_group()
            await self._nursery.__aenter__()
        self._registry = self._plan.open(self._nursery and _Sheltered(self._nursery))
        return self._registry

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._registry is not None:
            await self._registry.aclose()
        if self._nursery is not None:
            await self._nursery.__aexit__(None, None, None)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_") or not hasattr(Registry, name):
                raise AttributeError(f"a client that is not opened has no {name!r}")
            raise NotOpened(
                "the client is not open: write `async with connect(…) as registry:`, or "
                "`registry = await open_registry(…)`, and use that registry"
            )
