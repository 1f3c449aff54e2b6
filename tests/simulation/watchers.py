"""Clients that follow each node's feed, through all incarnations of that node."""

from dataclasses import dataclass, field

from decreed.registry.replica.feed.watch_positions import index_of
from decreed.registry.replica.step.events import FromClient
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import Answer, Position, WatchPage, WatchRequest

from .invariants import CheckedWorld
from .wanted import Mark

WATCH_MS = 300


@dataclass(eq=False)
class Watcher:
    """One client, and what it was sent since the position where it began.

    Attributes:
        position: where it continues.
        start: where it began.
        asked: its pending request.
        seen: what it was sent, in order, with the incarnation of the node; what is sent again moves to
            the end.
    """

    position: Position | None = None
    start: int = 0
    asked: int | None = None
    seen: dict[Key, int] = field(default_factory=dict[Key, int])


class Watchers:
    """A watcher for each node.

    Args:
        world: the cluster that they watch.
        page: how many decrees they take at a time.
    """

    def __init__(self, world: CheckedWorld, page: int) -> None:
        self._world = world
        self._page = page
        self.each = {node: Watcher() for node in world.machines}

    def watch(self) -> None:
        """Keep one watch open at each node, from where the last one ended."""
        for node, watcher in self.each.items():
            up = self._world.machines[node].replica is not None
            if up and watcher.asked is None and node not in self._world.rolled_back_disks:
                watcher.asked = self._world.new_id()
                request = WatchRequest(watcher.asked, WATCH_MS, "", watcher.position, self._page)
                self._world.post(node, FromClient(1, (request,), self._world.speaker))

    def caught_up(self) -> bool:
        """Whether every watcher of a sound node has seen all that its node learned."""
        world = self._world
        sound = (node for node in self.each if node not in world.rolled_back_disks)
        return all(
            world.machines[node].replica is not None
            and _index(world, node, self.each[node]) in (None, world.replica(node).node.feed_end)
            for node in sound
        )

    def lose(self, node: NodeId) -> None:
        """The node has died."""
        self.each[node].asked = None

    def begin_again(self, node: NodeId) -> None:
        """Another disk is in the machine of a node: positions of the one before mean nothing there."""
        self.each[node] = Watcher()

    def take(self, mark: Mark, answer: Answer) -> bool:
        """Take an answer; returns whether it was for a watcher."""
        node, number = mark
        watcher = self.each[node]
        if watcher.asked != number:
            return False
        watcher.asked = None
        if isinstance(answer, WatchPage):
            self._look_at(node, watcher, answer)
        return True

    def _look_at(self, node: NodeId, watcher: Watcher, page: WatchPage) -> None:
        assert not page.lost, "a position of this very disk"
        began, watcher.position = watcher.position is not None, page.position
        if not began:
            watcher.start = _index(self._world, node, watcher) or 0
        incarnation = self._world.replica(node).node.identity.incarnation
        for decree in page.decrees:
            self._world.agree(decree)
            told_in = watcher.seen.pop(decree.key, 0)
            again = decree.key in self._world.corrupted.get(node, ())
            assert told_in < incarnation or again, "sent twice by one incarnation"
            if told_in:
                self._world.event_counts.saw("a watch was sent again what a crash had taken")
            watcher.seen[decree.key] = incarnation
            self._world.event_counts.saw("a watch saw a decree")


def _index(world: CheckedWorld, node: NodeId, watcher: Watcher) -> int | None:
    """Where the node would continue for a watcher; None if the watcher has not begun."""
    if watcher.position is None:
        return None
    return index_of(world.replica(node).node, watcher.position.index)
