"""A link in an event loop: a writer task sends queued requests, a reader task receives answers.

A third task runs the pulse. No task is started for a single request; `link` has the rules of what is
sent when.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import anyio

from ...registry.dial_order import DialOrder
from ...registry.errors import Closed, DecreedError, Unreachable
from ...registry.wire.handshake import ClientWelcome
from .channel import Channel
from .endpoints import Endpoint
from .link import Link
from .pulse import Pulse
from .wakeup import Wakeup


class TaskDial(Protocol):
    """Opens a channel; with `identify` it finds out what other service is there if no node is."""

    async def __call__(
        self, endpoint: Endpoint, /, *, identify: bool, order: DialOrder
    ) -> Channel: ...


class TaskLink(Link):
    """A link whose bytes are moved by tasks.

    Args:
        endpoint, admit: as for `Link`.
        dial: opens a channel; raises `DecreedError`.
        spawn: starts a task that lives as long as the client.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        dial: TaskDial,
        admit: Callable[[Endpoint, ClientWelcome], None],
        spawn: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
    ) -> None:
        super().__init__(endpoint, admit, anyio.current_time)
        self._dial, self._spawn = dial, spawn
        self._wakeup, self._watcher = Wakeup(), Wakeup()

    def _start(self) -> None:
        self._spawn(self._run)

    def _wake_writer(self) -> None:
        self._wakeup.wake()

    def wake_watcher(self) -> None:
        """Have the pulse's time read again."""
        self._watcher.wake()

    async def _run(self) -> None:
        error: DecreedError = Closed("the client was closed")
        try:
            # if no node has ever welcomed us here, another service may be at the port
            channel = await self._dial(
                self.endpoint, identify=self.welcome is None, order=self._order
            )
            try:
                self._open(channel)
                error = await self._serve(channel)
            finally:
                await channel.aclose()
        except DecreedError as failure:
            error = failure
        finally:
            self._end(error)

    async def _serve(self, channel: Channel) -> DecreedError:
        ends: list[DecreedError] = []

        async def until_it_breaks(work: Callable[[Channel], Awaitable[None]]) -> None:
            try:
                await work(channel)
            except DecreedError as error:
                ends.append(error)
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(until_it_breaks, self._write)
            tasks.start_soon(until_it_breaks, self._watch)
            await until_it_breaks(self._read)
        return ends[0] if ends else Unreachable("the connection is made again")

    async def _write(self, channel: Channel) -> None:
        while True:
            batch = self._take(channel)
            if batch or not channel.idle:
                await channel.send(batch)
            else:
                await self._wakeup.wait()

    async def _read(self, channel: Channel) -> None:
        while not self._outdated(channel):
            self._take_in(await channel.receive())

    async def _watch(self, channel: Channel) -> None:
        assert self._pulse is not None
        await watch(self._pulse, self._watcher)


async def watch(pulse: Pulse, wakeup: Wakeup) -> None:
    """Advance `pulse` at its `wake_at`; `wakeup` is rung when that has become earlier.

    Raises:
        Unreachable: the node was silent for `DEAD_SECONDS`.
    """
    while True:
        with anyio.CancelScope(deadline=pulse.wake_at):
            await wakeup.wait()
        pulse.advance(anyio.current_time())
