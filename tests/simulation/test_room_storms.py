"""Storms in which disks fill and empty: nothing that was chosen changes, and all of it comes back.

The nodes are told how much is free while they crash, lose messages and duel. At the end of a storm all
disks have room, and all claims and reads must be settled as after any other storm.
"""

import pytest

from decreed.registry.errors import NotFormed
from decreed.registry.replica.step.disk_reads import DiskMeasured
from decreed.registry.space import DiskSpace

from .plan import Plan
from .storm import Storm

SEEDS = range(1, 13)
ENOUGH = 1 << 40
FREE_BYTES = (0, 100 << 20, 500 << 20, ENOUGH, ENOUGH)
OFTEN = 0.2


class RoomStorm(Storm):
    """A storm in which disks fill and empty too."""

    met = 0

    def run(self) -> None:
        self.world.may_answer = self.world.may_answer | {NotFormed}  # nobody else has room
        super().run()

    def _tick(self, tick: int) -> None:
        chance = self.plan.chance("room", tick)
        if chance.random() < OFTEN:
            self._measure(chance.choice(FREE_BYTES), some=chance.randint(1, 3))
        super()._tick(tick)

    def _heal(self) -> None:
        self._measure(ENOUGH, some=len(self.world.up()))
        super()._heal()

    def _measure(self, free_bytes: int, some: int) -> None:
        """Tell some of the nodes that are up how much is free."""
        for node in sorted(self.world.up())[:some]:
            self.met += free_bytes < ENOUGH
            self.world.post(node, DiskMeasured(DiskSpace(free_bytes, ENOUGH)))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_storm_in_which_disks_fill_breaks_a_promise(seed: int) -> None:
    storm = RoomStorm(Plan(seed))
    storm.run()
    assert storm.met, "disks fill in it"
