"""A budget of bytes: who wants more than is left waits until others have given theirs back."""

import trio


class Budget:
    """Bytes that may be held at a time.

    Args:
        max_bytes: how many; one that is larger by itself is let through when nothing else is held.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._freed = trio.Event()
        self.held = 0

    async def take(self, weight: int) -> None:
        """Hold `weight` bytes, as soon as there is room for them; none never wait."""
        while weight and self.held and self.held + weight > self._max_bytes:
            await self._freed.wait()
        self.held += weight

    def give_back(self, weight: int) -> None:
        """Hold `weight` bytes less."""
        self.held -= weight
        assert self.held >= 0, "only what was taken is given back"
        if weight:
            self._freed.set()
            self._freed = trio.Event()
