"""What a node must know of guests: nodes without a vote, of which there may be many.

Guests are no part of any quorum, so nothing may wait for one. What waits to be sent to all of them
together has one bound. If it is exceeded, the link with most of it is cut: a guest that does not read
costs a voter this much memory and nothing else.

A guest can ask only if it is answered, and it is answered on a link that we dial. If we cannot, the
operator has to know, who may have told it a wrong address. So may be the address of this node itself:
then it is linked to others, and none of them is linked to it.
"""

from collections.abc import Collection
from math import inf

import trio
from msgspec import Struct

from ..replica.step.events import Dialled
from ..types import NodeId
from . import log
from .backlog import Backlog
from .node_loop import NodeLoop
from .outbox import Outbox

FAILURES = 3
"""So many dials of a guest must fail in a row before it is said: it may be starting or stopping."""
UNDIALLED_S = 5.0
"""A node that is linked to others for so long, and to which nobody is linked, says so."""


class OutboundLink(Struct, eq=False):
    """A link in use.

    Attributes:
        outbox: its queue.
        scope: ends the link.
        nonce: of the peer's incarnation at its other end.
        wait_ms: how long the most urgent message that was queued may wait; infinite if none was.
        told: the version of the addresses that the peer has been told.
    """

    outbox: Outbox
    scope: trio.CancelScope
    nonce: bytes
    wait_ms: float = inf
    told: int = -1


class GuestQueues:
    """What waits for all guests together.

    Args:
        max_bytes: the bound.
    """

    def __init__(self, max_bytes: int) -> None:
        self.backlog = Backlog(max_bytes)
        self._links: dict[NodeId, OutboundLink] = {}

    def begin(self, guest: NodeId, link: OutboundLink) -> None:
        """A link to a guest is in use; its queue counts here."""
        self._links[guest] = link

    def end(self, guest: NodeId) -> None:
        """The link is gone."""
        self._links.pop(guest, None)

    def bound(self) -> None:
        """Cut the links with most in their queues while all together are over the bound."""
        while self.backlog.is_over and self._links:
            guest = max(self._links, key=lambda node: self._links[node].outbox.size)
            link = self._links.pop(guest)
            log.warning("a node without a vote does not read; its link is cut", peer=guest)
            link.outbox.close()
            link.scope.cancel()


class DialFaults:
    """Why guests that are linked to us are not reached."""

    def __init__(self) -> None:
        self._failures: dict[NodeId, int] = {}
        self._told: dict[NodeId, str] = {}

    def failed(self, guest: NodeId, tried: Collection[str], reason: str, loop: NodeLoop) -> None:
        """A guest was not met at the addresses that it told."""
        count = self._failures[guest] = self._failures.get(guest, 0) + 1
        fault = f"it says that it is at {', '.join(tried)}, where it is not met: {reason}"
        if count >= FAILURES and self._told.get(guest) != fault:
            self._told[guest] = fault
            log.warning(
                "a node cannot be reached where it says that it is", peer=guest, fault=fault
            )
            loop.post(Dialled(guest, fault))

    def worked(self, guest: NodeId, loop: NodeLoop) -> None:
        """There is a link to it."""
        self._failures.pop(guest, None)
        if self._told.pop(guest, None) is not None:
            loop.post(Dialled(guest, ""))

    def forget(self, guest: NodeId) -> None:
        """It has gone, or is no guest any more."""
        self._failures.pop(guest, None)
        self._told.pop(guest, None)


class Undialled:
    """Notices that nobody dials this node, though it is linked to others."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._said = False

    def look(self, address: str, linked: Collection[NodeId], heard: Collection[NodeId]) -> str:
        """What is to be said of that by now; empty if there is nothing.

        Args:
            address: what this node tells others.
            linked: the nodes to which it has links.
            heard: the nodes that have links to it.
        """
        if heard or not linked:
            self._since, self._said = None, False
            return ""
        now = trio.current_time()
        self._since = now if self._since is None else self._since
        if now - self._since < UNDIALLED_S:
            return ""
        fault = (
            f"{', '.join(sorted(linked))} cannot dial this node at {address or 'an address'}, which it"
            " tells them, so it is not answered: give it an address that they reach, with --advertise"
        )
        if not self._said:
            self._said = True
            log.error("no member dials this node", fault=fault)
        return fault
