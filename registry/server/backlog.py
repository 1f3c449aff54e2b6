"""The bytes of all answers that wait at a node, each large value counted once.

Every client has a bound of its own (`Outbox`); this one is of all together, so that many clients that
do not read cannot take what none of them could alone.
"""

from .pieces import Encoded, Shared


class Backlog:
    """How many bytes wait.

    Args:
        max_bytes: how many may; whoever queues looks at `is_over` and drops somebody.
    """

    def __init__(self, max_bytes: float) -> None:
        self._max_bytes = max_bytes
        self.held = 0

    @property
    def is_over(self) -> bool:
        """Whether more waits than may."""
        return self.held > self._max_bytes

    def add(self, message: Encoded) -> None:
        """It waits."""
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
        """It has left, or its receiver has."""
        if isinstance(message, bytes):
            self.held -= len(message)
            return
        for item in message.items:
            if isinstance(item, Shared):
                item.holders -= 1
                self.held -= len(item.data) if item.holders == 0 else 0
            else:
                self.held -= len(item)
