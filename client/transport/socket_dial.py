"""Connecting without an event loop: the name is looked up, and its addresses are tried in turn."""

import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from selectors import EVENT_READ, EVENT_WRITE
from threading import Thread
from typing import Protocol

from ...registry.dial_order import PAUSE_SECONDS, DialOrder, SocketAddress, as_numbers, look_up
from .endpoints import Endpoint

_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)


class Poller(Protocol):
    """Tells when sockets can be read or written."""

    def watch(self, connection: socket.socket, events: int, turn: Callable[[int], None]) -> None:
        """Call `turn` with the ones of `events` that `connection` is ready for; 0 stops watching it."""
        ...


class SocketDial:
    """An attempt to connect to one endpoint.

    The addresses of its name are tried in turn: the next one when one has failed, or has not answered
    for `pause` seconds. The first connection counts.

    Args:
        endpoint: where to connect.
        poller: tells when the connection is made or has failed.
        connected: called with the connection.
        failed: called once every address has failed, with what was met: at least one error.
        now: the time in seconds.
        order: remembers which addresses failed before.
        pause: how long one address is tried alone, in seconds.

    Attributes:
        next_at: when to call `advance`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        poller: Poller,
        connected: Callable[[socket.socket], None],
        failed: Callable[[Sequence[Exception]], None],
        now: Callable[[], float],
        order: DialOrder | None = None,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        self._endpoint, self._poller = endpoint, poller
        self._connected, self._failed = connected, failed
        self._now, self._order, self._pause = now, order or DialOrder(), pause
        self._open: dict[socket.socket, SocketAddress | None] = {}
        self._found: list[SocketAddress] | Exception = []
        self._left: deque[SocketAddress] = deque()
        self._errors: list[Exception] = []
        self.next_at = inf

    def begin(self) -> None:
        """Look the name up, in another thread if that may take time, and connect."""
        if found := as_numbers(*self._endpoint):
            self._try_all(found)
        else:
            self._look_up_aside()

    def advance(self, now: float) -> None:
        """Try the next address, if the one before has had its time."""
        if now >= self.next_at:
            self._go_on()

    def close(self) -> None:
        """Stop trying; what took no connection until now has failed."""
        for address in self._open.values():
            if address is not None:
                self._order.failed(address)
        self._stop()

    def _stop(self) -> None:
        self._left.clear()
        self.next_at = inf
        for connection in list(self._open):
            self._drop(connection)

    def _look_up_aside(self) -> None:
        ours, theirs = socket.socketpair()
        self._watch(ours, None, EVENT_READ, lambda _: self._looked_up(ours))
        # a name server may be silent for longer than the caller waits
        Thread(target=self._look_up, args=(theirs,), name="decreed-names", daemon=True).start()

    def _look_up(self, theirs: socket.socket) -> None:
        try:
            self._found = look_up(*self._endpoint)
        except (OSError, UnicodeError) as error:
            self._found = error
        with theirs, contextlib.suppress(OSError):
            theirs.send(b"!")

    def _looked_up(self, ours: socket.socket) -> None:
        self._drop(ours)
        if isinstance(self._found, Exception):
            self._failed([self._found])
        else:
            self._try_all(self._found)

    def _try_all(self, addresses: list[SocketAddress]) -> None:
        self._left.extend(self._order.order(addresses))
        self._go_on()

    def _go_on(self) -> None:
        """Try the next address, and further ones that fail at once."""
        self.next_at = inf
        while self._left:
            if self._try(self._left.popleft()) and self._pause:
                self.next_at = self._now() + self._pause if self._left else inf
                return
        if not self._open:
            self._failed(self._errors)

    def _try(self, address: SocketAddress) -> bool:
        """Begin to connect; returns whether that may succeed."""
        try:
            connection = socket.socket(address.family, socket.SOCK_STREAM)
        except OSError as error:
            self._has_failed(address, error)  # a family that this system does not have
            return False
        connection.setblocking(False)
        code = connection.connect_ex(address.address)
        if code in _UNDER_WAY:
            self._watch(
                connection, address, EVENT_WRITE, lambda _: self._ended(connection, address)
            )
            return True
        connection.close()
        self._has_failed(address, OSError(code, os.strerror(code)))
        return False

    def _has_failed(self, address: SocketAddress, error: OSError) -> None:
        self._order.failed(address)
        self._errors.append(error)

    def _ended(self, connection: socket.socket, address: SocketAddress) -> None:
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._has_failed(address, OSError(code, os.strerror(code)))
            self._drop(connection)
            self._go_on()
            return
        self._poller.watch(connection, 0, _nothing)
        del self._open[connection]
        self._stop()
        self._order.connected(address)
        self._connected(connection)

    def _watch(
        self,
        connection: socket.socket,
        address: SocketAddress | None,
        events: int,
        turn: Callable[[int], None],
    ) -> None:
        self._open[connection] = address
        self._poller.watch(connection, events, turn)

    def _drop(self, connection: socket.socket) -> None:
        self._open.pop(connection, None)
        self._poller.watch(connection, 0, _nothing)
        connection.close()


def _nothing(_: int) -> None:
    """The callback of a connection that is no longer watched."""
