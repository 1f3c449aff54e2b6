"""Clients that follow each node's feed, through every life of that node."""

from dataclasses import dataclass, field

from decreed.registry.replica.events import FromClient
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import Answer, Position, WatchPage, WatchRequest

from .wishes import Mark
from .witness import WitnessedWorld

WATCH_MS = 300


@dataclass(eq=False)
class Watcher:
    """One of them, and what it has seen since the position where it began."""

    position: Position | None = None
    start: int = 0
    asked: int | None = None
    seen: list[Key] = field(default_factory=list[Key])


class Watchers:
    """A watcher for each node.

    Args:
        world: what they watch.
        page: how many decrees they take at a time.
    """

    def __init__(self, world: WitnessedWorld, page: int) -> None:
        self._world = world
        self._page = page
        self.each = {node: Watcher() for node in world.config.nodes}

    def watch(self) -> None:
        """Keep one watch open at each node, always from where the last one ended."""
        for node, watcher in self.each.items():
            up = self._world.machines[node].replica is not None
            if up and watcher.asked is None and node not in self._world.impostors:
                watcher.asked = self._world.new_id()
                request = WatchRequest(watcher.asked, WATCH_MS, "", watcher.position, self._page)
                self._world.post(node, FromClient(1, request))

    def caught_up(self) -> bool:
        """Whether every watcher of a sound node has seen all that its node learned."""
        world = self._world
        sound = (node for node in self.each if node not in world.impostors)
        return all(
            world.machines[node].replica is not None
            and _index(self.each[node]) in (None, world.replica(node).node.feed_end)
            for node in sound
        )

    def lose(self, node: NodeId) -> None:
        """The node has died."""
        self.each[node].asked = None

    def take(self, mark: Mark, answer: Answer) -> bool:
        """An answer has come; returns whether it was for a watcher."""
        node, number = mark
        watcher = self.each[node]
        if watcher.asked != number:
            return False
        watcher.asked = None
        if isinstance(answer, WatchPage):
            self._look_at(watcher, answer)
        return True

    def _look_at(self, watcher: Watcher, page: WatchPage) -> None:
        assert not page.lost, "a position of this very disk"
        if watcher.position is None:
            watcher.start = page.position.index
        watcher.position = page.position
        for decree in page.decrees:
            self._world.agree(decree)
            watcher.seen.append(decree.key)
            self._world.sightings.saw("a watch saw a decree")


def _index(watcher: Watcher) -> int | None:
    return watcher.position.index if watcher.position is not None else None
