"""One open connection: dialling, the handshake, and frames of messages in both directions.

A channel knows nothing of requests in flight. Whatever goes wrong comes out as a `DecreedError`:
`Unreachable` when the network broke, `ProtocolError` when the other side does not speak our
protocol, or the error that the node gave when it refused us.
"""

import errno
import logging
import os
import socket
from collections.abc import Iterable, Iterator

import anyio
from anyio.abc import ByteStream, SocketAttribute

from ..registry.errors import (
    BadRequest,
    DecreedError,
    Disputed,
    ProtocolError,
    Refused,
    Unreachable,
    error_from_wire,
)
from ..registry.wire import codec, frames
from ..registry.wire.handshake import (
    MAGIC,
    VERSION,
    ClientHello,
    ClientWelcome,
    Reception,
    Refusal,
)
from ..registry.wire.requests import Answer, ClaimNextRequest, ClaimRequest, Request
from .endpoints import Endpoint
from .strangers import complaint, identify, is_there

LOG = logging.getLogger(__name__)
DIAL_SECONDS = 5.0
# one that has not greeted for so long may be something else
CURIOUS_SECONDS = 0.5
MAX_WELCOME_BYTES = 64 * 1024
READ_BYTES = 256 * 1024
# the head of a CBOR array, which goes before the messages of a frame
ARRAY_HEAD_BYTES = 5

