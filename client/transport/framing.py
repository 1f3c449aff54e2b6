"""The bytes on a connection: the handshake, and frames.

No I/O. `channel` moves the bytes in an event loop, `socket_link` for a blocking caller.
"""

import errno
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, cast

from ...registry.errors import (
    BadRequest,
    DecreedError,
    Disputed,
    ProtocolError,
    Refused,
    Unreachable,
    error_from_wire,
)
from ...registry.wire import codec, frames
from ...registry.wire.gateways import ActForRequest, ClientMessage
from ...registry.wire.handshake import (
    LOWEST_VERSION,
    MAGIC,
    VERSION,
    ClientHello,
    ClientWelcome,
    Reception,
    Refusal,
    TokenHello,
)
from ...registry.wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
)
from .journal import Journal
from .strangers import complaint

if TYPE_CHECKING:
    from ...registry.policy.tokens import AuthToken
    from ...registry.tls.session import Session

LOG = Journal(__name__)
SOFTWARE = "decreed-python"
DIAL_SECONDS = 5.0
# a peer that has not greeted for this long may be another service; a node that is merely slow or far is
# asked two questions that it does not understand, and greets all the same
IDENTIFY_SECONDS = 0.2
MAX_WELCOME_BYTES = 64 * 1024
READ_BYTES = 256 * 1024
# the head of a CBOR array, which goes before the messages of a frame
ARRAY_HEAD_BYTES = 5

# a vanished host is noticed within about 11 s, on systems with these options
_KEEP_ALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))


# the system has no way to addresses of this kind, as is common with IPv6: another address counts
_NO_WAY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH)
# the name is known to have no address; any other failure of a look-up may pass
_NO_ADDRESS = tuple(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)


class NothingListens(Unreachable):
    """Nothing accepts connections at an endpoint. To callers it is `Unreachable`."""


class NoSuchName(Unreachable):
    """The name of an endpoint has no address. To callers it is `Unreachable`."""


def hello(software: str, token: "AuthToken | None" = None) -> bytes:
    """A client's first frame; `software` is its name for the logs."""
    versions = (MAGIC, LOWEST_VERSION, VERSION)
    message = (
        ClientHello(*versions, software)
        if token is None
        else TokenHello(*versions, software, token.show().encode())
    )
    return b"".join(frames.pack([codec.encode(message)]))


class Greeting:
    """Parses the node's first frame as its bytes arrive."""

    def __init__(self) -> None:
        self._cutter = frames.FrameCutter(MAX_WELCOME_BYTES)
        self._begun = b""

    def feed(self, data: bytes) -> ClientWelcome | None:
        """Take more bytes; returns the welcome once it is complete.

        Raises:
            ProtocolError: if it is no welcome in our version of the protocol.
            DecreedError: the error with which the node refused us.
        """
        self._begun += data
        try:
            payloads = self._cutter.feed(data)
        except ProtocolError as error:
            raise ProtocolError(complaint(self._begun)) from error
        for payload in payloads:
            messages = codec.decode_batch(payload, Reception)
            if len(messages) != 1 or self._cutter.pending:
                raise ProtocolError("the first frame must hold one message, and come alone")
            return _welcome(messages[0])
        return None


def _welcome(reception: object) -> ClientWelcome:
    if isinstance(reception, Refusal):
        raise _refusal(reception)
    if not isinstance(reception, ClientWelcome):
        raise ProtocolError(f"not a welcome of a node: {reception!r}")
    if not LOWEST_VERSION <= reception.version <= VERSION:
        raise ProtocolError(
            f"the node chose version {reception.version} of the protocol, and this client offered"
            f" {LOWEST_VERSION} to {VERSION}: upgrade the older side"
        )
    return reception


def _refusal(refusal: Refusal) -> DecreedError:
    error = error_from_wire(refusal.code, refusal.message)
    # no request was made yet, so the refusal is about this connection
    return Refused(refusal.message) if isinstance(error, BadRequest | Disputed) else error


