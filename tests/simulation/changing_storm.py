"""A storm in which the members change as well, in one of the moods of `moods.py`.

At the end all voters of the last epoch are ready and know everything, every claim that was acknowledged
is read back, and what is said in an epoch was said by its voters before their seal (`EpochCheck`). The
judge has one history over all epochs.
"""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

from decreed.registry.config import ClusterConfig
from decreed.registry.policy.series import number_of
from decreed.registry.replica.feed import catchup, learner
from decreed.registry.replica.members import taking_over
from decreed.registry.types import NodeId
from decreed.registry.wire.peers import MAX_STATE
from decreed.registry.wire.requests import Answer, Decreed, GetRequest

from ..support.world import config
from .changing_world import ChangingWorld
from .endings import members, sound
from .fault_rates import FaultRates, FaultsOfSoundDisks
from .moods import Operators
from .plan import Plan
from .seeded_joiners import SeededJoiners
from .storm import ROUND_MS, Storm

SIZES = (1, 3, 3, 3, 5)
MACHINES = 6
SMALL_PAGES = (2, 4)
SMALL_MEMORY = 3
SEEDED = ("lagging joiner", "dead disk")
"""The moods in which joiners learn from a snapshot, in half of the runs."""


class ChangingStorm(Storm):
    """One run.

    Args:
        plan: decides everything that is left to chance; it has a mood.
    """

    world: ChangingWorld

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.operators = Operators(self.world, plan, self.fault_rates)
        self.seeded = SeededJoiners(self.world, plan) if are_seeded(plan) else None
        self.world.disk_died = self.watchers.begin_again

    def _world(self, plan: Plan) -> ChangingWorld:
        cluster = self._cluster(plan.chance("cluster"))
        joiners = [NodeId(f"n{number}") for number in range(len(cluster.nodes) + 1, MACHINES + 1)]
        return ChangingWorld(cluster, plan, joiners)

    def _cluster(self, chance: random.Random) -> ClusterConfig:
        if self.plan.mood == "flexible":
            return config(*chance.choice(((3, 3, 1), (3, 1, 3), (5, 4, 2), (5, 2, 4))))
        return config(chance.choice(SIZES))

    def _climate(self) -> FaultRates:
        often = self.plan.chance("climate of changes").choice([0.05, 0.1, 0.2, 0.4])
        return FaultsOfSoundDisks(self.world, self.plan, often)

    def run(self) -> None:
        """Run with faults, then without; then check everything."""
        with small_pages(self.plan):
            super().run()

    def _tick(self, tick: int) -> None:
        if tick not in self.plan.calm:
            self.operators.act(self.plan.chance("operators", tick), tick)
        if self.seeded is not None:
            self.seeded.act(tick)
        super()._tick(tick)

    def _replied(self, node: NodeId, answer: Answer) -> None:
        if self.seeded is not None and self.seeded.take(node, answer):
            return
        if not self.operators.take(node, answer):
            super()._replied(node, answer)

    def _died(self, node: NodeId) -> None:
        self.operators.lose(node)
        super()._died(node)

    def _is_expected(self, alarm: str) -> bool:
        if "was refused by" in alarm:  # every directory is its machine's own latest one
            return False
        withheld = "nobody could show" in alarm and bool(self.world.corrupted)
        return withheld or super()._is_expected(alarm)

    # -- the end

    def _settle_members(self) -> None:
        """Wait until all voters of the last epoch are ready, and nothing about members is half done."""
        if self.seeded is not None:
            self.seeded.finish()
        self.operators.settle(partial(self._pass, ROUND_MS))
        self._check_readers()

    def _check_readers(self) -> None:
        """Nobody knows an epoch that was never chosen."""
        number = self.world.epoch_check.last.number
        for node in sound(self.world):
            assert self.world.replica(node).node.seat.known <= number

    def _judge(self) -> None:
        self._read_back()
        super()._judge()

    def _read_back(self) -> None:
        """Every decree that a client was told is read at every voter."""
        for node in members(self.world):
            for key, decree in list(
                self.world.chosen.items()
            ):  # what is half done may end meanwhile
                if key not in self.world.deaf(node) and number_of(key) is None:
                    answer = self.world.ask(node, GetRequest(self.world.new_id(), 2_000, key))
                    assert isinstance(answer, Decreed) and answer.decree == decree, answer


@contextmanager
def small_pages(plan: Plan) -> Iterator[None]:
    """Let feeds and pages of state be many pages each, in some of the runs."""
    size = plan.chance("pages").choice([*SMALL_PAGES, 4_096])
    if plan.mood == "lagging joiner":
        size = min(SMALL_PAGES)
    kept = SMALL_MEMORY if are_seeded(plan) else learner.CAPACITY
    with ExitStack() as patched:
        patched.enter_context(patch.object(catchup, "MAX_FEED_PAGE", size))
        patched.enter_context(patch.object(catchup, "VOTER_PAGE", min(size, catchup.VOTER_PAGE)))
        patched.enter_context(patch.object(taking_over, "MAX_STATE", min(size, MAX_STATE)))
        patched.enter_context(patch.object(learner, "CAPACITY", kept))
        patched.enter_context(patch.object(learner, "_DROPPED", min(kept, learner._DROPPED)))
        yield


def are_seeded(plan: Plan) -> bool:
    """Whether late joiners learn from a snapshot; feeds are told from disks then."""
    return plan.mood in SEEDED and plan.chance("seeded").random() < 0.5
