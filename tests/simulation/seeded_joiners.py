"""Joiners that learn from a snapshot, which is saved in the middle of a storm.

A save asks for marks, and reads all plain keys page by page, at any node that is up. A page that does
not come is asked for again elsewhere. Late joiners are given what was saved, a few decrees in a tick.
One that dies meanwhile is given all of it again.

A real save drops its marks if a node that told one has died meanwhile. Here they count all the same:
the argument for them does not rest on that, and in a storm all nodes die.
"""

import random

from msgspec import Struct

from decreed.registry.replica.replica import Replica
from decreed.registry.replica.status import mark_told
from decreed.registry.replica.step.events import FromClient, Seeded
from decreed.registry.types import Decree, NodeId
from decreed.registry.wire.marks import FeedMark
from decreed.registry.wire.requests import Answer, Failed, ListPage, ListRequest

from .changing_world import ChangingWorld
from .plan import Plan

SAVER = 2
"""The connection of those who save."""
TIMEOUT_MS = 3_000
PAGE = 8
PATIENCE = 6
"""After so many ticks without an answer a page is asked for again."""
FIRST_TICKS = (8, 40)
"""Between these a save begins, so that it may be over when joiners come."""


class Save(Struct, eq=False):
    """A snapshot that is saved.

    Attributes:
        marks: from before the first page.
        decrees: what was read so far.
        after: where the next page begins; None if all is read.
        asked: the request that is under way, and its node.
        since: the tick in which it was asked.
        requests: all of them.
        complete: whether it may be used.
    """

    marks: tuple[FeedMark, ...]
    decrees: list[Decree] = []
    after: str | None = ""
    asked: tuple[NodeId, int] | None = None
    since: int = 0
    requests: set[tuple[NodeId, int]] = set()
    complete: bool = False


class SeededJoiners:
    """Saves a snapshot, and gives it to nodes that join.

    Args:
        world: the cluster.
        plan: decides what is left to chance.

    Attributes:
        learned: how many nodes were given a whole snapshot with marks.
    """

    def __init__(self, world: ChangingWorld, plan: Plan) -> None:
        self._world = world
        self._plan = plan
        self._begins = plan.chance("seed").randint(*FIRST_TICKS)
        self.learned = 0
        self._save: Save | None = None
        self._given: dict[NodeId, tuple[Replica, int]] = {}
        self._met: dict[NodeId, Replica] = {}

    def act(self, tick: int) -> None:
        """Go on in this tick with what is under way."""
        chance = self._plan.chance("seeds", tick)
        if self._save is None and tick >= self._begins:
            self._save = Save(self._marks())
        if self._save is not None and not self._save.complete:
            self._read_on(self._save, chance, tick)
        self._meet()
        if chance.random() < 0.7:
            self._give(chance.randint(1, 4))

    def take(self, node: NodeId, answer: Answer) -> bool:
        """Take an answer; returns whether it was for a save."""
        save = self._save
        if save is None or (node, answer.id) not in save.requests:
            return False
        if save.asked != (node, answer.id):
            return True  # it is late, and was asked again
        save.asked = None
        if isinstance(answer, ListPage):
            save.decrees += answer.decrees
            save.after = answer.next_after
        else:
            assert isinstance(answer, Failed), answer
        return True

    def finish(self) -> None:
        """Nobody waits for a seed any more: what is left of it is given at once."""
        self._give(1_000_000)

    # -- saving

    def _marks(self) -> tuple[FeedMark, ...]:
        world = self._world
        voters = [node for node in world.epoch_check.last.nodes if node in world.up()]
        marks = [mark_told(world.replica(node).parts, 0).mark for node in voters]
        return tuple([mark for mark in marks if mark is not None])

    def _read_on(self, save: Save, chance: random.Random, tick: int) -> None:
        if save.after is None:
            save.complete = True
        elif (save.asked is None or tick >= save.since + PATIENCE) and self._world.up():
            node, number = chance.choice(self._world.up()), self._world.new_id()
            save.asked, save.since = (node, number), tick
            save.requests.add((node, number))
            request = ListRequest(number, TIMEOUT_MS, "", save.after, PAGE)
            self._world.post(node, FromClient(SAVER, (request,)))

    # -- seeding

    def _meet(self) -> None:
        """Let each joiner that has just started wait for the seed."""
        if self._save is None or not self._save.complete:
            return
        for node in self._world.up():
            replica = self._world.replica(node)
            if node in self._world.joiners and self._met.get(node) is not replica:
                self._met[node] = replica
                if replica.parts.seeding.is_useful:
                    replica.parts.seeding.wait()
                    self._given[node] = (replica, 0)

    def _give(self, count: int) -> None:
        """Give each joiner some more of the seed."""
        for node, (replica, start) in list(self._given.items()):
            formation = replica.node.identity.formation
            if node not in self._world.up() or self._world.replica(node) is not replica:
                del self._given[node]
            elif formation is not None:
                self._give_page(node, formation, start, count)

    def _give_page(self, node: NodeId, formation: bytes, start: int, count: int) -> None:
        assert self._save is not None, "it is what is given"
        all_of_it, replica = self._save.decrees, self._given[node][0]
        page, end = tuple(all_of_it[start : start + count]), start + count
        if end < len(all_of_it):
            self._world.post(node, Seeded(formation, page, False))
            self._given[node] = (replica, end)
        else:
            last = Seeded(formation, page, True, len(all_of_it), self._save.marks)
            self._world.post(node, last)
            del self._given[node]
            self.learned += bool(self._save.marks)
