"""What waits to be written to one connection: bounded, and joined into as few frames as possible."""

from collections import deque

import trio

from ..wire.frames import TARGET_BYTES, TARGET_MESSAGES, pack


class Outbox:
    """Encoded messages on their way to one connection.

    A message counts until the system has taken it, so the bound holds for a slow receiver too.

    Args:
        max_bytes: how many may wait; `put` refuses more.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
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
        self._arrived.set()
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

    async def write_to(self, stream: trio.abc.SendStream) -> None:
        """Write what comes, until cancelled or the stream breaks."""
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while self._messages:
                batch = self._take()
                for frame in pack(batch):
                    await stream.send_all(frame)
                self._size -= sum(map(len, batch))
                self._unwritten.difference_update(batch)
            self._emptied.set()

    def _take(self) -> list[bytes]:
        """The next messages, about a frame full of them."""
        batch: list[bytes] = []
        size = 0
        while self._messages and size < TARGET_BYTES and len(batch) < TARGET_MESSAGES:
            batch.append(self._messages.popleft())
            size += len(batch[-1])
        return batch
