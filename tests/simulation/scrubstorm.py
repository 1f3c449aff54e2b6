"""Storms in which nodes scrub their disks all the time, while records become unreadable."""

from decreed.registry.replica.step.events import ScrubDue
from decreed.registry.types import NodeId

from .changing_storm import ChangingStorm
from .plan import Plan
from .storm import Storm

OFTEN = 0.2


class ScrubStorm(Storm):
    """A storm with scrubs; no scrub may find a difference or a lost record, since there is none.

    Attributes:
        begun: how many scrubs have begun.
    """

    begun = 0

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.world.scrubs = True

    def _tick(self, tick: int) -> None:
        chance = self.plan.chance("scrubs", tick)
        for node in self.world.up():
            if chance.random() < OFTEN:
                self._begin(node)
        super()._tick(tick)

    def _begin(self, node: NodeId) -> None:
        self.begun += 1
        self.world.post(node, ScrubDue())

    def _is_expected(self, alarm: str) -> bool:
        assert "is gone" not in alarm and "another decree" not in alarm, alarm
        assert "two decrees" not in alarm, alarm
        scrubbed = alarm.startswith("scrub: ") or "behind what cannot be read" in alarm
        return (scrubbed and bool(self.world.corrupted)) or super()._is_expected(alarm)


class ChangingScrubStorm(ScrubStorm, ChangingStorm):
    """The same while the members change: what is withheld is no damage, and comes back too."""