# a vanished host is noticed after about so many seconds, where the system lets us say so
_KEEP_ALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
_BROKEN = (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class NothingListens(Unreachable):
    """Nobody takes connections at an endpoint. To callers it is `Unreachable`."""


class Channel:
    """An open connection to a node that has welcomed us.

    Args:
        stream: the bytes.
        welcome: what the node said of itself and its bounds.
    """

    def __init__(self, stream: ByteStream, welcome: ClientWelcome) -> None:
        self._stream = stream
        self.welcome = welcome
        self._cutter = frames.FrameCutter(welcome.max_frame_bytes)
        # another handle of the same connection, to send without waiting
        self._socket = _handle(stream)
        self._rest = b""
        self._sending = False

    @property
    def idle(self) -> bool:
        """Whether all that was to be sent has been handed to the system."""
        return not self._sending and not self._rest

    def encode(self, request: Request) -> bytes:
        """The bytes of `request`.

        Raises:
            BadRequest: if it is larger than this node takes; definite.
        """
        if isinstance(request, ClaimRequest | ClaimNextRequest):
            check_value(request.claim.value, self.welcome.max_value_bytes)
        data = codec.encode(request)
        if len(data) + ARRAY_HEAD_BYTES > self.welcome.max_frame_bytes:
            raise BadRequest(f"a request of {len(data)} bytes does not fit into a frame")
        return data

    async def aclose(self) -> None:
        """Close the connection at once."""
        self._socket.close()
        await anyio.aclose_forcefully(self._stream)

    def let_go(self) -> None:
        """In a forked process: give up the connection, which stays the parent's.

        Both descriptors are pointed at nothing. So the connection ends when the parent ends it,
        and nothing that still knows these numbers can write to it, shut it down, or close a file
        that came to have the same number since.
        """
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            for connection in (self._socket, self._stream.extra(SocketAttribute.raw_socket)):
                if connection.fileno() >= 0:
                    os.dup2(nothing, connection.fileno(), inheritable=False)
            os.close(nothing)
        except OSError as error:
            LOG.debug("a forked process holds a connection of its parent open: %s", error)

    async def send(self, messages: Iterable[bytes]) -> None:
        """Send encoded messages in as few frames as the node's bounds allow.

        Raises:
            Unreachable: if the connection broke; what was sent may have arrived.
        """
        self._sending = True
        try:
            if self._rest:
                await self._stream.send(self._rest)
                self._rest = b""
            for data in self._frames(messages):
                await self._stream.send(data)
        except _BROKEN as error:
            raise Unreachable(f"the connection broke: {_say(error)}") from error
        finally:
            self._sending = False

    def send_now(self, messages: Iterable[bytes]) -> None:
        """Send encoded messages while the channel is idle; what the system does not take is kept.

        The next `send` sends that first. It also meets the error if the connection broke.
        """
        assert self.idle
        data = b"".join(self._frames(messages))
        try:
            self._rest = data[self._socket.send(data) :]
        except OSError:
            # full, or broken
            self._rest = data

    async def receive(self) -> list[Answer]:
        """The answers that became whole by the next bytes that arrive; perhaps none.

        Raises:
            Unreachable: if the connection ended.
            ProtocolError: if what arrived is not our protocol.
        """
        answers: list[Answer] = []
        for payload in self._cutter.feed(await _read(self._stream)):
            answers += codec.decode_batch(payload, Answer)
        return answers

    def _frames(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        for group in _groups(messages, self.welcome.max_frame_bytes):
            yield b"".join(frames.pack(group))


def check_value(value: bytes, max_value_bytes: int) -> None:
    """Check the size of a value that is to be claimed.

    Raises:
        BadRequest: if it is over the limit.
    """
    if len(value) > max_value_bytes:
        raise BadRequest(f"a value of {len(value)} bytes; the limit is {max_value_bytes}")


async def open_channel(endpoint: Endpoint, software: str, *, curious: bool = False) -> Channel:
    """Connect to `endpoint` and say hello.

    Args:
        endpoint: where.
        software: the client's name for the logs.
        curious: whether to find out what else is there if no node greets us.

    Raises:
        NothingListens: if nobody takes connections there.
        Unreachable: if nobody answers there in `DIAL_SECONDS`.
        ProtocolError: if who answers does not speak our protocol.
        DecreedError: as the node said, when it refused us.
    """
    with anyio.move_on_after(DIAL_SECONDS):
        stream = await _dial(endpoint)
        try:
            look_at = endpoint if curious else None
            return Channel(stream, await _greet(stream, software, look_at))
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
    raise Unreachable(f"no answer within {DIAL_SECONDS:g} seconds of connecting")


async def _dial(endpoint: Endpoint) -> ByteStream:
    try:
        stream = await anyio.connect_tcp(endpoint.host, endpoint.port)
    except (OSError, UnicodeError) as error:
        # the reason itself, where the network's library wraps it
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
        if isinstance(reason, OSError) and reason.errno == errno.ECONNREFUSED:
            raise NothingListens("nothing listens there") from error
        raise Unreachable(f"cannot connect: {_say(reason)}") from error
    _keep_alive(stream.extra(SocketAttribute.raw_socket))
    return stream


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _handle(stream: ByteStream) -> socket.socket:
    """A handle of our own: the stream's one need not have `send`, and may not be used beside it."""
    raw = stream.extra(SocketAttribute.raw_socket)
    handle = socket.fromfd(raw.fileno(), raw.family, raw.type)
    handle.setblocking(False)
    return handle


async def _greet(stream: ByteStream, software: str, look_at: Endpoint | None) -> ClientWelcome:
    """Shake hands; if nobody greets us, look who it is that does not."""
    met: list[ClientWelcome | DecreedError] = []

    async def look_when_late() -> None:
        await anyio.sleep(CURIOUS_SECONDS)
        if look_at is not None and (name := await identify(look_at)):
            met.append(ProtocolError(is_there(name)))
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look_when_late)
        try:
            met.append(await _shake_hands(stream, software))
        except Unreachable as error:
            # it hung up on what it did not understand, perhaps
            name = await identify(look_at) if look_at is not None else ""
            met.append(ProtocolError(is_there(name)) if name else error)
        except DecreedError as error:
            met.append(error)
        tasks.cancel_scope.cancel()
    if isinstance(met[0], DecreedError):
        raise met[0]
    return met[0]


async def _shake_hands(stream: ByteStream, software: str) -> ClientWelcome:
    hello = codec.encode(ClientHello(MAGIC, VERSION, VERSION, software))
    try:
        await stream.send(b"".join(frames.pack([hello])))
        reception = await _first_message(stream)
    except _BROKEN as error:
        raise Unreachable(f"the connection broke at the handshake: {_say(error)}") from error
    if isinstance(reception, Refusal):
        raise _refusal(reception)
    if not isinstance(reception, ClientWelcome) or reception.version != VERSION:
        raise ProtocolError(f"not a welcome in version {VERSION} of the protocol: {reception!r}")
    return reception


def _refusal(refusal: Refusal) -> DecreedError:
    error = error_from_wire(refusal.code, refusal.message)
    # no request was made yet, so whatever is bad about it lies between this node and us
    return Refused(refusal.message) if isinstance(error, BadRequest | Disputed) else error


async def _first_message(stream: ByteStream) -> object:
    cutter = frames.FrameCutter(MAX_WELCOME_BYTES)
    begun = b""
    while True:
        data = await stream.receive(MAX_WELCOME_BYTES)
        begun += data
        try:
            payloads = cutter.feed(data)
        except ProtocolError as error:
            raise ProtocolError(complaint(begun)) from error
        for payload in payloads:
            messages = codec.decode_batch(payload, Reception)
            if len(messages) != 1 or cutter.pending:
                raise ProtocolError("the first frame must hold one message, and come alone")
            return messages[0]


async def _read(stream: ByteStream) -> bytes:
    try:
        return await stream.receive(READ_BYTES)
    except anyio.EndOfStream as error:
        raise Unreachable("the node closed the connection") from error
    except _BROKEN as error:
        raise Unreachable(f"the connection broke: {_say(error)}") from error


def _groups(messages: Iterable[bytes], max_frame_bytes: int) -> Iterator[list[bytes]]:
    """`messages` in groups, each of which fits into one frame."""
    group: list[bytes] = []
    size = ARRAY_HEAD_BYTES
    for message in messages:
        if group and size + len(message) > max_frame_bytes:
            yield group
            group, size = [], ARRAY_HEAD_BYTES
        group.append(message)
        size += len(message)
    if group:
        yield group


def _say(error: BaseException) -> str:
    return str(error) or type(error).__name__
