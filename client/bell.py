"""A bell: one task waits, others ring. A ring that nobody waits for yet is kept."""

import anyio


class Bell:
    """An event that can be waited for again and again by one task."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def ring(self) -> None:
        """Wake the task that waits, now or when it comes to wait."""
        self._event.set()

    async def wait(self) -> None:
        """Return once the bell has been rung since the last return."""
        await self._event.wait()
        self._event = anyio.Event()
