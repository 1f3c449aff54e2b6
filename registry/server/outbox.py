"""What waits to be written to one connection: bounded, and joined into as few frames as possible.

A turn puts all its messages and then flushes: what the system takes at once has left when `flush`
returns, without a turn of another task. The rest is left to the task that runs `write_to`.
"""

from collections import deque
from collections.abc import Callable

import trio

from ..wire.frames import TARGET_BYTES, TARGET_MESSAGES, pack


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
        self._messages: deque[bytes] = deque()
        self._unwritten: set[bytes] = set()
        self._size = 0
        self._arrived = trio.Event()
        self._emptied = trio.Event()
        self._emptied.set()

    def put(self, message: bytes) -> bool:
        """Queue a message; False, and nothing queued, if there is no room for it."""
        if self._size and self._size + len(message) > self._max_bytes:
            return False
        self._messages.append(message)
        self._size += len(message)
        if self._emptied.is_set():
            self._emptied = trio.Event()
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

    async def drained(self) -> None:
        """Wait until everything has been handed to the system."""
        await self._emptied.wait()

    def flush(self) -> None:
        """Send what waits, as far as the system takes it at once."""
        while self._messages and not self._writing:
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
            while self._writing or self._messages:
                if not self._writing:
                    self._begin()
                await stream.send_all(self._rest)
                self._end()

    def _begin(self) -> None:
        """Take the next batch in hand; nothing else is sent until it is through."""
        self._writing = self._take()
        self._rest = b"".join(pack(self._writing))

    def _end(self) -> None:
        """The system has the whole batch."""
        self._size -= sum(map(len, self._writing))
        self._unwritten.difference_update(self._writing)
        self._writing, self._rest = [], b""
        if not self._messages:
            self._emptied.set()

    def _take(self) -> list[bytes]:
        """The next messages, about a frame full of them."""
        batch: list[bytes] = []
        size = 0
        while self._messages and size < TARGET_BYTES and len(batch) < TARGET_MESSAGES:
            batch.append(self._messages.popleft())
            size += len(batch[-1])
        return batch
