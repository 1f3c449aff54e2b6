"""What the client needs of whatever it runs in: the time, a way to wait, links, and tasks.

`loop_runtime.LoopRuntime` is that of trio and asyncio. `blocking.Exchange` is that of a caller who
blocks: it loads neither of the two, which takes longer than to ask a node. Everything that decides
(which node is asked when, what an answer means, what is definite) lies above this seam, and is the
same for both.
"""

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from ..registry.wire.handshake import ClientWelcome
from .bell import Bell
from .endpoints import Endpoint
from .link import Link

Admit = Callable[[Endpoint, ClientWelcome], None]


class Runtime(Protocol):
    """What runs a client."""

    def now(self) -> float:
        """The time in seconds, on the clock of all deadlines. It never goes back."""
        ...

    def lock(self) -> AbstractAsyncContextManager[object]:
        """A lock among the tasks of one client."""
        ...

    async def listen(self, bell: Bell, until: float) -> None:
        """Return once `bell` has been rung, or at the time `until`."""
        ...

    def link(self, endpoint: Endpoint, admit: Admit) -> Link:
        """The link to `endpoint`; nothing is sent yet."""
        ...

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a task that lives as long as the client."""
        ...
