"""A client for blocking callers with few requests: it needs no event loop and no thread.

It runs the same coroutines as trio and asyncio do, over links that wait inside `Exchange.listen`
instead of suspending. So a coroutine runs to its end in one step (`finish`). No bytes move between
calls, so holding locks and watching need `connect`.
"""

import selectors
import socket
import time
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager, nullcontext
from typing import Any, NoReturn, TypeVar

from ..registry.errors import Closed
from .caching.cache import Cache
from .caching.memory import Memory
from .keys import Keys
from .requests import arguments
from .requests.claims import checked_claimant
from .requests.pool import Pool
from .requests.sender import RequestSender
from .runtime.forks import this_process
from .runtime.runtime import Admit
from .transport.endpoints import Endpoint, parse_endpoints
from .transport.socket_link import SocketLink
from .transport.wakeup import Wakeup

T = TypeVar("T")
# below the system's own bound on how long one wait may be
LONGEST_WAIT_SECONDS = 3_600.0
CACHE_DECREES = 1_000
CACHE_BYTES = 16 * 1024 * 1024


def ask(
    endpoints: Iterable[str],
    body: Callable[[Keys], Coroutine[Any, Any, T]],
    *,
    timeout: float = 10.0,
    claimant: str | None = None,
) -> T:
    """Run `body` with the keys of a cluster, and return what it returns. Blocks.

    Args:
        endpoints: servers as ``host:port``.
        body: awaits only the calls of `Keys`, except `Keys.watch`.
        timeout: seconds that a call may take unless it names its own timeout.
        claimant: the name that claims carry; ``user@host`` by default.

    Raises:
        ConfigError: if an endpoint is malformed, or none is given.
        DecreedError: as the calls do.
    """
    with keys_of(endpoints, timeout=timeout, claimant=claimant) as keys:
        return finish(body(keys))


@contextmanager
def keys_of(
    endpoints: Iterable[str],
    *,
    timeout: float = 10.0,
    claimant: str | None = None,
    cache_decrees: int = CACHE_DECREES,
) -> Generator[Keys]:
    """The keys of a cluster, for coroutines that `finish` runs; arguments as for `connect`."""
    seeds = parse_endpoints(arguments.endpoints(tuple(endpoints)))
    seconds = arguments.seconds("timeout", timeout)
    name = checked_claimant(claimant)
    exchange = Exchange()
    cache = Cache(Memory(cache_decrees, CACHE_BYTES), None, map(str, seeds))
    pool = Pool(seeds, exchange, cache.adopt)
    try:
        yield Keys(RequestSender(pool, cache, seconds, exchange), name)
    finally:
        pool.close()


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine over an `Exchange` to its end; it blocks where others would suspend."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("this waits for what only an event loop has: use decreed.client.connect")


class Exchange:
    """Moves the bytes of all links of one client while its caller waits; also the client's lifetime."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._links: list[SocketLink] = []
        self._process = this_process()

    @property
    def tasks(self) -> NoReturn:
        """A blocking client has no background tasks."""
        raise RuntimeError("this needs a task of its own: use decreed.client.connect")

    @property
    def is_foreign(self) -> bool:
        """Whether this process is another one than that of the client."""
        return self._process != this_process()

    def check_open(self) -> None:
        """Allow every use: the client belongs to no event loop."""

    def forget(self, what: str) -> None:
        """Do nothing: no background work has to be ended."""

    async def end(self) -> None:
        """Close all connections."""
        self.close()

    def now(self) -> float:
        """The system's monotonic clock."""
        return time.monotonic()

    def lock(self) -> nullcontext[None]:
        """A lock that does nothing: only one caller runs at a time."""
        return nullcontext()

    async def listen(self, wakeup: Wakeup, until: float) -> None:
        """Move bytes until `wakeup` has been rung, or the time `until`. Never suspends."""
        while not wakeup.rung and (now := self.now()) < until:
            ends = [link.wake_at for link in self._links]
            self._poll(min(until, now + LONGEST_WAIT_SECONDS, *ends) - now)
            for link in self._links:
                link.advance(self.now())
        wakeup.heed()

    def link(self, endpoint: Endpoint, admit: Admit) -> SocketLink:
        """A link whose bytes this moves."""
        link = SocketLink(endpoint, admit, self.now, self)
        self._links.append(link)
        return link

    def watch(self, connection: socket.socket, events: int, turn: Callable[[int], None]) -> None:
        """Call `turn` with the ones of `events` that `connection` is ready for; 0 stops watching it."""
        known = connection.fileno() in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(connection)
        elif known:
            self._selector.modify(connection, events, turn)
        else:
            self._selector.register(connection, events, turn)

    def close(self) -> None:
        """Close all connections."""
        for link in self._links:
            link.close(Closed("the client was closed"))
        self._selector.close()

    def _poll(self, seconds: float) -> None:
        for key, events in self._selector.select(max(0.0, seconds)):
            # an earlier turn may have closed this one
            current = self._selector.get_map().get(key.fd)
            if current is not None and current.data is key.data:
                key.data(events)
