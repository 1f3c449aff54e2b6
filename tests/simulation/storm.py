"""A whole cluster in a storm of faults, chosen by a seed; every rule is checked at each step.

Messages are lost, late, repeated and reordered. Links break. Nodes die at any point of a step, pause
and come back. Disks fail and stall, records become unreadable, clocks disagree. Clients claim the
same few keys and the same series, read, list and watch. After a while all faults end. Then every
request must have ended, each node must have learned everything, nothing may be left in memory, and
the cluster must still decide. The judge must find that what the clients saw was possible.
"""

import random

from decreed.registry.config import ClusterConfig
from decreed.registry.types import Claim, Key, NodeId
from decreed.registry.wire.requests import Answer, Decreed

from ..history.judge import judge
from ..support.world import config
from .bursts import Bursts
from .clients import Clients
from .corrupt_records import CorruptRecords
from .endings import check_disks, check_the_end, is_quiet, members
from .fault_rates import FaultRates
from .invariants import CheckedWorld
from .plan import Plan
from .wanted import Wish
from .watchers import Watchers

TICK_MS = [0.5, 0.5, 2, 2, 8, 8, 30, 30, 60, 60, 250]
REQUESTS = [0, 0, 1, 1, 1, 1, 2, 4]
HEALING = 80
ROUND_MS = 250

CLUSTERS = (
    (4, (1, 0, 0)),
    (52, (3, 0, 0)),
    (3, (3, 3, 1)),
    (16, (5, 0, 0)),
    (10, (5, 4, 2)),
    (8, (7, 0, 0)),
    (4, (7, 5, 3)),
    (3, (7, 6, 2)),
)
"""How often each cluster is drawn: size, prepare and accept quorum, 0 for a majority."""


class Storm:
    """One run: a cluster, its clients and its faults.

    Args:
        plan: decides everything that is left to chance.
    """

    WATCHED = 3

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.world = self._world(plan)
        self.clients = self._clients(plan.chance("paging"))
        self.bursts = Bursts(self.world, self.clients)
        self.watchers = Watchers(self.world, self.WATCHED)
        self.fault_rates = self._climate()
        self.corrupt_records = CorruptRecords(self.world, plan)
        self._ticks = plan.chance("ticks")
        self.world.replied = self._replied
        self.world.died = self._died

    def _world(self, plan: Plan) -> CheckedWorld:
        return CheckedWorld(self._cluster(plan.chance("cluster")), plan)

    def _cluster(self, chance: random.Random) -> ClusterConfig:
        """A cluster of any size, mostly of three nodes."""
        weights = [weight for weight, _ in CLUSTERS]
        size, prepare, accept = chance.choices([shape for _, shape in CLUSTERS], weights)[0]
        return config(size, prepare, accept)

    def _clients(self, chance: random.Random) -> Clients:
        return Clients(self.world, chance)

    def _climate(self) -> FaultRates:
        return FaultRates(self.world, self.plan)

    def run(self) -> None:
        """Run with faults, then without; then check everything."""
        for tick in range(self.plan.ticks):
            self._tick(tick)
            if tick % 10 == 0:
                check_disks(self.world)
        self._heal()
        check_the_end(self.world, self.watchers.each)
        self._judge()

    def _tick(self, tick: int) -> None:
        length_ms = self._ticks.choice(TICK_MS)
        if tick not in self.plan.calm:
            self.fault_rates.strike(self.plan.chance("misfortune", tick))
            self.corrupt_records.strike(self.plan.chance("scratches", tick))
        if tick not in self.plan.silent:
            chance = self.plan.chance("requests", tick)
            for _ in range(chance.choice(REQUESTS)):
                self.clients.ask(chance, tick)
            self.bursts.ask(self.plan.chance("bursts", tick), tick)
        self._pass(length_ms)

    def _pass(self, ms: float) -> None:
        self.watchers.watch()
        self.world.run(ms)
        self.clients.check_stuck()
        self.fault_rates.rolled_back_disks.check()
        for alarm in self.world.alarms:
            assert self._is_expected(alarm), alarm
        self.world.alarms.clear()

    def _is_expected(self, alarm: str) -> bool:
        damaged = "is damaged" in alarm or alarm.endswith("its record is not sound")
        expected = alarm.startswith("writing failed") or "was refused by" in alarm
        return expected or (damaged and bool(self.world.corrupted))

    def _replied(self, node: NodeId, answer: Answer) -> None:
        if not self.watchers.take((node, answer.id), answer):
            self.clients.take((node, answer.id), answer)

    def _died(self, node: NodeId) -> None:
        self.watchers.lose(node)
        self.clients.lose(node)

    # -- the end

    def _heal(self) -> None:
        """End all faults: the cluster must become quiet, and must still decide."""
        self._crash_everybody(self.plan.chance("healing"))
        self.corrupt_records.clear_up()
        self.fault_rates.clear_up()
        self._pass(ROUND_MS)
        while any(machine.writing is not None for machine in self.world.machines.values()):
            self._pass(ROUND_MS)
        self.fault_rates.restart_failed()
        if self.world.rolled_back_disks:
            for _ in range(12):
                self._pass(ROUND_MS)
        self.fault_rates.clear_rolled_back_disks()
        self._settle_members()
        self._become_quiet()
        for node in members(self.world):
            self._freeze_after(node)
        self._become_quiet()
        assert not self.clients.asked, "everything asked has ended"
        check_disks(self.world)

    def _settle_members(self) -> None:
        """Nothing: the members of this storm stay."""

    def _crash_everybody(self, chance: random.Random) -> None:
        if chance.random() < 0.5:
            for node in self.world.up():
                self.world.crash(node)

    def _become_quiet(self) -> None:
        for _ in range(HEALING):
            self._pass(ROUND_MS)
            quiet = not self.clients.asked and is_quiet(self.world)
            if quiet and self.watchers.caught_up():
                break

    def _freeze_after(self, node: NodeId) -> None:
        """Claim a new key at a node: without faults it must be decided."""
        claim_id = b"after " + node.encode()
        wanted = Claim(Key(f"after/{node}"), b"calm", "text/plain", "tester", claim_id)
        self.world.wishes[claim_id] = Wish(wanted, following=False, tries=1)
        pending = self.clients.recorder.claim("last", wanted)
        answer = self.world.claim(node, wanted)
        assert isinstance(answer, Decreed), f"the cluster does not decide any more: {answer}"
        pending.answered(answer)

    def _judge(self) -> None:
        verdict = judge(self.clients.recorder.history)
        assert verdict.right, str(verdict)
        assert verdict.operations >= len(members(self.world)), "the judge was given something"
        assert verdict.decided >= len(members(self.world))
