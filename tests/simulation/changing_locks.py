"""Storms over locks in which the members change while terms run, in one of the moods of `moods.py`.

Each lock keeps few terms, so terms are forgotten across changes. Releases are told to any node, also to
one that leaves. Whatever happens, validities do not overlap and tokens only grow (`lease_spans`).
"""

import random
from functools import partial

from msgspec.structs import replace

from decreed.registry.config import ClusterConfig, LockTerms
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import Answer

from ..support.world import config
from .changing_storm import small_pages
from .changing_world import ChangingWorld
from .lease_spans import LockWorld
from .lockstorm import ROUND_MS, LockStorm
from .moods import Operators
from .plan import Plan

SHAPES = ((1, 0, 0), (3, 0, 0), (3, 0, 0), (5, 0, 0), (3, 1, 3), (3, 3, 1))
MACHINES = 6
KEPT_TERMS = 8


class ChangingLockWorld(ChangingWorld, LockWorld):
    """A cluster whose members change, and in which terms are checked against the rules of locks."""


class ChangingLockStorm(LockStorm):
    """One run.

    Args:
        plan: decides everything that is left to chance; it has a mood.
    """

    world: ChangingLockWorld

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.operators = Operators(self.world, plan, self.fault_rates)
        self.world.died = self.operators.lose

    def _world(self, plan: Plan) -> ChangingLockWorld:
        cluster = self._cluster(plan.chance("cluster"))
        joiners = [NodeId(f"n{number}") for number in range(len(cluster.nodes) + 1, MACHINES + 1)]
        return ChangingLockWorld(cluster, plan, joiners)

    def _cluster(self, chance: random.Random) -> ClusterConfig:
        return replace(config(*chance.choice(SHAPES)), locks=LockTerms(KEPT_TERMS))

    def run(self) -> None:
        """Run with faults, then without."""
        with small_pages(self.plan):
            super().run()
        self.world.seen["the members changed"] += self.world.epoch_check.last.number

    def _change_members(self, tick: int) -> None:
        self.operators.act(self.plan.chance("operators", tick), tick)

    def _settle_members(self) -> None:
        self.operators.settle(partial(self._pass, ROUND_MS))

    def _replied(self, node: NodeId, answer: Answer) -> None:
        if not self.operators.take(node, answer):
            super()._replied(node, answer)


def lock_storm_of(plan: Plan) -> LockStorm:
    """The storm of a plan: members change in it if the plan has a mood."""
    return ChangingLockStorm(plan) if plan.mood else LockStorm(plan)
