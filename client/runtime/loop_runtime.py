"""Running a client in an event loop of trio or asyncio: see `runtime`."""

from collections.abc import Callable

import anyio

from ..transport.channel import Channel, open_channel
from ..transport.endpoints import Endpoint
from ..transport.framing import SOFTWARE
from ..transport.task_link import TaskLink
from ..transport.wakeup import Wakeup
from .last_words import Tasks, Work
from .runtime import Admit


async def dial(endpoint: Endpoint, *, identify: bool) -> Channel:
    """Open a channel to `endpoint`, as `open_channel` does."""
    return await open_channel(endpoint, SOFTWARE, identify=identify)


class LoopRuntime:
    """The event loop that the caller is in.

    Args:
        spawn: starts a task in the client's task group.
    """

    def __init__(self, spawn: Callable[[Work], None]) -> None:
        self._tasks = Tasks(spawn)

    @property
    def tasks(self) -> Tasks:
        """The tasks of the client."""
        return self._tasks

    def now(self) -> float:
        """The loop's own time."""
        return anyio.current_time()

    def lock(self) -> anyio.Lock:
        """A lock of anyio's."""
        return anyio.Lock()

    async def listen(self, wakeup: Wakeup, until: float) -> None:
        """Return once `wakeup` has been rung, or at the time `until`."""
        with anyio.CancelScope(deadline=until):
            await wakeup.wait()

    def link(self, endpoint: Endpoint, admit: Admit) -> TaskLink:
        """A link whose tasks run in the loop."""
        return TaskLink(endpoint, dial, admit, self._tasks.spawn)

    def close(self) -> None:
        """Stop all tasks."""
        self._tasks.close()
