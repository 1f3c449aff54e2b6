"""`ScrubClient`: begins scrubs of the nodes, and asks how they go. For operators."""

from collections.abc import Collection
from typing import ClassVar

from ...registry.types import NodeId
from ...registry.wire.scrub import ScrubReport, ScrubRequest
from ..runtime.copying import NotCopied
from ..transport.link import Link
from ..transport.wakeup import Wakeup
from .arguments import Seconds
from .operations import Operation
from .results import NodeDown
from .sender import RequestSender

PAUSE_SECONDS = 0.5

Scrubs = list[ScrubReport | NodeDown]


class ScrubClient(NotCopied):
    """The scrubs of a cluster's nodes.

    Args:
        sender: sends requests to the cluster.
    """

    instead: ClassVar[str] = "it belongs to one client. Let the other process connect itself"

    def __init__(self, sender: RequestSender) -> None:
        self._sender = sender

    def deadline(self, timeout: Seconds | None = None) -> float:
        """When something that begins now must end."""
        return self._sender.deadline(timeout)

    async def ask(
        self,
        nodes: Collection[NodeId],
        deadline: float,
        *,
        begin: bool = False,
        bytes_per_second: int = 0,
    ) -> Scrubs:
        """How the scrubs go, or how the last ones went.

        Args:
            nodes: which nodes are asked; empty: all.
            deadline: for all answers.
            begin: whether to begin one where none is running.
            bytes_per_second: how fast the nodes read from now on; 0: as they are set, or go now.

        Returns:
            One entry for each node: its report, or why there is none.

        Raises:
            Unreachable: if no node answers before the deadline.
        """

        def operation(link: Link) -> Operation:
            return Operation(
                lambda id, timeout_ms, here: ScrubRequest(id, begin, bytes_per_second),
                (ScrubReport,),
                only=link,
                rounds=1,
            )

        return await self._sender.ask_each(operation, ScrubReport, deadline, nodes)

    async def pause(self) -> None:
        """Wait a little."""
        pool = self._sender.pool
        await pool.runtime.listen(Wakeup(), pool.now() + PAUSE_SECONDS)
