"""Contenders that give up at every point, while their links flap and their messages are late.

The nodes stay up. The lock is free as soon as all contenders that gave up were answered that a quorum
has taken it, and all that held and released were answered too. A client that asks then gets the lock
within a bound, on the world's own time, which is far shorter than a lease.
"""

import random

from decreed.registry.locks.terms import lease_id
from decreed.registry.replica.step.events import FromClient
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import Answer, Granted, LockRequest

from ..support.proven import to_end, wish
from ..support.world import config
from .contenders import RELEASED, Contender, Mood, Stage
from .lease_spans import LockWorld, Spans
from .plan import Plan

BOUND_MS = 250.0
"""As the design promises. A lease of the contenders below lasts at least twenty times as long."""
TTL_MS = 5_000
POINTS_MS = 60
"""An acquire without trouble ends in this time, so give-ups come at each moment of it."""
LOCK = "a"
LAST = 7


class GiveUpStorm:
    """One run: a cluster without faults of nodes, and contenders that give up.

    Args:
        plan: decides everything that is left to chance.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.world = LockWorld(config(*plan.chance("cluster").choice(((3, 0, 0), (5, 0, 0)))), plan)
        self.world.late_reads = 0.0
        self.spans = Spans()
        self.contenders: list[Contender] = []
        self.world.replied = self._replied

    def run(self) -> None:
        """Run some rounds, all for the same lock."""
        for number in range(self.plan.chance("rounds").choice([2, 4, 8])):
            chance = self.plan.chance("round", number)
            crowd = [self._add(chance) for _ in range(chance.choice([1, 1, 2, 5]))]
            for _ in range(40):
                self._stir(chance, crowd)
                self.world.run(chance.choice([1, 5, 20, 100]))
            self._end(crowd)
            self._somebody_else_gets_it(chance.choice(self.world.config.nodes), number)

    def _add(self, chance: random.Random) -> Contender:
        """Add a contender that asks now, and gives up at some moment after that."""
        number = len(self.contenders) + 1
        own = self.plan.chance("contender", number)
        one = Contender(self.world, self.spans, number, LOCK, Mood.PATIENT, own)
        self.contenders.append(one)
        one.begin()
        at_ms = self.world.now_ms + chance.random() * chance.choice([3, 20, POINTS_MS, 400])
        self.world.at(at_ms, one.give_up)
        return one

    def _stir(self, chance: random.Random, crowd: list[Contender]) -> None:
        one = chance.choice(crowd)
        match chance.randrange(8):
            case 0:
                one.cut_off(chance.random() * 60)
            case 1:
                one.reconnect()
            case _:
                pass

    def _end(self, crowd: list[Contender]) -> None:
        """Wait until all have given up and were answered, or have held and released."""
        for one in crowd:
            one.give_up()
        for _ in range(200):
            if all(one.stage is Stage.OVER for one in crowd):
                self._confirm_releases(crowd)
                return
            self.world.run(20)
        raise AssertionError("no quorum takes the give-ups")

    def _confirm_releases(self, crowd: list[Contender]) -> None:
        """Release again: a client repeats that until it is answered, a contender does it once."""
        for one in crowd:
            if one.holding is not None and (one.holding.lease_id, RELEASED.how) in self.world.ended:
                said = to_end(self.world.new_id(), 500, one.holding.lease_id, RELEASED)
                self.world.ask(self.world.config.nodes[0], said)

    def _somebody_else_gets_it(self, node: NodeId, number: int) -> None:
        claim = wish("last", b"last %d" % number, TTL_MS)
        self.world.wanted[claim.claim_id] = (LOCK, claim)
        request = LockRequest(self.world.new_id(), 10_000, LOCK, True, claim)
        began_ms = self.world.now_ms
        granted = self.world.ask(node, request, within_ms=20_000)
        assert isinstance(granted, Granted), granted
        waited_ms = self.world.now_ms - began_ms
        assert waited_ms <= BOUND_MS, f"round {number}: another waited for {waited_ms:.0f} ms"
        held = lease_id(granted.decree)
        self.world.ended.add((held, RELEASED.how))
        release = to_end(self.world.new_id(), 500, held, RELEASED)
        self.world.post(node, FromClient(LAST, (release,)))
        self.world.run(20)

    def _replied(self, node: NodeId, answer: Answer) -> None:
        for contender in self.contenders:
            if answer.id in contender._sent:
                contender.take(answer)
