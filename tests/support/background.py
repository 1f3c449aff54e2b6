"""Real servers with in-memory disks, in a thread of their own, for tests under any event loop."""

import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

import trio

from decreed.registry.keys import homes
from decreed.registry.locks.terms import term_key
from decreed.registry.types import NodeId

from .live import PATIENCE_S, Cluster, live_cluster, live_config

T = TypeVar("T")


class Servers:
    """A cluster that other threads use.

    Args:
        cluster: the servers.
        token: of the event loop that they run in.
    """

    def __init__(self, cluster: Cluster, token: trio.lowlevel.TrioToken) -> None:
        self._cluster = cluster
        self._token = token
        self.over = trio.Event()

    @property
    def endpoints(self) -> list[str]:
        """Where they listen."""
        return [str(address) for _, address in self._cluster.config.addresses]

    @property
    def nodes(self) -> list[NodeId]:
        """Their names."""
        return list(self._cluster.config.nodes)

    def home(self, lock: str) -> NodeId:
        """The home of a lock."""
        return homes(term_key(lock, 1), self.nodes)[0]

    def kill(self, *nodes: NodeId) -> None:
        """Stop nodes at once, without a clean shutdown."""

        async def kill() -> None:
            for node in nodes:
                self._cluster.kill(node)

        self._do(kill)

    def start(self, *nodes: NodeId) -> None:
        """Start nodes on the disks that they had, and wait until they vote."""

        async def start() -> None:
            for node in nodes:
                await self._cluster.start(node)
            with trio.fail_after(PATIENCE_S):
                await self._cluster.ready(nodes)

        self._do(start)

    def end(self) -> None:
        """Stop all nodes."""

        async def end() -> None:
            self.over.set()

        self._do(end)

    def _do(self, work: Callable[[], Awaitable[T]]) -> T:
        done: Future[T] = Future()

        async def finish() -> None:
            try:
                done.set_result(await work())
            except BaseException as error:
                done.set_exception(error)
                raise

        self._token.run_sync_soon(self._cluster.nursery.start_soon, finish)
        return done.result(PATIENCE_S)


@contextmanager
def servers(size: int = 3) -> Iterator[Servers]:
    """Servers that vote, for as long as the block runs."""
    started: Future[Servers] = Future()

    async def main() -> None:
        async with live_cluster(await live_config(size)) as cluster:
            running = Servers(cluster, trio.lowlevel.current_trio_token())
            started.set_result(running)
            await running.over.wait()

    def work() -> None:
        try:
            trio.run(main)
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    thread = threading.Thread(target=work, name="servers", daemon=True)
    thread.start()
    running = started.result(PATIENCE_S)
    try:
        yield running
    finally:
        running.end()
        thread.join(PATIENCE_S)
