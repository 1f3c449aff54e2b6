"""Last words: messages that must reach the nodes even if the caller is gone, such as a release.

Tasks of the client send them. Callers wait for them as long as they can; closing the client waits for
them too, for a bounded time.

Invariants kept here:

* no cancellation of a caller stops a task of the client: neither of a scope around the whole block of
  the client, nor a native one of asyncio, which ignores shields;
* `Tasks.close` stops them all.
"""

from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

import anyio

Work = Callable[[], Coroutine[Any, Any, None]]
LAST_SECONDS = 2.0


class Tasks:
    """The tasks of a client.

    Args:
        start: starts a task in the client's task group.
    """

    def __init__(self, start: Callable[[Work], None]) -> None:
        self._start = start
        self._scopes: set[anyio.CancelScope] = set()
        self._unsaid: dict[anyio.Event, float] = {}
        self._farewells: dict[Callable[[], None], None] = {}
        self._closed = False

    @property
    def unsaid(self) -> int:
        """How many last words are being sent now."""
        return len(self._unsaid)

    @contextmanager
    def parting(self, farewell: Callable[[], None]) -> Generator[None]:
        """Have `farewell` called if the client is closed meanwhile; it may start last words."""
        self._farewells[farewell] = None
        try:
            yield
        finally:
            self._farewells.pop(farewell, None)

    def spawn(self, work: Work) -> None:
        """Start a task that runs until it ends or the client is closed."""
        self._start(lambda: self._run(work))

    def say(self, work: Work) -> anyio.Event:
        """Start a task that closing the client waits for; the event is set at its end."""
        said = anyio.Event()

        async def say() -> None:
            try:
                await work()
            finally:
                self._unsaid.pop(said, None)
                said.set()

        if not self._closed:
            self._unsaid[said] = anyio.current_time() + LAST_SECONDS
            self.spawn(say)
        else:
            said.set()
        return said

    async def spoken(self) -> None:
        """Before the client is closed: return once all was sent, or tried for `LAST_SECONDS`."""
        for farewell in list(self._farewells):
            farewell()
        while self._unsaid:
            said, until = next(iter(self._unsaid.items()))
            with anyio.CancelScope(deadline=until, shield=True):
                await said.wait()
            self._unsaid.pop(said, None)

    def close(self) -> None:
        """Stop all tasks."""
        self._closed = True
        for scope in list(self._scopes):
            scope.cancel()

    async def _run(self, work: Work) -> None:
        with anyio.CancelScope(shield=True) as scope:
            self._scopes.add(scope)
            if self._closed:
                # cancelled at its first await, so that it runs to its end
                scope.cancel()
            try:
                await work()
            finally:
                self._scopes.discard(scope)
