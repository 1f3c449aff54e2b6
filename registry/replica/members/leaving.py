"""Leaving: a node that lost its vote says that it is still needed, and ends once it is not. M09.

What the voters of the epoch before hold is needed until enough of the new ones have taken it over: then
max(P, A) voters are ready, so each later quorum has one of them. One that withholds a key has not taken
all over (M18), and does not count.
"""

from ..step.effects import Announce
from ..step.node import Node
from ..step.step_builder import StepBuilder
from .seats import Seats

LINGER_MS = 5_000.0
"""How long a node stays when it is not needed any more, to tell the operator that it knows."""


class Leaving:
    """The end of a node that voted once, and votes no more.

    Args:
        node: who we are.
        seats: those of the voters.

    Attributes:
        is_over: whether nothing of this node is needed any more, so that its process may end.
    """

    def __init__(self, node: Node, seats: Seats) -> None:
        self._node = node
        self._seats = seats
        self._since_ms: float | None = None
        self.is_over = False

    def on_sealed(self, step: StepBuilder) -> None:
        """Say that it is needed still, if it has no vote in the epoch that it knows now."""
        if self._has_left:
            step.notice(
                f"epoch {self._node.seat.known}: this node votes no more; it is still needed, until"
                f" {self._needed} of {', '.join(self._node.nodes)} are ready, and stops then"
            )

    def look(self, step: StepBuilder) -> None:
        """Say once, a little later, that it is not needed any more; the server hears of it."""
        if self.is_over or not self._has_left:
            return
        ready = self._seats.ready_voters
        if len(ready) < self._needed:
            self._since_ms = None
        elif self._since_ms is None:
            self._since_ms = step.now_ms
        elif step.now_ms - self._since_ms >= LINGER_MS:
            self.is_over = True
            step.notice(
                f"epoch {self._node.seat.known}: {', '.join(ready)} are ready, so this node is not"
                " needed any more; its directory may be deleted"
            )
            step.at_once(Announce(()))

    @property
    def _has_left(self) -> bool:
        """Whether it was a voter of an earlier epoch, and is none of the one that it knows.

        One that was started to observe goes on to do so.
        """
        node = self._node
        if node.observes:
            return False
        knows = node.seat.known == node.epoch.number > 0
        return knows and node.seat.ready is not None and not node.is_voter(node.epoch)

    @property
    def _needed(self) -> int:
        quorums = self._node.quorums
        return max(quorums.prepare, quorums.accept)
