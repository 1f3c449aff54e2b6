"""What the client needs of its surroundings: the time, a way to wait, links, tasks, and its end.

`loop_runtime.LoopRuntime` and `lifetime.Lifetime` are for trio and asyncio. `blocking.Exchange` is both
for a blocking caller: it loads no event loop, since that takes longer than one request. All decisions
(which node is asked when, what an answer means, what is definite) are above this interface, and the
same for both.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from ...registry.wire.handshake import ClientWelcome
from ..transport.endpoints import Endpoint
from ..transport.link import Link
from ..transport.wakeup import Wakeup

if TYPE_CHECKING:
    from .last_words import Tasks

Admit = Callable[[Endpoint, ClientWelcome], None]
CLOSED = "the client was closed: open another"
FORKED = (
    "the client belongs to the process that this one was forked from, and an event loop does not "
    "survive a fork: open another client in this process"
)


class Runtime(Protocol):
    """What runs a client."""

    @property
    def tasks(self) -> "Tasks":
        """The tasks that live as long as the client; raises `RuntimeError` if it cannot have tasks."""
        ...

    def now(self) -> float:
        """The time in seconds, on the clock of all deadlines. It never goes back."""
        ...

    def lock(self) -> AbstractAsyncContextManager[object]:
        """A lock among the tasks of one client."""
        ...

    async def listen(self, wakeup: Wakeup, until: float) -> None:
        """Return once `wakeup` has been rung, or at the time `until`."""
        ...

    def link(self, endpoint: Endpoint, admit: Admit) -> Link:
        """The link to `endpoint`; nothing is sent yet."""
        ...

    def drop(self, link: Link) -> None:
        """A link is not used any more, and is not running."""
        ...

    def close(self) -> None:
        """Stop everything."""


class ClientScope(Protocol):
    """Where a client may be used, and how it ends."""

    @property
    def is_foreign(self) -> bool:
        """Whether this is another process than the client's."""
        ...

    def check_open(self) -> None:
        """Check that the client is used in its own event loop; raises `Closed` otherwise."""

    def forget(self, what: str) -> None:
        """End a client that is no longer referenced; `what` names it and says how to end it."""

    async def end(self) -> None:
        """End the client. Does nothing if it has ended."""


class Borrowed:
    """The lifetime of a client, for a view of it that does not end it.

    Args:
        lifetime: of the client.
    """

    def __init__(self, lifetime: ClientScope) -> None:
        self._lifetime = lifetime

    @property
    def is_foreign(self) -> bool:
        """Whether this is another process than the client's."""
        return self._lifetime.is_foreign

    def check_open(self) -> None:
        """Check that the client is used in its own event loop; raises `Closed` otherwise."""
        self._lifetime.check_open()

    def forget(self, what: str) -> None:
        """Do nothing: the client is somebody else's."""

    async def end(self) -> None:
        """Do nothing: the client is somebody else's."""
