"""A link for a blocking caller: its bytes move only while the caller waits."""

import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from math import inf
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING

from ...registry.errors import DecreedError, ProtocolError, Unreachable
from ...registry.wire.handshake import ClientWelcome
from ...registry.wire.requests import Answer
from .endpoints import Endpoint
from .first_exchange import FirstExchange
from .framing import (
    DIAL_SECONDS,
    IDENTIFY_SECONDS,
    MAX_WELCOME_BYTES,
    READ_BYTES,
    SOFTWARE,
    Framing,
    cannot_connect,
    keep_alive,
    let_go,
    said,
    too_late,
)
from .link import Link
from .securing import ClientSecurity
from .socket_dial import Poller, SocketDial
from .socket_look import Look
from .strangers import is_there

if TYPE_CHECKING:
    from ...registry.tls.session import Session


class SocketChannel(Framing):
    """An open connection to a node that has welcomed us; nothing here waits.

    Args:
        connection: the bytes; it does not block.
        welcome: the node's identity and its bounds.
        session: the TLS of the connection, if it has any.
    """

    def __init__(
        self, connection: socket.socket, welcome: ClientWelcome, session: "Session | None" = None
    ) -> None:
        super().__init__(welcome, session)
        self._connection = connection
        self._rest = memoryview(b"")
        self._is_over = False

    @property
    def idle(self) -> bool:
        """Whether everything was handed to the system."""
        return not (self._rest or self._is_over)

    def send_now(self, messages: Iterable[bytes]) -> None:
        """Send encoded messages while the channel is idle; what the system does not take is kept.

        If the connection broke, `flush` raises the error.
        """
        assert self.idle
        try:
            self._rest = memoryview(self.seal(b"".join(self.frames_of(messages))))
        except Unreachable:
            self._is_over = True  # TLS ends before the socket does
            return
        try:
            self._rest = self._rest[self._connection.send(self._rest) :]
        except OSError:
            return  # full, or broken

    def flush(self) -> None:
        """Send what was kept, as far as the system takes it.

        Raises:
            Unreachable: if the connection broke; what was sent may have arrived.
        """
        if self._is_over:
            raise Unreachable("the connection is over")
        try:
            while self._rest:
                self._rest = self._rest[self._connection.send(self._rest) :]
        except BlockingIOError:
            return
        except OSError as error:
            raise Unreachable(f"the connection broke: {said(error)}") from error

    def receive(self) -> list[Answer | ClientWelcome] | None:
        """The answers that the bytes that have arrived complete; None if nothing has arrived.

        Raises:
            Unreachable: if the connection ended.
            ProtocolError: if what arrived is not our protocol.
        """
        try:
            data = self._connection.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Unreachable(f"the connection broke: {said(error)}") from error
        if not data:
            raise Unreachable("the node closed the connection")
        return self.answers_in(data)

    def say_end(self) -> None:
        """Say that the connection ends, if the system takes that without waiting."""
        if self.idle:
            with suppress(OSError):
                self._connection.send(self.last_bytes())

    def let_go(self) -> None:
        """In a forked process: give up the connection, which still belongs to the parent."""
        let_go(self._connection)


