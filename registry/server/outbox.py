"""What waits to be written to one connection: bounded, and joined into as few frames as possible.

A turn puts all its messages and then flushes: what the system takes at once has left when `flush`
returns, without a turn of another task. The rest is left to the task that runs `write_to`.

A message in pieces travels in a frame of its own, and none of its bytes is copied.
"""

from collections import deque
from collections.abc import Callable, Iterable
from math import inf

import trio

from ..wire.codec import array_header
from ..wire.frames import HEADER_BYTES, TARGET_BYTES, TARGET_MESSAGES, join
from .backlog import Backlog
from .pieces import Encoded, Pieces


class Outbox:
    """Encoded messages on their way to one connection.

    A message counts until the system has taken it, so the bound holds for a slow receiver too.

    Args:
        max_bytes: how many may wait; `put` refuses more.
        send_some: hands bytes to the system and returns how many it took, without ever waiting.
        backlog: counts what waits in all outboxes together.
    """

    def __init__(
        self,
        max_bytes: int,
        send_some: Callable[[bytes | memoryview], int],
        backlog: Backlog | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._send_some = send_some
        self._backlog = backlog or Backlog(inf)
        self._rest: deque[bytes | memoryview] = deque()
        self._writing: list[Encoded] = []
        self._waiting: deque[tuple[Encoded, int]] = deque()
        self._unwritten: set[bytes] = set()
        self._closed = False
        self.size = 0
        self._arrived = trio.Event()
        self._emptied = trio.lowlevel.ParkingLot()

    def put(self, encoded: Encoded, count: int = 1) -> bool:
        """Queue `count` messages, encoded one behind the other; or one in pieces.

        Returns:
            Whether there was room for them; if not, nothing of them is queued.
        """
        size = len(encoded)
        if self._closed or (self.size and self.size + size > self._max_bytes):
            return False
        self._waiting.append((encoded, count))
        self.size += size
        self._backlog.add(encoded)
        return True

    def put_once(self, message: bytes) -> bool:
        """Queue a message that may be repeated (R02), unless the very same one still waits.

        What has not left yet gains nothing from being said again; megabytes said again and again
        would keep a slow receiver slow.
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
        """Wait until everything has been handed to the system."""
        while self.size:
            await self._emptied.park()

    def close(self) -> None:
        """Give up what waits, and take nothing more."""
        self._closed = True
        self._end()
        while self._waiting:
            self._writing.append(self._waiting.popleft()[0])
        self._end()

    def flush(self) -> None:
        """Send what waits, as far as the system takes it at once."""
        while self._waiting and not self._writing:
            self._begin()
            if not self._send_rest():
                self._arrived.set()
                return
            self._end()

    async def write_to(self, stream: trio.abc.SendStream) -> None:
        """Write what `flush` left, until cancelled or the stream breaks."""
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while self._writing or self._waiting:
                if not self._writing:
                    self._begin()
                while self._rest:
                    await stream.send_all(self._rest.popleft())
                self._end()

    def _send_rest(self) -> bool:
        """Send the frame in hand, as far as the system takes it; returns whether it took it all."""
        while self._rest:
            data = self._rest.popleft()
            sent = self._send_some(data)
            if sent < len(data):
                self._rest.appendleft(memoryview(data)[sent:])
                return False
        return True

    def _begin(self) -> None:
        """Take a frame full in hand; nothing else is sent until it is through."""
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
            if full or not isinstance(encoded, bytes):
                messages -= count
                break
            batch.append(encoded)
            self._waiting.popleft()
        self._writing += batch
        self._rest.append(join(batch, messages))

    def _end(self) -> None:
        """The system has the whole batch."""
        for message in self._writing:
            self.size -= len(message)
            self._backlog.remove(message)
        if self._unwritten:
            self._unwritten.difference_update(self._writing)
        self._writing = []
        self._rest.clear()
        if not self.size and self._emptied:
            self._emptied.unpark_all()


def _frame_of(pieces: Pieces) -> Iterable[bytes]:
    """The frame of one message, in pieces as it is."""
    head = array_header(1)
    yield (len(head) + len(pieces)).to_bytes(HEADER_BYTES, "big") + head
    yield from pieces.data()
