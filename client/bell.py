"""A bell: one task waits, others ring. A ring that nobody waits for yet is kept."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anyio


class Bell:
    """An event that can be waited for again and again by one task."""

    def __init__(self) -> None:
        self._rung = False
        # made when somebody comes to wait: most rings come before, or to nobody
        self._event: anyio.Event | None = None

    @property
    def rung(self) -> bool:
        """Whether a ring is kept that nobody has waited for yet."""
        return self._rung

    def heed(self) -> None:
        """Take the ring that is kept, without waiting."""
        self._rung = False

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
            # whoever waits here is in an event loop; a caller who blocks asks `rung`, and loads none
            import anyio

            self._event = anyio.Event()
            try:
                await self._event.wait()
            finally:
                self._event = None
        self._rung = False
