"""One TCP connection, cut into messages: the I/O that clients and links share."""

import os
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import trio

from ..errors import ProtocolError, Refused
from ..wire.codec import decode_batch, encode
from ..wire.frames import FrameCutter, pack

GREETING_BYTES = 4_096
GREETING_SECONDS = 10.0
FRAME_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 64 * 1024
"""A frame has `FRAME_SECONDS` from its first byte on, and more only as bytes come this fast."""
CHUNK_BYTES = 256 * 1024

BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
"""What a stream raises when the other side, or we, have closed it."""


class Connection:
    """A stream and the bytes of it that do not make a whole frame yet.

    Args:
        stream: the connection.
        max_frame_bytes: the largest frame taken after the greeting.
    """

    def __init__(self, stream: trio.SocketStream, max_frame_bytes: int) -> None:
        self.stream = stream
        self._cutter = FrameCutter(GREETING_BYTES)
        self._max_frame_bytes = max_frame_bytes
        self._waiting: list[bytes] = []
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
            ProtocolError: if it is late, malformed, or none of `kind`.
        """
        with trio.move_on_after(GREETING_SECONDS):
            while not self._waiting:
                self._waiting += self._cutter.feed(await self._receive())
            messages = decode_batch(self._waiting.pop(0), kind)
            if len(messages) != 1:
                raise ProtocolError(f"a greeting is one message, not {len(messages)}")
            self._cutter.max_bytes = self._max_frame_bytes
            return messages[0]
        raise ProtocolError(f"no greeting within {GREETING_SECONDS:.0f} s")

    async def batches(self, kind: Any) -> AsyncGenerator[Sequence[Any]]:
        """The messages of each frame, until the other side closes the connection.

        Raises:
            ProtocolError: if a frame is malformed, too large, or takes too long.
        """
        while True:
            for payload in self._take():
                yield decode_batch(payload, kind)
            data = await self._receive_in_time()
            if not data:
                return
            self._waiting += self._cutter.feed(data)
            if self._waiting:
                self._spent = 0.0

    def send_some(self, data: bytes) -> int:
        """Hand bytes to the system, as many as it takes without waiting; returns how many."""
        try:
            return os.write(self.stream.socket.fileno(), data)
        except OSError:
            return 0  # it must be waited for, or it broke; who waits for it will find out

    async def send(self, message: object) -> None:
        """Send one message in a frame of its own."""
        for frame in pack([encode(message)]):
            await self.stream.send_all(frame)

    async def _receive_in_time(self) -> bytes:
        """Some bytes. Only time spent waiting for them counts, not that in which we do not read."""
        began = trio.current_time()
        allowed = FRAME_SECONDS + self._cutter.pending / SLOWEST_BYTES_PER_SECOND - self._spent
        with trio.move_on_after(allowed if self._cutter.pending else float("inf")):
            data = await self.stream.receive_some(CHUNK_BYTES)
            self._spent += trio.current_time() - began if self._cutter.pending else 0.0
            return bytes(data)
        raise ProtocolError(f"a frame began and did not end for {self._spent + allowed:.0f} s")

    def _take(self) -> list[bytes]:
        taken, self._waiting = self._waiting, []
        return taken

    async def _receive(self) -> bytes:
        data = await self.stream.receive_some(GREETING_BYTES)
        if not data:
            raise ProtocolError("the connection was closed before a greeting came")
        return bytes(data)


def choose_version(lowest: int, highest: int, ours: int) -> int:
    """The protocol version to speak.

    Raises:
        Refused: if the other side does not speak ours.
    """
    if not lowest <= ours <= highest:
        raise Refused(
            f"protocol versions {lowest} to {highest} are offered, version {ours} is spoken here:"
            " upgrade the older side"
        )
    return ours


def reasons(group: BaseExceptionGroup[BaseException]) -> str:
    """What the exceptions in a group say, in one line."""
    return "; ".join(str(error) or type(error).__name__ for error in _leaves(group))


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            leaves += _leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            leaves.append(error)
    return leaves
