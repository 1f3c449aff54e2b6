"""`connect`: puts the parts of a client together, and takes them apart again."""

import os
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ..registry.errors import Closed
from .asker import Asker
from .cache import Cache
from .claims import default_claimant
from .cluster import Registry
from .endpoints import parse_endpoints
from .loop_runtime import LoopRuntime
from .memory import Memory
from .pool import Pool

MIB = 1024 * 1024
DISK_FACTOR = 4


def connect(
    *endpoints: str,
    timeout: float = 10.0,
    claimant: str | None = None,
    cache_decrees: int = 10_000,
    cache_bytes: int = 64 * MIB,
    cache_dir: str | os.PathLike[str] | None = None,
) -> AbstractAsyncContextManager[Registry]:
    """A client of the cluster at `endpoints`, for use in ``async with``.

    Nothing is sent before the first call, so the cluster need not be up.

    Args:
        endpoints: servers as ``host:port``, or several in one text, separated by commas. One is
            enough: it names the others.
        timeout: seconds that a call may take when it names no time of its own.
        claimant: the name that claims carry; ``user@host`` by default.
        cache_decrees: how many decrees are held in memory at most.
        cache_bytes: how many bytes they take together at most, roughly.
        cache_dir: a directory to hold decrees on disk too, four times as many; several processes
            may share it. None for no disk cache.

    Raises:
        ConfigError: if an endpoint is malformed, or none is given.
    """
    seeds = parse_endpoints(endpoints)
    shelf = None
    if cache_dir is not None:
        from .shelf import Shelf  # and with it the database, which most clients do without

        bounds = (cache_decrees * DISK_FACTOR, cache_bytes * DISK_FACTOR)
        shelf = Shelf(Path(cache_dir), *(max(1, bound) for bound in bounds))
    memory = Memory(cache_decrees, cache_bytes)

    def make(spawn: Callable[[Callable[[], Coroutine[Any, Any, None]]], None]) -> Asker:
        cache = Cache(memory, shelf, map(str, seeds))
        return Asker(Pool(seeds, LoopRuntime(spawn), cache.adopt), cache, timeout)

    return _Connection(make, default_claimant() if claimant is None else claimant)


def _start(tasks: TaskGroup, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    tasks.start_soon(work)


class _Connection(AbstractAsyncContextManager[Registry]):
    """Holds the task group of a client; errors of the body pass through unchanged."""

    def __init__(
        self,
        make: Callable[[Callable[[Callable[[], Coroutine[Any, Any, None]]], None]], Asker],
        claimant: str,
    ) -> None:
        self._make = make
        self._claimant = claimant
        self._tasks: TaskGroup | None = None
        self._asker: Asker | None = None

    async def __aenter__(self) -> Registry:
        if self._tasks is not None:
            raise Closed("a client can be entered once: call connect again")
        tasks = self._tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._asker = asker = self._make(lambda work: _start(tasks, work))
        if asker.cache.on_disk:
            tasks.start_soon(asker.cache.write)
        return Registry(asker, self._claimant)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks, asker = self._tasks, self._asker
        if tasks is not None and asker is not None:
            asker.pool.close()
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)
