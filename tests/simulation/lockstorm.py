"""Contenders compete for locks while the cluster has faults; no two validities may ever overlap.

The clocks of nodes and contenders run at rates up to the bound, and all faults of a storm happen here
too. When all faults have ended, a client that asks must get each lock within a bound, and nothing may
be left in memory once the leases have run out.
"""

import random
from collections.abc import Collection

from decreed.registry.config import ClusterConfig
from decreed.registry.locks.holding import MAX_CLOCK_DRIFT
from decreed.registry.locks.terms import Ending, How, is_term, lease_id
from decreed.registry.replica.step.events import FromClient
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import (
    Answer,
    Granted,
    HeldBy,
    HolderRequest,
    LockRequest,
)

from ..support.proven import to_end, wish
from ..support.world import config
from .contenders import Contender, Mood, Stage
from .endings import gone, members
from .fault_rates import FaultsOfSoundDisks
from .lease_spans import LockWorld, Spans
from .plan import Plan

SHAPES = (
    *((1, 0, 0), (3, 0, 0), (3, 0, 0), (5, 0, 0)),
    *((3, 3, 1), (3, 1, 3), (5, 4, 2), (5, 2, 4)),
)
"""Nodes, and the sizes of prepare and accept quorums: in every other storm they differ."""
LOCKS = ("a", "b/c")
TICK_MS = (2, 8, 30, 60, 250, 700)
LONGEST_TTL_MS = 20_000
LAST_TTL_MS = 200
SLACK_MS = 500
"""For asking, proposing, and timers that run a little late."""
ROUND_MS = 250
OPERATOR = 1


