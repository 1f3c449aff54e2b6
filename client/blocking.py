"""A client for a caller who blocks and asks little: no event loop, no thread, nothing in between.

What decides is the very client that trio and asyncio run: its coroutines, over links that wait inside
`Exchange.listen` instead of suspending. So they run to their end in one step (`finish`). Nothing moves
while the caller does something else; whoever keeps locks, or watches, needs `connect`.
"""

import selectors
import socket
import time
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager, nullcontext
from typing import Any, NoReturn, TypeVar

from ..registry.errors import Closed
from . import arguments
from .asker import Asker
from .bell import Bell
from .cache import Cache
from .claims import checked_claimant
from .endpoints import Endpoint, parse_endpoints
from .forks import this_process
from .memory import Memory
from .pool import Pool
from .registry import Keys
from .runtime import Admit
from .socket_link import SocketLink

T = TypeVar("T")
# the system's own bound on how long one wait may be
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
        body: awaits nothing but the calls of `Keys`, other than `Keys.watch`.
        timeout: seconds that a call may take when it names no time of its own.
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
    """The keys of a cluster, whose coroutines `finish` runs; the arguments are those of `connect`."""
    seeds = parse_endpoints(arguments.endpoints(tuple(endpoints)))
    seconds = arguments.seconds("timeout", timeout)
    name = checked_claimant(claimant)
    exchange = Exchange()
    cache = Cache(Memory(cache_decrees, CACHE_BYTES), None, map(str, seeds))
    pool = Pool(seeds, exchange, cache.adopt)
    try:
        yield Keys(Asker(pool, cache, seconds, exchange), name)
    finally:
        pool.close()


def finish(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine over an `Exchange` returns; it blocks where others would suspend."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("this waits for what only an event loop has: use decreed.client.connect")


class Exchange:
    """Moves the bytes of all links of one client while its caller waits, and is the client's life."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._links: list[SocketLink] = []
        self._process = this_process()

    @property
    def tasks(self) -> NoReturn:
        """There are none beside a caller who blocks."""
        raise RuntimeError("this needs a task of its own: use decreed.client.connect")

    @property
    def is_foreign(self) -> bool:
        """Whether this process is another one than that of the client."""
        return self._process != this_process()

    def guard(self) -> None:
        """Any code may use the client that has it."""

    def forget(self, what: str) -> None:
        """Nothing goes on that would have to be ended."""

    async def end(self) -> None:
        """Close all connections."""
        self.close()

    def now(self) -> float:
        """The system's monotonic clock."""
        return time.monotonic()

    def lock(self) -> nullcontext[None]:
        """Nobody else is there to be kept out."""
        return nullcontext()

    async def listen(self, bell: Bell, until: float) -> None:
        """Move bytes until `bell` has been rung, or the time `until`. Never suspends."""
        while not bell.rung and (now := self.now()) < until:
            ends = [link.wake_at for link in self._links]
            self._poll(min(until, now + LONGEST_WAIT_SECONDS, *ends) - now)
            for link in self._links:
                link.advance(self.now())
        bell.heed()

    def link(self, endpoint: Endpoint, admit: Admit) -> SocketLink:
        """A link that is moved by this."""
        link = SocketLink(endpoint, admit, self.now, self)
        self._links.append(link)
        return link

    def watch(self, connection: socket.socket, events: int, turn: Callable[[int], None]) -> None:
        """Call `turn` with what `connection` is ready for, of `events`; 0 to watch it no more."""
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
