"""One TCP connection, cut into messages: the I/O that clients and links share."""

import os
import select
import ssl
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from math import inf
from types import TracebackType
from typing import Any, Protocol, Self, cast

import trio

from ..addresses import is_loopback, join_address
from ..errors import ProtocolError
from ..identity import ANONYMOUS, Identity
from ..tls.session import Session
from ..tls.subject import Certificate
from ..wire.codec import BatchDecoder, decode_batch, encode
from ..wire.frames import FrameCutter, pack
from .incoming import LARGE_FRAME_BYTES, Frame, Incoming
from .secured import Secured
from .sockets import Sockets

GREETING_BYTES = 4_096
GREETING_SECONDS = 10.0
FRAME_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 64 * 1024
"""A frame has `FRAME_SECONDS` from its first byte on, and more time only if bytes come this fast."""
CHUNK_BYTES = 256 * 1024
AT_ONCE_BYTES = 64 * 1024
"""Bytes read from a socket before a turn; a larger buffer would be mapped again at each read."""

BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
"""What a stream raises when the other side, or we, have closed it."""


class NothingSaid(ProtocolError):
    """The peer closed the connection without a byte, as a port check does; not a fault."""


class Taker(Protocol):
    """Takes the messages of a connection."""

    def take(self, messages: Sequence[Any], /) -> Sequence[Any]:
        """Take as many messages as there is room for; returns the rest."""
        ...

    async def room(self, message: Any, /) -> None:
        """Wait until there is room for `message`."""
        ...


