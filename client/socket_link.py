"""A link for a caller who blocks: its bytes are moved while the caller waits, and at no other time."""

import socket
from collections.abc import Callable, Iterable
from selectors import EVENT_READ, EVENT_WRITE

from ..registry.errors import DecreedError, Unreachable
from ..registry.wire.handshake import ClientWelcome
from ..registry.wire.requests import Answer
from .endpoints import Endpoint
from .framing import (
    DIAL_SECONDS,
    MAX_WELCOME_BYTES,
    READ_BYTES,
    SOFTWARE,
    Framing,
    Greeting,
    cannot_connect,
    hello,
    keep_alive,
    said,
    too_late,
)
from .link import Link
from .socket_dial import Dial, Poller


class SocketChannel(Framing):
    """An open connection to a node that has welcomed us; nothing here waits.

    Args:
        connection: the bytes; it does not block.
        welcome: what the node said of itself and its bounds.
    """

    def __init__(self, connection: socket.socket, welcome: ClientWelcome) -> None:
        super().__init__(welcome)
        self._connection = connection
        self._rest = memoryview(b"")

    @property
    def idle(self) -> bool:
        """Whether all that was to be sent has been handed to the system."""
        return not self._rest

    def send_now(self, messages: Iterable[bytes]) -> None:
        """Send encoded messages while the channel is idle; what the system does not take is kept.

        If the connection broke, `flush` meets the error.
        """
        assert self.idle
        self._rest = memoryview(b"".join(self.frames_of(messages)))
        try:
            self._rest = self._rest[self._connection.send(self._rest) :]
        except OSError:
            return  # full, or broken

    def flush(self) -> None:
        """Send what was kept, as far as the system takes it.

        Raises:
            Unreachable: if the connection broke; what was sent may have arrived.
        """
        try:
            while self._rest:
                self._rest = self._rest[self._connection.send(self._rest) :]
        except BlockingIOError:
            return
        except OSError as error:
            raise Unreachable(f"the connection broke: {said(error)}") from error

    def receive(self) -> list[Answer]:
        """The answers that have arrived, maybe none.

        Raises:
            Unreachable: if the connection ended.
            ProtocolError: if what arrived is not our protocol.
        """
        try:
            data = self._connection.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise Unreachable(f"the connection broke: {said(error)}") from error
        if not data:
            raise Unreachable("the node closed the connection")
        return self.answers_in(data)


class SocketLink(Link):
    """A link that is moved by a `Poller`.

    Args:
        endpoint, admit, now: as for `Link`.
        poller: tells when there is something to do.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        admit: Callable[[Endpoint, ClientWelcome], None],
        now: Callable[[], float],
        poller: Poller,
    ) -> None:
        super().__init__(endpoint, admit, now)
        self.give_up_at: float | None = None
        self._poller = poller
        self._dial: Dial | None = None
        self._connection: socket.socket | None = None
        self._socket_channel: SocketChannel | None = None
        self._greeting = Greeting()

    def expire(self, now: float) -> None:
        """Give up connecting, if its time is over."""
        if self.give_up_at is not None and now >= self.give_up_at:
            self.close(too_late())

    def close(self, error: DecreedError) -> None:
        """End the connection, or the attempt to make one; all who wait are told `error`."""
        self.give_up_at = None
        if self._dial is not None:
            self._dial.close()
        if self._connection is not None:
            self._poller.watch(self._connection, 0, self._turn)
            self._connection.close()
        self._dial = self._connection = self._socket_channel = None
        if self.running:
            self._end(error)

    def _start(self) -> None:
        self.give_up_at = self._now() + DIAL_SECONDS
        self._dial = Dial(
            self.endpoint, self._poller, self._connected, lambda e: self.close(cannot_connect(e))
        )
        self._dial.begin()

    def _wake_writer(self) -> None:
        if self._connection is not None:
            self._poller.watch(self._connection, EVENT_READ | EVENT_WRITE, self._turn)

    def _connected(self, connection: socket.socket) -> None:
        self._dial = None
        self._connection = connection
        self._greeting = Greeting()
        self._poller.watch(connection, EVENT_READ, self._turn)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(connection)
            # the first bytes of a connection always fit
            connection.sendall(hello(SOFTWARE))
        except OSError as error:
            self.close(_broken_greeting(error))

    def _turn(self, events: int) -> None:
        """Do what the connection is ready for."""
        try:
            if self._socket_channel is None:
                self._greet()
            else:
                self._move(self._socket_channel, events)
        except DecreedError as error:
            self.close(error)

    def _greet(self) -> None:
        assert self._connection is not None
        try:
            data = self._connection.recv(MAX_WELCOME_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise _broken_greeting(error) from error
        if not data:
            raise _broken_greeting(EOFError("the node closed it"))
        welcome = self._greeting.feed(data)
        if welcome is not None:
            self.give_up_at = None
            channel = SocketChannel(self._connection, welcome)
            self._open(channel)
            self._socket_channel = channel
            self._send(channel)

    def _move(self, channel: SocketChannel, events: int) -> None:
        if events & EVENT_READ:
            answers = channel.receive()
            if answers:
                self._take_in(answers)
            if self._outdated(channel):
                raise Unreachable("the connection is made anew")
        if events & EVENT_WRITE:
            channel.flush()
            self._send(channel)

    def _send(self, channel: SocketChannel) -> None:
        """Send all that may go, and ask to be called for the rest."""
        while channel.idle and (batch := self._take(channel)):
            channel.send_now(batch)
        assert self._connection is not None
        events = EVENT_READ if channel.idle else EVENT_READ | EVENT_WRITE
        self._poller.watch(self._connection, events, self._turn)


def _broken_greeting(error: BaseException) -> DecreedError:
    return Unreachable(f"the connection broke at the handshake: {said(error)}")
