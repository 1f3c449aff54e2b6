"""The clocks of a node, which agree neither with each other nor with the time of the world.

The monotonic clock starts at zero in each incarnation and runs at the node's own rate. The wall clock
is wrong by any amount, and jumps; nothing may depend on it.
"""

import random
from dataclasses import dataclass

from decreed.registry.replica.step.events import Moment

from ..support.world import EPOCH_MS

DAY_MS = 86_400_000


@dataclass(slots=True)
class Clock:
    """One node's clocks.

    Attributes:
        rate: how fast the monotonic clock runs; 1 is right.
        wall_off_ms: by how much the wall clock is wrong.
        started_ms: when this incarnation of the node began, in the time of the world.
    """

    rate: float = 1.0
    wall_off_ms: int = 0
    started_ms: float = 0.0

    @classmethod
    def drawn(cls, chance: random.Random) -> "Clock":
        """Random clocks: most are a little wrong, a few are very wrong."""
        rate = chance.uniform(0.9, 1.1)
        if chance.random() < 0.1:
            rate = chance.choice([0.3, 0.5, 2.0, 4.0])
        return cls(rate, chance.randint(-DAY_MS, DAY_MS))

    def now_ms(self, world_ms: float) -> float:
        """What the monotonic clock shows at a time of the world."""
        return (world_ms - self.started_ms) * self.rate

    def moment(self, world_ms: float) -> Moment:
        """What both clocks show at a time of the world."""
        return Moment(self.now_ms(world_ms), EPOCH_MS + int(world_ms) + self.wall_off_ms)

    def passes_in(self, ms: float) -> float:
        """How much time passes in the world while `ms` pass on the monotonic clock."""
        return ms / self.rate

    def jump(self, chance: random.Random) -> None:
        """Set the wall clock to another time."""
        self.wall_off_ms += chance.randint(-DAY_MS, DAY_MS)