class SocketLink(Link):
    """A link whose bytes are moved when a `Poller` says that its socket is ready.

    Args:
        endpoint, admit, now: as for `Link`.
        poller: tells when there is something to do.
        security: for TLS; None for a connection without.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        admit: Callable[[Endpoint, ClientWelcome], None],
        now: Callable[[], float],
        poller: Poller,
        security: ClientSecurity | None = None,
    ) -> None:
        super().__init__(endpoint, admit, now)
        self._poller, self._security = poller, security
        self._dial: SocketDial | None = None
        self._connection: socket.socket | None = None
        self._socket_channel: SocketChannel | None = None
        self._opening: FirstExchange | None = None
        # until there is a welcome: when to give up, when to find out what other service is there, and
        # the look that does so
        self._give_up_at = self._look_at = inf
        self._look: Look | None = None
        self._broken: DecreedError | None = None

    @property
    def wake_at(self) -> float:
        """When to call `advance` at the latest."""
        return min(
            self._give_up_at,
            self._look_at,
            self._look.over_at if self._look else inf,
            self._dial.next_at if self._dial else inf,
            self._pulse.wake_at if self._pulse else inf,
        )

    def advance(self, now: float) -> None:
        """Handle what is due: dial the next address or give up, identify the service, ping it."""
        if now >= self._give_up_at:
            self.close(too_late())
        elif now >= self._look_at:
            self._begin_look()
        elif self._look is not None:
            self._look.advance(now)
        elif self._dial is not None:
            self._dial.advance(now)
        elif self._pulse is not None:
            try:
                self._pulse.advance(now)
            except DecreedError as error:
                self.close(error)

    def close(self, error: DecreedError) -> None:
        """End the connection, or the attempt to make one; all requests in flight get `error`."""
        self._stop_looking()
        if self._dial is not None:
            self._dial.close()
        if self._connection is not None:
            self._poller.watch(self._connection, 0, self._turn)
            if self._socket_channel is not None:
                self._socket_channel.say_end()
            self._connection.close()
        self._dial = self._connection = self._socket_channel = None
        if self.running:
            self._end(error)

    def _start(self) -> None:
        self._give_up_at = self._now() + DIAL_SECONDS
        self._dial = SocketDial(
            self.endpoint,
            self._poller,
            self._connected,
            self._cannot_connect,
            self._now,
            self._order,
        )
        self._dial.begin()

    def _wake_writer(self) -> None:
        if self._connection is not None:
            self._poller.watch(self._connection, EVENT_READ | EVENT_WRITE, self._turn)

    def wake_watcher(self) -> None:
        """Do nothing: the caller that waits reads `wake_at` each time."""

    def _cannot_connect(self, errors: Sequence[Exception]) -> None:
        self.close(cannot_connect(self.endpoint.host, errors))

    def _connected(self, connection: socket.socket) -> None:
        self._dial = None
        self._connection = connection
        try:
            self._opening = FirstExchange(self.endpoint.host, SOFTWARE, self._security)
        except DecreedError as error:
            self.close(error)
            return
        # a question to a node that is slow with TLS would find a TLS server, which it is
        if self.welcome is None and self._security is None:
            self._look_at = self._now() + IDENTIFY_SECONDS
        self._poller.watch(connection, EVENT_READ, self._turn)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(connection)
            # the first bytes always fit into the send buffer of a new connection
            connection.sendall(self._opening.begin())
        except OSError as error:
            self._hung_up(_broken_greeting(error))

    def _turn(self, events: int) -> None:
        """Read or write, as the connection is ready for."""
        try:
            if self._socket_channel is None:
                self._greet()
            else:
                self._move(self._socket_channel, events)
        except DecreedError as error:
            self.close(error)

    def _greet(self) -> None:
        assert self._connection is not None and self._opening is not None
        try:
            data = self._connection.recv(MAX_WELCOME_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._hung_up(_broken_greeting(error))
            return
        if not data:
            self._hung_up(_broken_greeting(EOFError("the node closed it")))
            return
        welcome = self._fed(self._opening, data)
        if welcome is not None:
            self._stop_looking()
            channel = SocketChannel(self._connection, welcome, self._opening.session)
            self._open(channel)
            self._socket_channel = channel
            self._send(channel)

    def _fed(self, opening: FirstExchange, data: bytes) -> ClientWelcome | None:
        """The welcome, if these bytes complete it; what has to be sent is sent."""
        assert self._connection is not None
        try:
            return opening.feed(data)
        finally:
            if owed := opening.owed():  # also the alert that says why we leave
                with suppress(OSError):  # a few kB on a new connection; it shows when it is read
                    self._connection.sendall(owed)

    def _move(self, channel: SocketChannel, events: int) -> None:
        if events & EVENT_READ:
            answers = channel.receive()
            if answers is not None:
                self._take_in(answers)
            if self._outdated(channel):
                raise Unreachable("the connection is made again")
        if events & EVENT_WRITE:
            channel.flush()
            self._send(channel)

    def _send(self, channel: SocketChannel) -> None:
        """Send all that may be sent, and ask to be called for the rest."""
        while channel.idle and (batch := self._take(channel)):
            channel.send_now(batch)
        assert self._connection is not None
        events = EVENT_READ if channel.idle else EVENT_READ | EVENT_WRITE
        self._poller.watch(self._connection, events, self._turn)

    # -- what other service may be there, if no node has ever welcomed us

    def _hung_up(self, error: DecreedError) -> None:
        """Handle a peer that closed the connection instead of a greeting, perhaps another service."""
        if self.welcome is not None:
            self.close(error)
            return
        assert self._connection is not None
        self._poller.watch(self._connection, 0, self._turn)
        self._broken = error
        if self._look is None:
            self._begin_look()

    def _begin_look(self) -> None:
        self._look_at = inf
        self._look = Look(self.endpoint, self._poller, self._now(), self._looked)
        self._look.begin()

    def _looked(self, name: str) -> None:
        self._look = None
        if name:
            self.close(ProtocolError(is_there(name)))
        elif self._broken is not None:
            self.close(self._broken)

    def _stop_looking(self) -> None:
        self._give_up_at = self._look_at = inf
        if self._look is not None:
            self._look.close()
        self._look = self._broken = None


def _broken_greeting(error: BaseException) -> DecreedError:
    return Unreachable(f"the connection broke at the handshake: {said(error)}")
