"""One open connection in an event loop: dialling, the handshake, and frames in both directions.

A channel knows nothing of requests in flight. Each failure is a `DecreedError`: `Unreachable` if the
network failed, `ProtocolError` if the peer does not speak our protocol, or the error with which the
node refused us.
"""

import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from anyio.abc import ByteStream, SocketAttribute

from ...registry.dial_order import DialOrder
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
    Framing,
    cannot_connect,
    keep_alive,
    let_go,
    said,
    too_late,
)
from .securing import ClientSecurity
from .strangers import is_there
from .task_dial import connect_in_turn
from .task_look import identify

if TYPE_CHECKING:
    from ...registry.tls.session import Session

_BROKEN = (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Channel(Framing):
    """An open connection to a node that has welcomed us.

    Args:
        stream: the bytes.
        welcome: the node's identity and its bounds.
        session: the TLS of the connection, if it has any.
    """

    def __init__(
        self, stream: ByteStream, welcome: ClientWelcome, session: "Session | None" = None
    ) -> None:
        super().__init__(welcome, session)
        self._stream = stream
        # another handle of the same connection, to send without waiting
        self._socket = _handle(stream)
        self._rest = b""
        self._sending = self._is_over = False

    @property
    def idle(self) -> bool:
        """Whether everything was handed to the system."""
        return not (self._sending or self._rest or self._is_over)

    async def aclose(self) -> None:
        """Close the connection at once."""
        if self.idle:
            with suppress(OSError):
                self._socket.send(self.last_bytes())
        self._socket.close()
        await anyio.aclose_forcefully(self._stream)

    def let_go(self) -> None:
        """In a forked process: give up the connection, which still belongs to the parent."""
        let_go(self._socket, self._stream.extra(SocketAttribute.raw_socket))

    async def send(self, messages: Iterable[bytes]) -> None:
        """Send encoded messages in as few frames as the node's bounds allow.

        Raises:
            Unreachable: if the connection broke; what was sent may have arrived.
        """
        if self._is_over:
            raise Unreachable("the connection is over")
        self._sending = True
        try:
            if self._rest:
                await self._stream.send(self._rest)
                self._rest = b""
            for data in self.frames_of(messages):
                await self._stream.send(self.seal(data))
        except _BROKEN as error:
            raise Unreachable(f"the connection broke: {said(error)}") from error
        finally:
            self._sending = False

    def send_now(self, messages: Iterable[bytes]) -> None:
        """Send encoded messages while the channel is idle; what the system does not take is kept.

        The next `send` sends the rest first. It also raises the error if the connection broke.
        """
        assert self.idle
        try:
            data = self.seal(b"".join(self.frames_of(messages)))
        except Unreachable:
            self._is_over = True  # TLS ends before the socket does
            return
        try:
            self._rest = data[self._socket.send(data) :]
        except OSError:
            # full, or broken
            self._rest = data

    async def receive(self) -> list[Answer | ClientWelcome]:
        """Wait for more bytes; the answers that they complete, perhaps an empty list.

        Raises:
            Unreachable: if the connection ended.
            ProtocolError: if what arrived is not our protocol.
        """
        return self.answers_in(await _read(self._stream))


async def open_channel(
    endpoint: Endpoint,
    software: str,
    *,
    identify: bool = False,
    order: DialOrder | None = None,
    security: ClientSecurity | None = None,
) -> Channel:
    """Connect to `endpoint` and say hello.

    Args:
        endpoint: where.
        software: the client's name for the logs.
        identify: whether to find out what other service is there if no node greets us.
        order: remembers which addresses of the endpoint's name failed before.
        security: for TLS; None for a connection without.

    Raises:
        NothingListens: if nobody takes connections there.
        NoSuchName: if its name has no address.
        Unreachable: if nobody answers there in `DIAL_SECONDS`.
        ProtocolError: if who answers does not speak our protocol.
        DecreedError: as the node said, when it refused us.
    """
    with anyio.move_on_after(DIAL_SECONDS):
        stream = await _dial(endpoint, order or DialOrder())
        try:
            # a question to a node that is slow with TLS would find a TLS server, which it is
            look_at = endpoint if identify and security is None else None
            opening = FirstExchange(endpoint.host, software, security)
            return Channel(stream, await _greet(stream, opening, look_at), opening.session)
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
    raise too_late()


async def _dial(endpoint: Endpoint, order: DialOrder) -> ByteStream:
    try:
        stream = await connect_in_turn(endpoint, order)
    except (OSError, UnicodeError) as error:
        raise cannot_connect(endpoint.host, [error]) from error
    keep_alive(stream.extra(SocketAttribute.raw_socket))
    return stream


def _handle(stream: ByteStream) -> socket.socket:
    """A handle of our own: the stream's socket may lack `send`, and only the stream may use it."""
    raw = stream.extra(SocketAttribute.raw_socket)
    handle = socket.fromfd(raw.fileno(), raw.family, raw.type)
    handle.setblocking(False)
    return handle


async def _greet(
    stream: ByteStream, opening: FirstExchange, look_at: Endpoint | None
) -> ClientWelcome:
    """Shake hands; if no node greets us, find out what service it is."""
    met: list[ClientWelcome | DecreedError] = []

    async def look_when_late() -> None:
        await anyio.sleep(IDENTIFY_SECONDS)
        if look_at is not None and (name := await identify(look_at)):
            met.append(ProtocolError(is_there(name)))
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look_when_late)
        try:
            met.append(await _shake_hands(stream, opening))
        except Unreachable as error:
            # perhaps it closed the connection because it did not understand us
            name = await identify(look_at) if look_at is not None else ""
            met.append(ProtocolError(is_there(name)) if name else error)
        except DecreedError as error:
            met.append(error)
        tasks.cancel_scope.cancel()
    if isinstance(met[0], DecreedError):
        raise met[0]
    return met[0]


async def _shake_hands(stream: ByteStream, opening: FirstExchange) -> ClientWelcome:
    try:
        await stream.send(opening.begin())
        while True:
            data = await stream.receive(MAX_WELCOME_BYTES)
            try:
                welcome = opening.feed(data)
            finally:
                if owed := opening.owed():  # also the alert that says why we leave
                    await stream.send(owed)
            if welcome is not None:
                return welcome
    except _BROKEN as error:
        raise Unreachable(f"the connection broke at the handshake: {said(error)}") from error


async def _read(stream: ByteStream) -> bytes:
    try:
        return await stream.receive(READ_BYTES)
    except anyio.EndOfStream as error:
        raise Unreachable("the node closed the connection") from error
    except _BROKEN as error:
        raise Unreachable(f"the connection broke: {said(error)}") from error
