"""Connecting without an event loop: the name is looked up, and all its addresses are tried at once."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Sequence
from selectors import EVENT_READ, EVENT_WRITE
from threading import Thread
from typing import Any, Protocol

from .endpoints import Endpoint

Address = tuple[Any, ...]
_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)


class Poller(Protocol):
    """Tells when sockets can be read or written."""

    def watch(self, connection: socket.socket, events: int, turn: Callable[[int], None]) -> None:
        """Call `turn` with the ones of `events` that `connection` is ready for; 0 stops watching it."""
        ...


class SocketDial:
    """An attempt to connect to one endpoint.

    Args:
        endpoint: where to connect.
        poller: tells when the connection is made or has failed.
        connected: called with the connection.
        failed: called once every address has failed, with what was met: at least one error.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        poller: Poller,
        connected: Callable[[socket.socket], None],
        failed: Callable[[Sequence[Exception]], None],
    ) -> None:
        self._endpoint, self._poller = endpoint, poller
        self._connected, self._failed = connected, failed
        self._open: set[socket.socket] = set()
        self._found: list[tuple[int, Address]] | Exception = []
        self._errors: list[Exception] = []

    def begin(self) -> None:
        """Look the name up, in another thread if that may take time, and connect."""
        try:
            self._try_all(_look_up(self._endpoint, socket.AI_NUMERICHOST))
        except (OSError, UnicodeError):
            self._look_up_aside()

    def close(self) -> None:
        """Stop trying."""
        for connection in list(self._open):
            self._drop(connection)

    def _look_up_aside(self) -> None:
        ours, theirs = socket.socketpair()
        self._watch(ours, EVENT_READ, lambda _: self._looked_up(ours))
        # a name server may be silent for longer than the caller waits
        Thread(target=self._look_up, args=(theirs,), name="decreed-names", daemon=True).start()

    def _look_up(self, theirs: socket.socket) -> None:
        try:
            self._found = _look_up(self._endpoint, 0)
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

    def _try_all(self, addresses: list[tuple[int, Address]]) -> None:
        for family, address in addresses:
            self._try(family, address)
        if not self._open:
            self._failed(self._errors)

    def _try(self, family: int, address: Address) -> None:
        try:
            connection = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            self._errors.append(error)  # a family that this system does not have
            return
        connection.setblocking(False)
        code = connection.connect_ex(address)
        if code in _UNDER_WAY:
            self._watch(connection, EVENT_WRITE, lambda _: self._ended(connection))
        else:
            connection.close()
            self._errors.append(OSError(code, os.strerror(code)))

    def _ended(self, connection: socket.socket) -> None:
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._errors.append(OSError(code, os.strerror(code)))
            self._drop(connection)
            if not self._open:
                self._failed(self._errors)
            return
        self._poller.watch(connection, 0, _nothing)
        self._open.discard(connection)
        self.close()
        self._connected(connection)

    def _watch(self, connection: socket.socket, events: int, turn: Callable[[int], None]) -> None:
        self._open.add(connection)
        self._poller.watch(connection, events, turn)

    def _drop(self, connection: socket.socket) -> None:
        self._open.discard(connection)
        self._poller.watch(connection, 0, _nothing)
        connection.close()


def _look_up(endpoint: Endpoint, flags: int) -> list[tuple[int, Address]]:
    """Family and address of all that a name stands for: at least one.

    Raises:
        OSError, UnicodeError: if it has no address.
    """
    # as bytes if possible: a str would go through IDNA encoding first
    host = endpoint.host.encode() if endpoint.host.isascii() else endpoint.host
    found = socket.getaddrinfo(host, endpoint.port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


def _nothing(_: int) -> None:
    """The callback of a connection that is no longer watched."""
