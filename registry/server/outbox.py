"""The queue of one connection: bounded, and joined into as few frames as possible.

A turn puts all its messages and then flushes. What the system takes without waiting has left when
`flush` returns, without a switch of tasks. The rest is left to the task that runs `write_to`.

A message in pieces gets a frame of its own, and its bytes are not copied.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import trio

from ..wire.codec import array_header
from ..wire.frames import HEADER_BYTES, TARGET_BYTES, TARGET_MESSAGES, join
from .backlog import Backlog
from .pieces import Encoded, Pieces


class Sink(Protocol):
    """Where the bytes go: a connection, or a stream."""

    async def send_all(self, data: bytes | memoryview, /) -> None:
        """Pass all of the bytes to the system."""
        ...


class Outbox:
    """Encoded messages that wait to be sent on one connection.

    A message counts until the system has taken it, so the bound holds for a slow receiver too.

    Args:
        max_bytes: how many may wait; `put` refuses more.
        send_some: passes bytes to the system and returns how many it took, without waiting.
        backlog: counts what waits in all outboxes together; None for no such count.
    """

    def __init__(
        self,
        max_bytes: int,
        send_some: Callable[[bytes | memoryview], int],
        backlog: Backlog | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._send_some = send_some
        self._backlog = backlog
        self._rest: deque[bytes | memoryview] = deque()
        self._writing: list[Encoded] = []
        self._waiting: deque[tuple[Encoded, int]] = deque()
        self._unwritten: set[bytes] = set()
        self._closed = False
        self.size = 0
        self._arrived = trio.Event()
        self._emptied = trio.lowlevel.ParkingLot()

    def put(self, encoded: Encoded, count: int = 1) -> bool:
        """Queue `count` messages, encoded one after another; or one message in pieces.

        Returns:
            Whether there was room for them; if not, none of them is queued.
        """
        size = len(encoded)
        if self._closed or (self.size and self.size + size > self._max_bytes):
            return False
        self._waiting.append((encoded, count))
        self.size += size
        if self._backlog is not None:
            self._backlog.add(encoded)
        return True

    def put_once(self, message: bytes) -> bool:
        """Queue a message that may be repeated (R02), unless an equal one still waits.

        Repeating a message that has not left yet is useless, and repeated megabytes would keep a slow
        receiver slow.
        """
        if message in self._unwritten:
            return True
        queued = self.put(message)
        if queued:
            self._unwritten.add(message)
        return queued

    @property
    def has_waiting(self) -> bool:
        """Whether there is anything that `flush` would send."""
        return bool(self._waiting)

    async def drained(self) -> None:
        """Wait until everything was passed to the system."""
        while self.size:
            await self._emptied.park()

    def close(self) -> None:
        """Drop what waits, and refuse further messages."""
        self._closed = True
        self._rest.clear()
        self._writing += [message for message, _ in self._waiting]
        self._waiting.clear()
        self._end()

    def flush(self) -> None:
        """Send what waits, as far as the system takes it without waiting."""
        while self._waiting and not self._writing:
            self._begin()
            if not self._send_rest():
                self._arrived.set()
                return
            self._end()

    async def write_to(self, sink: Sink) -> None:
        """Write what `flush` left, until cancelled or the connection breaks."""
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while self._writing or self._waiting:
                if not self._writing:
                    self._begin()
                while self._rest:
                    await sink.send_all(self._rest.popleft())
                self._end()

    def _send_rest(self) -> bool:
        """Send the current frame, as far as the system takes it; returns whether it took all of it."""
        while self._rest:
            data = self._rest.popleft()
            sent = self._send_some(data)
            if sent < len(data):
                self._rest.appendleft(memoryview(data)[sent:])
                return False
        return True

    def _begin(self) -> None:
        """Begin the next frame; it is sent wholly before another one is begun."""
        first, _ = self._waiting[0]
        if isinstance(first, Pieces):
            self._waiting.popleft()
            self._writing.append(first)
            self._rest += _frame_of(first)
        else:
            self._begin_joined()

    def _begin_joined(self) -> None:
        batch: list[bytes] = []
        size = messages = 0
        while self._waiting:
            encoded, count = self._waiting[0]
            size += len(encoded)
            messages += count
            full = batch and (size > TARGET_BYTES or messages > TARGET_MESSAGES)
            if full or type(encoded) is not bytes:
                messages -= count
                break
            batch.append(encoded)
            self._waiting.popleft()
        self._writing += batch
        self._rest.append(join(batch, messages))

    def _end(self) -> None:
        """Stop counting the current messages: the system has taken all of them."""
        self.size -= sum(map(len, self._writing))
        if self._backlog is not None:
            for message in self._writing:
                self._backlog.remove(message)
        if self._unwritten:
            self._unwritten.difference_update(self._writing)
        self._writing = []
        if not self.size and self._emptied:
            self._emptied.unpark_all()


def _frame_of(pieces: Pieces) -> Iterable[bytes]:
    """The frame of one message, as pieces."""
    head = array_header(1)
    yield (len(head) + len(pieces)).to_bytes(HEADER_BYTES, "big") + head
    yield from pieces.data()
