"""The network between the nodes and its faults: what happens to a message on its way.

It knows pairs of nodes, a sender and a receiver, and nothing of their messages. Nothing passes
between a pair that is cut: messages are lost, or arrive in a burst when the cut ends.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import product

from decreed.registry.types import NodeId

Pair = tuple[NodeId, NodeId]
Arrive = Callable[[], None]


@dataclass(slots=True, eq=False)
class Cut:
    """A pair between which nothing passes.

    Attributes:
        holds: whether messages arrive when the cut ends.
        held: these messages.
    """

    holds: bool
    held: list[Arrive] = field(default_factory=list[Arrive])


class Network:
    """The network.

    Args:
        chance: decides the fate of each message.

    Attributes:
        loss: the part of all messages that is lost.
        slow_ms: the longest time of most messages.
        straggling: the part that takes up to `STRAGGLER_MS`.
        repeating: the part that arrives twice.
        at_once: the part that takes no time at all.
    """

    STRAGGLER_MS = 400.0

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._cuts: dict[Pair, Cut] = {}
        self.loss = 0.0
        self.slow_ms = 1.0
        self.straggling = 0.0
        self.repeating = 0.0
        self.at_once = 0.5

    def roughen(self) -> None:
        """Let some messages be late, and some arrive twice, from now on."""
        self.slow_ms, self.at_once = 5.0, 0.3
        self.straggling = self.repeating = 0.05

    def calm_down(self) -> None:
        """End all faults except cuts, which `mend` ends."""
        self.loss = self.straggling = self.repeating = 0.0
        self.slow_ms, self.at_once = 1.0, 0.5

    def delays(self, repeats: bool) -> list[float]:
        """How long each copy of a message travels, in milliseconds; empty if it is lost.

        Args:
            repeats: whether it may arrive twice.
        """
        if self.loss and self._chance.random() < self.loss:
            return []
        if repeats and self._chance.random() < self.repeating:
            return [self._delay(), self._delay()]
        return [self._delay()]

    def _delay(self) -> float:
        kind = self._chance.random()
        if kind < self.at_once:
            return 0.0
        most = self.STRAGGLER_MS if kind > 1 - self.straggling else self.slow_ms
        return self._chance.random() * most

    # -- cuts

    def passes(self, pair: Pair) -> bool:
        """Whether messages pass from the first of the pair to the second."""
        return pair not in self._cuts

    @property
    def is_cut(self) -> bool:
        """Whether any pair is cut."""
        return bool(self._cuts)

    def hold(self, pair: Pair, arrive: Arrive) -> bool:
        """Hand a message to the cut of a pair; returns whether it will arrive later."""
        cut = self._cuts[pair]
        if cut.holds:
            cut.held.append(arrive)
        return cut.holds

    def cut(self, pairs: Iterable[Pair], holds: bool) -> None:
        """Let nothing through between these pairs."""
        for pair in pairs:
            self._cuts.setdefault(pair, Cut(holds))

    def mend(self, pairs: Iterable[Pair] | None = None) -> list[Arrive]:
        """End the cuts of these pairs, or all of them; returns what was held back."""
        wanted = list(self._cuts) if pairs is None else pairs
        ended = [self._cuts.pop(pair) for pair in wanted if pair in self._cuts]
        return [arrive for cut in ended for arrive in cut.held]


def between(some: Iterable[NodeId], others: Iterable[NodeId]) -> list[Pair]:
    """Every pair of a node of the one group and a node of the other, in both directions."""
    pairs = list(product(some, others))
    return pairs + [(to, sender) for sender, to in pairs]
