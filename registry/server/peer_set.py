"""Which peers this node keeps links to: they change while it runs, with the members and with guests.

Invariant: there is one task for each wanted peer, and none for any other.
"""

from collections.abc import Awaitable, Callable

import trio

from ..types import NodeId
from .liveness import Liveness
from .node_loop import NodeLoop

Dial = Callable[[NodeId, NodeLoop], Awaitable[None]]


class PeerSet:
    """The peers to which links are kept.

    Args:
        wanted: names them, whenever it is asked.
        dial: keeps a link to one until it is cancelled.
        liveness: forgets those that are left.
    """

    def __init__(self, wanted: Callable[[], set[NodeId]], dial: Dial, liveness: Liveness) -> None:
        self._wanted = wanted
        self._dial = dial
        self._liveness = liveness
        self._kept: dict[NodeId, trio.CancelScope] = {}
        self._changed = trio.Event()

    def regroup(self) -> None:
        """Look again who is wanted: the members may have changed, or a guest has come or gone."""
        self._changed.set()

    async def run(self, loop: NodeLoop) -> None:
        """Keep a link to each wanted peer until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                wanted = self._wanted()
                for peer in self._kept.keys() - wanted:
                    self._kept.pop(peer).cancel()
                    self._liveness.leave(peer, loop)
                for peer in wanted - self._kept.keys():
                    self._kept[peer] = trio.CancelScope()
                    nursery.start_soon(self._keep, peer, self._kept[peer], loop)
                await self._changed.wait()

    async def _keep(self, peer: NodeId, scope: trio.CancelScope, loop: NodeLoop) -> None:
        with scope:
            await self._dial(peer, loop)
