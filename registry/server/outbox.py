"""What waits to be written to one connection: bounded, and joined into as few frames as possible."""

from collections import deque

import trio

from ..wire.frames import pack


class Outbox:
    """Encoded messages on their way to one connection.

    Args:
        max_bytes: how many may wait; `put` refuses more.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._messages: deque[bytes] = deque()
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

    async def drained(self) -> None:
        """Wait until everything has been handed to the system."""
        await self._emptied.wait()

    async def write_to(self, stream: trio.abc.SendStream) -> None:
        """Write what comes, until cancelled or the stream breaks."""
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            batch, self._messages = self._messages, deque()
            self._size = 0
            for frame in pack(batch):
                await stream.send_all(frame)
            if not self._messages:
                self._emptied.set()
