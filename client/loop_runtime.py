"""Running a client in an event loop, that of trio or asyncio: see `runtime`."""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from .bell import Bell
from .channel import Channel, open_channel
from .endpoints import Endpoint
from .framing import SOFTWARE
from .runtime import Admit
from .task_link import TaskLink

Work = Callable[[], Coroutine[Any, Any, None]]


async def dial(endpoint: Endpoint) -> Channel:
    """Open a channel to `endpoint`, as `open_channel` does."""
    return await open_channel(endpoint, SOFTWARE)


class LoopRuntime:
    """The event loop that the caller is in.

    Args:
        spawn: starts a task that lives as long as the client.
    """

    def __init__(self, spawn: Callable[[Work], None]) -> None:
        self._spawn = spawn

    def now(self) -> float:
        """The loop's own time."""
        return anyio.current_time()

    def lock(self) -> anyio.Lock:
        """A lock of anyio's."""
        return anyio.Lock()

    async def listen(self, bell: Bell, until: float) -> None:
        """Return once `bell` has been rung, or at the time `until`."""
        with anyio.CancelScope(deadline=until):
            await bell.wait()

    def spawn(self, work: Work) -> None:
        """Start a task that lives as long as the client."""
        self._spawn(work)

    def link(self, endpoint: Endpoint, admit: Admit) -> TaskLink:
        """A link whose tasks run in the loop."""
        return TaskLink(endpoint, dial, admit, self._spawn)
