"""What waits to be written to one connection: bounded, and joined into as few frames as possible.

A turn puts all its messages and then flushes: what the system takes at once has left when `flush`
returns, without a turn of another task. The rest is left to the task that runs `write_to`.
"""

from collections import deque
from collections.abc import Callable

import trio

from ..wire.frames import TARGET_BYTES, TARGET_MESSAGES, join


class Outbox:
    """Encoded messages on their way to one connection.

    A message counts until the system has taken it, so the bound holds for a slow receiver too.

    Args:
        max_bytes: how many may wait; `put` refuses more.
        send_some: hands bytes to the system and returns how many it took, without ever waiting.
    """

    def __init__(self, max_bytes: int, send_some: Callable[[bytes], int]) -> None:
        self._max_bytes = max_bytes
        self._send_some = send_some
        self._rest = b""
        self._writing: list[bytes] = []
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._unwritten: set[bytes] = set()
        self._size = 0
        self._arrived = trio.Event()
        self._emptied = trio.lowlevel.ParkingLot()

    def put(self, encoded: bytes, count: int = 1) -> bool:
        """Queue `count` messages, encoded one behind the other.

        Returns:
            Whether there was room for them; if not, nothing of them is queued.
        """
        if self._size and self._size + len(encoded) > self._max_bytes:
            return False
        self._waiting.append((encoded, count))
        self._size += len(encoded)
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
        while self._size:
            await self._emptied.park()

    def flush(self) -> None:
        """Send what waits, as far as the system takes it at once."""
        while self._waiting and not self._writing:
            self._begin()
            sent = self._send_some(self._rest)
            if sent < len(self._rest):
                self._rest = self._rest[sent:]
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
                await stream.send_all(self._rest)
                self._end()

    def _begin(self) -> None:
        """Take a frame full in hand; nothing else is sent until it is through."""
        batch, size, messages = self._writing, 0, 0
        while self._waiting:
            encoded, count = self._waiting[0]
            size += len(encoded)
            messages += count
            if batch and (size > TARGET_BYTES or messages > TARGET_MESSAGES):
                messages -= count
                break
            batch.append(encoded)
            self._waiting.popleft()
        self._rest = join(batch, messages)

    def _end(self) -> None:
        """The system has the whole batch."""
        self._size -= sum(map(len, self._writing))
        if self._unwritten:
            self._unwritten.difference_update(self._writing)
        self._writing, self._rest = [], b""
        if not self._size and self._emptied:
            self._emptied.unpark_all()