class LockStorm:
    """One run: a cluster, two locks, and many contenders.

    Args:
        plan: decides everything that is left to chance.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.world = self._world(plan)
        chance = plan.chance("mood")
        self.mood = chance.choice([Mood.MIXED, Mood.MIXED, Mood.SLUGGISH, Mood.DRIFTING])
        for clock in self.world.clocks.values():
            drift = chance.choice([-1, 1, chance.uniform(-1, 1)])
            drift = 1 if self.mood is Mood.DRIFTING else drift
            clock.rate = 1 + drift * MAX_CLOCK_DRIFT
        often = 0.1 if self.mood is not Mood.MIXED else None
        self.fault_rates = FaultsOfSoundDisks(self.world, plan, often)
        if self.mood is Mood.SLUGGISH:
            self.world.network.slow_ms = chance.choice([40.0, 100.0])
        self.spans = Spans()
        self.contenders: list[Contender] = []
        self._ticks = plan.chance("ticks")
        self._pace = 10 if self.mood is Mood.DRIFTING else 1
        self.world.replied = self._replied

    def _world(self, plan: Plan) -> LockWorld:
        return LockWorld(self._cluster(plan.chance("cluster")), plan)

    def _cluster(self, chance: random.Random) -> ClusterConfig:
        return config(*chance.choice(SHAPES))

    def run(self) -> None:
        """Run with faults, then without."""
        for tick in range(self.plan.ticks):
            if tick not in self.plan.calm:
                self._change_members(tick)
                self.fault_rates.strike(self.plan.chance("misfortune", tick))
            if tick not in self.plan.silent:
                self._stir(self.plan.chance("requests", tick))
            self._pass(self._ticks.choice(TICK_MS) * self._pace)
        self._heal()
        self._check_everybody_gets_the_locks()
        self._check_nothing_is_left()

    def _change_members(self, tick: int) -> None:
        """Nothing: the members of this storm stay."""

    # -- contenders

    def _stir(self, chance: random.Random) -> None:
        for _ in range(chance.choice([0, 0, 0, 1, 2])):
            self._add_contender(chance)
        alive = [one for one in self.contenders if one.stage is not Stage.OVER]
        if alive:
            self._trouble(chance, alive)
        if chance.random() < 0.05:
            self._break(chance)

    def _trouble(self, chance: random.Random, alive: list[Contender]) -> None:
        """Trouble a contender; holders more often than those that wait."""
        holders = [one for one in alive if one.stage is not Stage.ASKING]
        victim = chance.choice(holders if holders and chance.random() < 0.7 else alive)
        longest_ms = chance.choice([100, 1_000, 6_000, 30_000]) * self._pace
        match chance.randrange(14):
            case 0 | 1:
                victim.pause(chance.random() * longest_ms)
            case 2 | 3:
                victim.cut_off(chance.random() * longest_ms)
            case 4 if chance.random() < 0.5:
                victim.die(noticed=chance.random() < 0.7)
            case 5 | 6:
                chance.choice(alive).give_up()
            case 7:
                victim.reconnect()
            case _:
                pass

    def _add_contender(self, chance: random.Random) -> None:
        number = len(self.contenders) + 1
        contender = Contender(
            self.world,
            self.spans,
            number,
            chance.choice(LOCKS),
            self.mood,
            self.plan.chance("contender", number),
        )
        self.contenders.append(contender)
        contender.begin()

    def _break(self, chance: random.Random) -> None:
        """An operator breaks the latest term."""
        latest = [decree for key, decree in self.world.chosen.items() if is_term(key)]
        up = self.world.up()
        if latest and up:
            over = lease_id(latest[-1])
            self.world.ended.add((over, How.BROKEN))
            self.world.seen["an operator broke a term"] += 1
            request = to_end(self.world.new_id(), 500, over, Ending(How.BROKEN, "op", "why"))
            self.world.post(chance.choice(up), FromClient(OPERATOR, (request,)))

    def _replied(self, node: NodeId, answer: Answer) -> None:
        for contender in self.contenders:
            if answer.id in contender._sent:
                contender.take(answer)

    def _pass(self, ms: float) -> None:
        self.world.run(ms)
        self.fault_rates.rolled_back_disks.check()
        for alarm in self.world.alarms:
            expected = alarm.startswith("writing failed") or "was refused by" in alarm
            assert expected, alarm
        self.world.alarms.clear()

    # -- the end

    def _heal(self) -> None:
        for contender in self.contenders:
            contender.die(noticed=True)  # an old request of it may still be on its way
        self.fault_rates.clear_up()
        self._pass(ROUND_MS)
        while any(machine.writing is not None for machine in self.world.machines.values()):
            self._pass(ROUND_MS)
        self.fault_rates.restart_failed()
        self._settle_members()
        for _ in range(8):
            self._pass(ROUND_MS)

    def _settle_members(self) -> None:
        """Nothing: see `_change_members`."""

    def _check_everybody_gets_the_locks(self) -> None:
        """A client gets the lock within a bound after its expiry; then all nodes name it as holder."""
        for lock in LOCKS:
            # the lease of the last holder, and of a dead contender whose grant was under way
            within_ms = 2 * LONGEST_TTL_MS * (1 + 2 * MAX_CLOCK_DRIFT) + SLACK_MS
            for node in members(self.world):
                claim_id = f"last {lock} {node}".encode()
                claim = wish("last", claim_id, LAST_TTL_MS)
                self.world.wanted[claim_id] = (lock, claim)
                request = LockRequest(self.world.new_id(), 60_000, lock, True, claim)
                granted = self.world.ask(node, request, within_ms=within_ms)
                within_ms = LAST_TTL_MS * (1 + 2 * MAX_CLOCK_DRIFT) + SLACK_MS
                assert isinstance(granted, Granted), granted
                for other in members(self.world):
                    asked = HolderRequest(self.world.new_id(), 2_000, lock)
                    held = self.world.ask(other, asked)
                    assert isinstance(held, HeldBy) and held.decree == granted.decree, held

    def _check_nothing_is_left(self) -> None:
        self.world.run(3 * LONGEST_TTL_MS)
        for node in members(self.world):
            replica = self.world.replica(node)
            leases = replica.parts.leases
            left: dict[str, Collection[object] | int] = {
                **replica.pending_work(),
                "remembered give-ups": len(leases.given_up),
                "leases": leases.running,
            }
            expected = {"deadlines"}  # those of requests that were answered before them
            out = gone(self.world)
            pulling = replica.pending_work().get("pulling", ())
            left["pulling"] = [peer for peer in pulling if peer not in out]
            left = {name: held for name, held in left.items() if held and name not in expected}
            assert not left, f"left at {node}: {left}"
