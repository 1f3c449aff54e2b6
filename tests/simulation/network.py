"""What becomes of a message on its way: the wires between the nodes, and all that is wrong with them.

It knows pairs of nodes, a sender and a receiver, and nothing of what they say. A pair that is cut
lets nothing through; what is sent meanwhile is lost, or arrives in a burst when the cut ends.
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
        holds: what is sent meanwhile arrives when the cut ends.
        held: that.
    """

    holds: bool
    held: list[Arrive] = field(default_factory=list[Arrive])


class Network:
    """The wires.

    Args:
        chance: decides the fate of each message.

    Attributes:
        loss: the part of all messages that is lost.
        slow_ms: how long most messages take at most.
        straggling: the part that takes as long as `STRAGGLER_MS`.
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
        """From now on some messages are late, and some come twice."""
        self.slow_ms, self.at_once = 5.0, 0.3
        self.straggling = self.repeating = 0.05

    def calm_down(self) -> None:
        """All is well from now on, as at the beginning; cuts are mended apart."""
        self.loss = self.straggling = self.repeating = 0.0
        self.slow_ms, self.at_once = 1.0, 0.5

    def delays(self, repeats: bool) -> list[float]:
        """How long each copy of a message is on its way, in milliseconds; none if it is lost.

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
        """Whether anything gets from the one to the other."""
        return pair not in self._cuts

    @property
    def is_cut(self) -> bool:
        """Whether anything is cut."""
        return bool(self._cuts)

    def hold(self, pair: Pair, arrive: Arrive) -> bool:
        """A message meets the cut between a pair; returns whether it will arrive one day."""
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
    """Every pair of one of these and one of those, both ways."""
    pairs = list(product(some, others))
    return pairs + [(to, sender) for sender, to in pairs]
