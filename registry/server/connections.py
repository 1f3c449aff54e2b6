"""One TCP connection, cut into messages: the I/O that clients and links share."""

import os
import select
from collections import deque
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Any, Protocol, cast

import trio

from ..errors import ProtocolError, Refused
from ..version import described
from ..wire.codec import decode_batch, encode
from ..wire.frames import FrameCutter, pack
from .incoming import LARGE_FRAME_BYTES, Frame, Incoming
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
    """

    def __init__(
        self, stream: trio.SocketStream, max_frame_bytes: int, incoming: Incoming | None = None
    ) -> None:
        self.stream = stream
        self._incoming = incoming or Incoming(inf)
        self._large: Frame | None = None
        self._scope = trio.CancelScope()
        self._asked_at = inf
        self._cutter = FrameCutter(GREETING_BYTES)
        self._max_frame_bytes = max_frame_bytes
        self._waiting: deque[bytes] = deque()
        self._rest: Sequence[Any] = ()
        self._ended = False
        self._spent = 0.0

    @property
    def peer_name(self) -> str:
        """Address and port of the other side, for the logs."""
        try:
            host, port, *_ = self.stream.socket.getpeername()
        except OSError:
            return "a closed connection"
        return f"{host}:{port}"

    async def greeting(self, kind: Any) -> Any:
        """The first frame's only message, in time.

        Raises:
            NothingSaid: if the peer closes the connection without a byte, as a port check does.
            ProtocolError: if it is late, malformed, or not of `kind`.
        """
        with trio.move_on_after(GREETING_SECONDS):
            while not self._waiting:
                self._waiting += self._cutter.feed(await self._receive())
            messages = decode_batch(self._waiting.popleft(), kind)
            if len(messages) != 1:
                raise ProtocolError(f"a greeting is one message, not {len(messages)}")
            self._cutter.max_bytes = self._max_frame_bytes
            return messages[0]
        raise ProtocolError(f"no greeting within {GREETING_SECONDS:.0f} s")

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
                elif self._cutter.pending:
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
        try:
            return os.write(self.stream.socket.fileno(), data)
        except OSError:
            return 0  # full or broken; the task that waits for it finds out

    async def send(self, message: object) -> None:
        """Send one message in a frame of its own."""
        for frame in pack([encode(message)]):
            await self.stream.send_all(frame)

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
        try:
            self._feed(os.read(self.stream.socket.fileno(), AT_ONCE_BYTES))
        except BlockingIOError:
            return True
        return not (self._hand_on(kind, taker) or self._cutter.pending or self._ended)

    def _feed(self, data: bytes) -> None:
        whole = self._cutter.feed(data)
        self._ended = not data
        if whole:
            self._waiting += whole
            self._spent = 0.0
            if self._large is not None:
                self._large.whole = True
                self._scope = trio.CancelScope()  # a complete frame is never dropped

    def _hand_on(self, kind: Any, taker: Taker) -> bool:
        """Pass the messages that have come to `taker`, as far as it has room; True if some are left."""
        if self._rest:
            self._rest = taker.take(self._rest)
        while self._waiting and not self._rest:
            self._rest = taker.take(decode_batch(self._waiting.popleft(), kind))
        return bool(self._rest)

    async def _receive(self) -> bytes:
        data = await self.stream.receive_some(GREETING_BYTES)
        if data:
            return bytes(data)
        if self._cutter.pending:
            raise ProtocolError("the connection was closed within its greeting")
        raise NothingSaid("the connection was closed before a greeting came")


def choose_version(lowest: int, highest: int, ours: int) -> int:
    """The protocol version to use.

    Raises:
        Refused: if the peer does not support ours.
    """
    if not lowest <= ours <= highest:
        raise Refused(
            f"protocol versions {lowest} to {highest} are offered, version {ours} is spoken here"
            f" (decreed {described()}): upgrade the older side"
        )
    return ours


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
