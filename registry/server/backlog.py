"""The bytes of all answers that wait at a node, each large value counted once.

Every client has a bound of its own (`Outbox`). This bound is for all clients together, so that many
clients that do not read cannot together exhaust the memory.
"""

from .pieces import Encoded, Shared


class Backlog:
    """Counts the bytes that wait.

    Args:
        max_bytes: the bound; the code that queues checks `is_over` and drops a client.
    """

    def __init__(self, max_bytes: float) -> None:
        self._max_bytes = max_bytes
        self.held = 0

    @property
    def is_over(self) -> bool:
        """Whether more bytes wait than the bound."""
        return self.held > self._max_bytes

    def add(self, message: Encoded) -> None:
        """Count a message that waits from now on."""
        if isinstance(message, bytes):
            self.held += len(message)
            return
        for item in message.items:
            if isinstance(item, Shared):
                item.holders += 1
                self.held += len(item.data) if item.holders == 1 else 0
            else:
                self.held += len(item)

    def remove(self, message: Encoded) -> None:
        """Stop counting a message that was sent, or whose receiver has gone."""
        if isinstance(message, bytes):
            self.held -= len(message)
            return
        for item in message.items:
            if isinstance(item, Shared):
                item.holders -= 1
                self.held -= len(item.data) if item.holders == 0 else 0
            else:
                self.held -= len(item)