class Framing:
    """Messages to and from a node that has welcomed us, as frames within its bounds.

    Args:
        welcome: the node's identity and its bounds.
        session: the TLS of the connection, if it has any.
    """

    def __init__(self, welcome: ClientWelcome, session: "Session | None" = None) -> None:
        self.welcome = welcome
        self._session = session
        self._cutter = frames.FrameCutter(welcome.max_frame_bytes)

    def encode(self, request: ClientMessage) -> bytes:
        """The bytes of `request`.

        Raises:
            BadRequest: if it is larger than this node accepts; definite.
        """
        asked = request.request if isinstance(request, ActForRequest) else request
        if isinstance(asked, ClaimRequest | ClaimNextRequest):
            check_value(asked.claim.value, self.welcome.max_value_bytes)
        data = codec.encode(request)
        if len(data) + ARRAY_HEAD_BYTES > self.welcome.max_frame_bytes:
            raise BadRequest(f"a request of {len(data)} bytes does not fit into a frame")
        return data

    def answers_in(self, data: bytes) -> list[Answer | ClientWelcome]:
        """The answers that `data` completes, and the welcome if it came again.

        Raises:
            ProtocolError: if what arrived is not our protocol.
        """
        if self._session is not None:
            data = self._session.open(data)
            if self._session.ended and not data:
                raise Unreachable("the node closed the connection")
        answers: list[Answer | ClientWelcome] = []
        for payload in self._cutter.feed(data):
            answers += codec.decode_batch(payload, Answer | ClientWelcome)
        return answers

    def seal(self, data: bytes) -> bytes:
        """The bytes that go to the socket for `data`, which follow all that was sealed before.

        Raises:
            Unreachable: if the connection is over: one side has ended its TLS, or that has failed.
        """
        if self._session is None:
            return data
        try:
            return self._session.seal(data)
        except ProtocolError as error:
            raise Unreachable(f"the connection is over: {error}") from error

    def last_bytes(self) -> bytes:
        """What is to be sent before the connection is closed."""
        return b"" if self._session is None else self._session.close()

    def frames_of(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        """Encoded messages in as few frames as the node's bounds allow."""
        for group in _groups(messages, self.welcome.max_frame_bytes):
            yield b"".join(frames.pack(group))


def check_value(value: bytes, max_value_bytes: int) -> None:
    """Check the size of a value that is to be claimed.

    Raises:
        BadRequest: if it is over the limit.
    """
    if len(value) > max_value_bytes:
        raise BadRequest(f"a value of {len(value)} bytes; the limit is {max_value_bytes}")


def keep_alive(connection: socket.socket) -> None:
    """Have the system notice when the peer has vanished."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def let_go(*connections: socket.socket) -> None:
    """In a forked process: give up connections, which still belong to the parent.

    Their descriptors are redirected to the null device. So a connection ends when the parent ends it.
    Code that still has these numbers can neither write to it nor shut it down, nor close another file
    that got the same number since.
    """
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for connection in connections:
            if connection.fileno() >= 0:
                os.dup2(nothing, connection.fileno(), inheritable=False)
        os.close(nothing)
    except OSError as error:
        LOG.debug("a forked process holds a connection of its parent open: %s", error)


def cannot_connect(host: str, errors: Sequence[BaseException]) -> DecreedError:
    """What it means that no connection could be made.

    Args:
        host: whose addresses were tried.
        errors: what was met, at least one: of the look-up, or of each address.
    """
    met = [reason for error in errors for reason in _reasons(error)]
    reasons = [reason for reason in met if not _is(reason, _NO_WAY)] or met
    if all(_is(reason, (errno.ECONNREFUSED,)) for reason in reasons):
        return NothingListens("nothing listens there")
    if all(isinstance(x, UnicodeError) or _is(x, _NO_ADDRESS) for x in reasons):
        return NoSuchName(f"the name {host!r} has no address")
    words = "; ".join(dict.fromkeys(map(said, reasons)))
    if any(isinstance(reason, socket.gaierror) for reason in reasons):
        return Unreachable(f"the name {host!r} cannot be looked up: {words}")
    return Unreachable(f"cannot connect: {words}")


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """The reasons themselves, where the network's library wraps them."""
    cause: object = error.__cause__
    if isinstance(error, BaseExceptionGroup):
        for part in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _reasons(part)
    elif isinstance(cause, OSError | BaseExceptionGroup):
        yield from _reasons(cast("BaseException", cause))
    else:
        yield error


def _is(error: BaseException, numbers: Sequence[int]) -> bool:
    """Whether an error of the system has one of these numbers."""
    return isinstance(error, OSError) and error.errno in numbers


def too_late() -> DecreedError:
    """The error when no node welcomed us within `DIAL_SECONDS`."""
    return Unreachable(
        f"it took the connection and said nothing within {DIAL_SECONDS:g} seconds: a node that is"
        " stopped or overloaded, or another kind of server"
    )


def said(error: BaseException) -> str:
    """The text of a system error; its type if it has no text."""
    return str(error) or type(error).__name__


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
