"""A wakeup that one task waits for and others set. It stays set until it is waited for."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anyio


class Wakeup:
    """An event that one task can wait for repeatedly; each wait resets it."""

    def __init__(self) -> None:
        self._rung = False
        # made when a task waits: most rings come earlier, or nobody waits for them
        self._event: anyio.Event | None = None

    @property
    def rung(self) -> bool:
        """Whether it was rung and nobody has waited for that yet."""
        return self._rung

    def heed(self) -> None:
        """Reset it without waiting."""
        self._rung = False

    def wake(self) -> None:
        """Wake the task that waits now, or let the next wait return immediately."""
        self._rung = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Return once a wakeup has come since the last return.

        If it was rung already, this returns without a checkpoint. A loop over `wait` still suspends as
        soon as nobody rings.
        """
        if not self._rung:
            # only a client in an event loop waits here; a blocking one reads `rung` and loads no anyio
            import anyio

            self._event = anyio.Event()
            try:
                await self._event.wait()
            finally:
                self._event = None
        self._rung = False
