"""The feeds of peers that cannot be read on, since their nodes cannot read them on their disks.

A cursor never skips (M08), so this node stays where the damage begins until that peer can read its feed
again, or is a source no more. What it lacks it may have from other feeds, but to become ready it needs
those of S voters, or of one that is ready (M09). So it is for an operator, who is told here.
"""

from collections.abc import Iterable

from msgspec import Struct

from ...types import NodeId
from ..step.step_builder import StepBuilder


class FeedFault(Struct, frozen=True):
    """Where a feed cannot be read on, and why."""

    start: int
    reason: str


class FeedFaults:
    """The faults that peers have told last, by their names."""

    def __init__(self) -> None:
        self._told: dict[NodeId, FeedFault] = {}

    def __contains__(self, peer: object) -> bool:
        """Whether a peer cannot read its feed where it was asked to last."""
        return peer in self._told

    def told(self, step: StepBuilder, peer: NodeId, start: int, reason: str) -> None:
        """Note that a peer cannot read its feed from an entry on; the log says it once."""
        fault = FeedFault(start, reason)
        if self._told.get(peer) != fault:
            self._told[peer] = fault
            step.alarm(f"{_told_of((peer,), fault)}; {_way_out((peer,))}")

    def forget(self, peer: NodeId) -> None:
        """The feed was read on, or is another one by now."""
        self._told.pop(peer, None)

    def trouble(self, sources: Iterable[NodeId]) -> str:
        """What is wrong with the feeds of these nodes, and the way out; empty if nothing is."""
        peers = [peer for peer in sources if peer in self._told]
        if not peers:
            return ""
        return f"{_told_of(peers, self._told[peers[0]])}; {_way_out(peers)}"


def _told_of(peers: Iterable[NodeId], fault: FeedFault) -> str:
    return (
        f"{' '.join(peers)} cannot read what is to be told of the feed from entry {fault.start} on"
        f" ({fault.reason})"
    )


def _way_out(peers: Iterable[NodeId]) -> str:
    first = next(iter(peers))
    return (
        f"give the place of such a voter to a node that has caught up ('decreed member replace {first}"
        " NODE'), or recover from all directories ('decreed recover'): see 'A feed that cannot be"
        " read' in docs/recovery.md"
    )
