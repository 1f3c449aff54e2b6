"""A bell: one task waits, others ring. A ring that nobody waits for yet is kept."""

import anyio


class Bell:
    """An event that can be waited for again and again by one task."""

    def __init__(self) -> None:
        self._rung = False
        # made when somebody comes to wait: most rings come before, or to nobody
        self._event: anyio.Event | None = None

    def ring(self) -> None:
        """Wake the task that waits, now or when it comes to wait."""
        self._rung = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Return once the bell has been rung since the last return.

        A ring that was kept is taken without a checkpoint; whoever waits again and again is held up
        as soon as nobody rings.
        """
        if not self._rung:
            self._event = anyio.Event()
            try:
                await self._event.wait()
            finally:
                self._event = None
        self._rung = False
