"""A budget of bytes: a request for more than is left waits until others have given bytes back."""

import trio


class Budget:
    """Bytes that may be held at a time.

    Args:
        max_bytes: how many; a larger single request is admitted when nothing else is held.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = float(max_bytes)
        self._freed = trio.lowlevel.ParkingLot()
        self.held = 0

    def has_room(self, weight: int) -> bool:
        """Whether `weight` bytes may be held now; always true of 0."""
        return not (weight and self.held and self.held + weight > self._max_bytes)

    async def room(self, weight: int) -> None:
        """Wait until there is room for `weight` bytes; the first waiter that then takes it gets it."""
        while not self.has_room(weight):
            await self._freed.park()

    def take(self, weight: int) -> None:
        """Hold `weight` bytes more."""
        self.held += weight

    def resize(self, max_bytes: float) -> None:
        """Hold so many bytes at most from now on; what is held stays."""
        self._max_bytes = max_bytes
        self._freed.unpark_all()

    def give_back(self, weight: int) -> None:
        """Hold `weight` bytes less."""
        self.held -= weight
        assert self.held >= 0, "only what was taken is given back"
        if weight:
            self._freed.unpark_all()
