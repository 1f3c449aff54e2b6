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
from .transport.link import Link
from .transport.securing import ClientSecurity, Tls, security_of
from .transport.socket_link import SocketLink
from .transport.tokens import TokenSource
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
    prefer: arguments.Prefer = "home",
    tls: Tls | None = None,
    token: TokenSource | None = None,
) -> T:
    """Run `body` with the keys of a cluster, and return what it returns. Blocks.

    Args:
        endpoints: servers as ``host:port``.
        body: awaits only the calls of `Keys`, except `Keys.watch`.
        timeout: seconds that a call may take unless it names its own timeout.
        claimant: the name that claims carry; ``user@host`` by default.
        prefer: where to read from, as for `connect`; the nearest node is looked for first.
        tls: how connections are secured; None for connections without TLS.
        token: where the client's token comes from; None for none.

    Raises:
        ConfigError: if an endpoint is malformed, or none is given.
        DecreedError: as the calls do.
    """
    name = checked_claimant(claimant)
    with sender_of(endpoints, timeout=timeout, prefer=prefer, tls=tls, token=token) as sender:
        if prefer == "nearest":
            finish(sender.find_nearest(sender.deadline(None)))
        return finish(body(Keys(sender, name)))


@contextmanager
def keys_of(
    endpoints: Iterable[str],
    *,
    timeout: float = 10.0,
    claimant: str | None = None,
    cache_decrees: int = CACHE_DECREES,
    tls: Tls | None = None,
    token: TokenSource | None = None,
) -> Generator[Keys]:
    """The keys of a cluster, for coroutines that `finish` runs; arguments as for `connect`."""
    name = checked_claimant(claimant)
    settings = sender_of(
        endpoints, timeout=timeout, cache_decrees=cache_decrees, tls=tls, token=token
    )
    with settings as sender:
        yield Keys(sender, name)


@contextmanager
def sender_of(
    endpoints: Iterable[str],
    *,
    timeout: float = 10.0,
    cache_decrees: int = CACHE_DECREES,
    prefer: arguments.Prefer = "home",
    tls: Tls | None = None,
    token: TokenSource | None = None,
    stays: bool = False,
) -> Generator[RequestSender]:
    """Sends requests to a cluster, for coroutines that `finish` runs; arguments as for `connect`.

    With `stays` no node is asked that the endpoints do not lead to.
    """
    seeds = parse_endpoints(arguments.endpoints(tuple(endpoints)))
    seconds = arguments.seconds("timeout", timeout)
    exchange = Exchange(security_of(tls, token))
    cache = Cache(Memory(cache_decrees, CACHE_BYTES), None, map(str, seeds))
    nearest = arguments.preference("prefer", prefer)
    pool = Pool(seeds, exchange, cache.adopt, prefers_nearest=nearest, stays=stays)
    try:
        yield RequestSender(pool, cache, seconds, exchange)
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
    """Moves the bytes of all links of one client while its caller waits; also the client's lifetime.

    Args:
        security: for TLS; None for connections without.
    """

    def __init__(self, security: ClientSecurity | None = None) -> None:
        self._security = security
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
        for link in self._links:
            link.measure_again()
        while not wakeup.rung and (now := self.now()) < until:
            ends = [link.wake_at for link in self._links]
            self._poll(min(until, now + LONGEST_WAIT_SECONDS, *ends) - now)
            for link in self._links:
                link.advance(self.now())
        wakeup.heed()

    def link(self, endpoint: Endpoint, admit: Admit) -> SocketLink:
        """A link whose bytes this moves."""
        link = SocketLink(endpoint, admit, self.now, self, self._security)
        self._links.append(link)
        return link

    def drop(self, link: Link) -> None:
        """Move no bytes of a link any more."""
        self._links = [each for each in self._links if each is not link]

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