class Connection:
    """A stream, and its bytes that are not a complete frame yet.

    Args:
        stream: the connection.
        max_frame_bytes: the largest frame taken after the greeting.
        incoming: bounds the large frames of all connections.

    Attributes:
        identity: who is at the other end (S07); fixed by `greeted_as`.
        greeted: whether that is fixed.
        certified: who the verified certificate of the other side names; None without one.
        marks: of that certificate (S36); none without one.
        expires_ms: when it expires, in milliseconds since 1970; 0 without one.
        at_end: called when the connection ends.
    """

    def __init__(
        self, stream: trio.SocketStream, max_frame_bytes: int, incoming: Incoming | None = None
    ) -> None:
        self.stream = stream
        self.identity = ANONYMOUS
        self.greeted = False
        self.certified: Identity | None = None
        self.marks: tuple[str, ...] = ()
        self.expires_ms = 0
        self.at_end: Callable[[], object] = _nothing
        self._secured: Secured | None = None
        self._life, self._is_cut = trio.CancelScope(), False
        self._greet_by = trio.current_time() + GREETING_SECONDS
        self._incoming = incoming or Incoming(inf)
        self._large: Frame | None = None
        self._scope = trio.CancelScope()
        self._asked_at = inf
        self._cutter = FrameCutter(GREETING_BYTES)
        self._decoder = BatchDecoder()
        self._max_frame_bytes = max_frame_bytes
        self._waiting: deque[bytes] = deque()
        self._rest: Sequence[Any] = ()
        self._ended = False
        self._spent = 0.0

    async def __aenter__(self) -> Self:
        self._life.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        try:
            return bool(self._life.__exit__(kind, error, trace))
        finally:
            self.at_end()
            if self._secured is not None:
                self._secured.close()
            await self.stream.aclose()

    @property
    def peer_name(self) -> str:
        """Address and port of the other side, for the logs."""
        try:
            host, port, *_ = self.stream.socket.getpeername()
        except OSError:
            return "a closed connection"
        return join_address(host, port)

    @property
    def is_of_this_machine(self) -> bool:
        """Whether the other side is on this machine: at loopback, or at the address that it reached.

        No packets with a machine's own address come to it from outside, and no handshake ends by them.

        Raises:
            OSError: if the connection is closed.
        """
        return is_loopback(self.host) or self.host == str(self.stream.socket.getsockname()[0])

    @property
    def host(self) -> str:
        """The address of the other side, without its port.

        Raises:
            OSError: if the connection is closed.
        """
        return str(self.stream.socket.getpeername()[0])

    @property
    def certificate(self) -> Certificate | None:
        """The other side's certificate, verified; None without one, or without TLS."""
        return self._secured.certificate if self._secured is not None else None

    @property
    def has_tls(self) -> bool:
        """Whether what is said on it is sealed."""
        return self._secured is not None

    def go_by(self, certificate: Certificate) -> None:
        """Keep what the other side has shown: the connection ends when its certificate expires."""
        if self.marks:
            return  # it has one certificate, and was told of it
        ends_s = ssl.cert_time_to_seconds(certificate["notAfter"])
        self.expire_at(ends_s)
        self.expires_ms = max(0, ends_s * 1000)
        self.marks = self._secured.marks if self._secured is not None else ()

    def cut(self) -> None:
        """End it at once: what has come on it is not taken any more, and nothing more is sent."""
        self._is_cut = True
        self._life.cancel()

    def expire_at(self, end_s: float) -> None:
        """End the connection at a time in seconds since 1970, unless it is to end before that."""
        end = trio.current_time() + end_s - time.time()
        self._life.deadline = min(self._life.deadline, end)

    def greeted_as(self, identity: Identity) -> None:
        """Fix whose connection this is, once that is proven; from now on frames may be large.

        Raises:
            ProtocolError: if it is another one's already.
        """
        if self.identity not in (ANONYMOUS, identity):
            raise ProtocolError(f"it is {self.identity}, and says that it is {identity}")
        self.identity = identity
        self.greeted = True
        self._cutter.max_bytes = self._max_frame_bytes

    @contextmanager
    def greets_in_time(self) -> Generator[None]:
        """The handshake and the greeting, which have a time together.

        Raises:
            ProtocolError: when it is over.
        """
        with trio.move_on_at(self._greet_by):
            yield
            return
        raise ProtocolError(f"no greeting within {GREETING_SECONDS:.0f} s")

    async def first_bytes(self) -> bytes:
        """The first bytes that the other side sends; they are to be given to `begin` or `secure`.

        Raises:
            NothingSaid: if it closes the connection without one.
        """
        return await self._receive()

    def begin(self, first: bytes) -> None:
        """Go on without TLS."""
        self._waiting += self._cutter.feed(first)

    async def secure(self, session: Session, first: bytes = b"") -> None:
        """Go on with TLS, after its handshake.

        Raises:
            ProtocolError: if it fails.
        """
        secured = Secured(session, self.stream)
        await secured.shake_hands(first)
        self._secured = secured
        self._waiting += self._cutter.feed(secured.open(b""))  # what came behind the handshake

    async def greeting(self, kind: Any) -> Any:
        """The next frame's only message; all frames of a greeting together have their time.

        Raises:
            NothingSaid: if the peer closes the connection without a byte, as a port check does.
            ProtocolError: if it is late, malformed, or not of `kind`.
        """
        with self.greets_in_time():
            while not self._waiting:
                self._waiting += self._cutter.feed(await self._receive())
        messages = decode_batch(self._waiting.popleft(), kind)
        if len(messages) != 1:
            raise ProtocolError(f"a greeting is one message, not {len(messages)}")
        return messages[0]

    async def read(self, kind: Any, taker: Taker, sockets: Sockets) -> None:
        """Pass the messages of each frame to `taker`, until the peer closes the connection.

        While frames come whole and there is room, this task is parked and `sockets` does the work.

        Raises:
            ProtocolError: if a frame is malformed, too large, or takes too long.
        """
        read_at_once = partial(self._read_at_once, kind, taker)
        try:
            while self._hand_on(kind, taker) or not self._ended:
                if self._rest:
                    await taker.room(self._rest[0])
                elif self._cutter.pending or self._is_inside:
                    await self._admit()
                    self._feed(await self._receive_in_time())
                else:
                    self._release()
                    await sockets.watch(self.stream.socket.fileno(), read_at_once)
        finally:
            self._release()

    def let_go(self) -> None:
        """Drop what was read: an error that ended the connection may keep this object alive."""
        self._cutter.clear()
        self._waiting.clear()
        self._rest = ()

    def send_some(self, data: bytes | memoryview) -> int:
        """Pass bytes to the system, as many as it takes without waiting; returns how many."""
        if self._is_cut:
            return 0
        if self._secured is not None:
            return self._secured.send_some(data)
        try:
            return os.write(self.stream.socket.fileno(), data)
        except OSError:
            return 0  # full or broken; the task that waits for it finds out

    async def send_all(self, data: bytes | memoryview) -> None:
        """Pass all of the bytes to the system; those that `send_some` did not take come first."""
        await (self._secured or self.stream).send_all(data)

    async def send(self, message: object) -> None:
        """Send one message in a frame of its own."""
        for frame in pack([encode(message)]):
            await self.send_all(frame)

    @property
    def _is_inside(self) -> bool:
        """Whether a record of TLS has begun to come, which holds its bytes back."""
        return self._secured is not None and self._secured.inside

    async def _admit(self) -> None:
        """Wait until the unfinished frame may be read further; earlier frames are taken already."""
        if self._large is not None and not self._large.whole:
            return
        self._release()
        if self._cutter.expected > LARGE_FRAME_BYTES:
            frame = Frame(self._cutter.expected, self._late_s, self._drop)
            await self._incoming.admit(frame)
            self._large = frame

    def _release(self) -> None:
        if self._large is not None:
            self._incoming.release(self._large)
            self._large = None

    def _drop(self) -> None:
        self._scope.cancel()

    def _late_s(self) -> float:
        """For how long we have waited for bytes of the unfinished frame; 0 if some have come."""
        come = select.poll()
        come.register(self.stream.socket.fileno(), select.POLLIN)
        return 0.0 if come.poll(0) else self._waited_s()

    def _waited_s(self) -> float:
        return self._spent + max(0.0, trio.current_time() - self._asked_at)

    async def _receive_in_time(self) -> bytes:
        """Some bytes. Only the time spent waiting for them counts, not the time we do not read."""
        allowed = FRAME_SECONDS + self._cutter.pending / SLOWEST_BYTES_PER_SECOND - self._spent
        self._asked_at = trio.current_time()
        self._scope.deadline = self._asked_at + allowed
        with self._scope:
            data = await self.stream.receive_some(CHUNK_BYTES if self._large else AT_ONCE_BYTES)
            self._spent, self._asked_at = self._waited_s(), inf
            self._scope = trio.CancelScope()
            return bytes(data)
        if trio.current_time() < self._scope.deadline:
            raise ProtocolError(
                f"a frame of {self._cutter.expected} bytes did not end, and others wait for its room"
            )
        raise ProtocolError(f"a frame began and did not end for {self._spent + allowed:.0f} s")

    def _read_at_once(self, kind: Any, taker: Taker) -> bool:
        """Read the bytes that have come; returns whether all were taken and more may come."""
        if self._is_cut:
            return False
        try:
            self._feed(os.read(self.stream.socket.fileno(), AT_ONCE_BYTES))
        except BlockingIOError:
            return True
        return not (
            self._hand_on(kind, taker) or self._cutter.pending or self._ended or self._is_inside
        )

    def _feed(self, data: bytes) -> None:
        self._ended = not data
        if self._secured is not None:
            data = self._opened(self._secured, data)
        whole = self._cutter.feed(data)
        if whole:
            self._waiting += whole
            self._spent = 0.0
            if self._large is not None:
                self._large.whole = True
                self._scope = trio.CancelScope()  # a complete frame is never dropped

    def _opened(self, secured: Secured, data: bytes) -> bytes:
        """What was received, without TLS.

        Raises:
            BrokenResourceError: if the connection was cut within a frame: that is no end (S02).
        """
        if not data and not secured.ended and (self._cutter.pending or secured.inside):
            raise trio.BrokenResourceError("the connection was cut within a frame")
        data = secured.open(data)
        self._ended = self._ended or secured.ended
        return data

    def _hand_on(self, kind: Any, taker: Taker) -> bool:
        """Pass the messages that have come to `taker`, as far as it has room; True if some are left."""
        if self._is_cut:
            self.let_go()
        if self._rest:
            self._rest = taker.take(self._rest)
        while self._waiting and not self._rest:
            self._rest = taker.take(self._decoder.decode(self._waiting.popleft(), kind))
        return bool(self._rest)

    async def _receive(self) -> bytes:
        """Some bytes of the greeting; none yet if TLS has only a part of their record."""
        data = bytes(await self.stream.receive_some(GREETING_BYTES))
        ended = not data
        if data and self._secured is not None:
            data = self._secured.open(data)
            ended = self._secured.ended and not data
        if not ended:
            return data
        if self._cutter.pending:
            raise ProtocolError("the connection was closed within its greeting")
        raise NothingSaid("the connection was closed before a greeting came")


def _nothing() -> None:
    """What is done at the end of a connection that nobody waits for."""


def reasons(group: BaseExceptionGroup[BaseException]) -> str:
    """The messages of the exceptions in a group, in one line."""
    return "; ".join(str(error) or type(error).__name__ for error in _leaves(group))


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            leaves += _leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            leaves.append(error)
    return leaves
