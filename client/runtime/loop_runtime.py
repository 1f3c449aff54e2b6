"""Running a client in an event loop of trio or asyncio: see `runtime`."""

from collections.abc import Callable

import anyio

from ...registry.dial_order import DialOrder
from ..transport.channel import Channel, open_channel
from ..transport.endpoints import Endpoint
from ..transport.framing import SOFTWARE
from ..transport.link import Link
from ..transport.securing import ClientSecurity
from ..transport.task_link import TaskLink
from ..transport.wakeup import Wakeup
from .last_words import Tasks, Work
from .runtime import Admit


class LoopRuntime:
    """The event loop that the caller is in.

    Args:
        spawn: starts a task in the client's task group.
        security: for TLS; None for connections without.
    """

    def __init__(
        self, spawn: Callable[[Work], None], security: ClientSecurity | None = None
    ) -> None:
        self._tasks, self._security = Tasks(spawn), security

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
        return TaskLink(endpoint, self._dial, admit, self._tasks.spawn)

    async def _dial(self, endpoint: Endpoint, *, identify: bool, order: DialOrder) -> Channel:
        return await open_channel(
            endpoint, SOFTWARE, identify=identify, order=order, security=self._security
        )

    def drop(self, link: Link) -> None:
        """Do nothing: a link that does not run has no task."""

    def close(self) -> None:
        """Stop all tasks."""
        self._tasks.close()
