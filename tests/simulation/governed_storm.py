"""A storm in which the nodes obey policies, and administrators change these all the time.

Every request has the identity of somebody; most people may do some things under some of the policies.
Administrators apply random policies on top of the newest one, of an older one or of one that does not
exist, and repeat themselves at other nodes; some of them are none. Nodes are cut off and stopped for
longer than a policy stays confirmed. `policy_check` judges every step, beside all other checks.

When all faults have ended, a policy must be in force within a bound, and what it permits must go on.
"""

import random
from functools import partial
from itertools import count, islice

from msgspec.structs import replace

from decreed.registry.config import ClusterConfig
from decreed.registry.identity import Identity
from decreed.registry.keys import home
from decreed.registry.replica.step.events import FromClient
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import Answer, Decreed, PolicyApplied, PolicyRequest

from ..support.world import config
from .changing_storm import MACHINES, ChangingStorm
from .drawn_policies import ANN, CI, ROOT, drawn_policy, last_policy, wrong_policy
from .endings import members
from .governed_clients import EVERYBODY, Bystanders, GovernedClients, connection_of
from .governed_world import ChangingGovernedWorld, GovernedWorld
from .network import between
from .plan import Plan
from .storm import ROUND_MS, Storm
from .wanted import Mark

SHAPES = (
    *((1, 0, 0), (3, 0, 0), (3, 0, 0), (3, 0, 0), (5, 0, 0)),
    *((3, 3, 1), (3, 1, 3), (5, 4, 2)),
)
"""Nodes, and the sizes of prepare and accept quorums; 0 for majorities."""
OFTEN = 0.25
"""How often a policy is applied, in a tick."""
CUT_OFF = 0.03
"""How often a node is cut off or stopped for longer than policies stay confirmed, in a tick."""
RACES, CLAIMS = 0.02, 12
"""How often a policy is applied behind the back of a node, in a tick, and what is claimed there."""
CURIOUS = (0, 1, 1, 2, 3)
SLACK_MS = 3_000
"""For deciding a policy when nothing is wrong, and for asking who knows it."""


class Administrators:
    """Those who apply policies.

    Args:
        world: the cluster.
    """

    def __init__(self, world: GovernedWorld) -> None:
        self._world = world
        self._asked: set[Mark] = set()
        self._latest: tuple[Identity, PolicyRequest] | None = None

    def act(self, chance: random.Random) -> None:
        """Apply a policy at any node, or repeat the last application at another one."""
        up = self._world.up()
        if not up:
            return
        node = chance.choice(up)
        if self._latest is not None and chance.random() < 0.25:
            who, request = self._latest
            self._send(node, who, replace(request, id=self._world.new_id()))
            return
        who = chance.choice([ROOT, ROOT, ROOT, ANN, CI, chance.choice(EVERYBODY)])
        base = max(0, self._world.policy_check.newest[node] + chance.choice([0] * 6 + [-1, 1]))
        document = wrong_policy(chance) if chance.random() < 0.1 else drawn_policy(chance)
        self.apply(node, who, document, base, chance.choice([200, 2_000, 10_000]))

    def apply(
        self, node: NodeId, who: Identity, document: bytes, base: int, timeout_ms: int = 10_000
    ) -> None:
        """Apply a policy at a node."""
        number = self._world.new_id()
        words = ("an administrator", b"policy %d" % number, "")
        request = PolicyRequest(number, timeout_ms, base, document, *words)
        self._latest = (who, request)
        self._send(node, who, request)

    def _send(self, node: NodeId, who: Identity, request: PolicyRequest) -> None:
        self._asked.add((node, request.id))
        self._world.post(node, FromClient(connection_of(who), (request,), who))

    def take(self, mark: Mark, answer: Answer) -> bool:
        """Take an answer; returns whether it was for an administrator."""
        if mark not in self._asked:
            return False
        self._asked.remove(mark)
        if isinstance(answer, PolicyApplied | Decreed):
            self._world.agree(answer.decree)
        return True

    def lose(self, node: NodeId) -> None:
        """A node has died: its requests get no answer."""
        self._asked = {mark for mark in self._asked if mark[0] != node}


class GovernedStorm(Storm):
    """One run.

    Args:
        plan: decides everything that is left to chance; it is governed.
    """

    world: GovernedWorld

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.administrators = Administrators(self.world)
        self.bystanders = Bystanders(self.world)
        self._healing = False
        self._pace = plan.chance("pace").choice([1, 1, 2])

    def _world(self, plan: Plan) -> GovernedWorld:
        return GovernedWorld(self._cluster(plan.chance("cluster")), plan)

    def _cluster(self, chance: random.Random) -> ClusterConfig:
        return config(*chance.choice(SHAPES))

    def _clients(self, chance: random.Random) -> GovernedClients:
        return GovernedClients(self.world, chance, self.plan.chance("people"))

    def _tick(self, tick: int) -> None:
        if tick not in self.plan.calm:
            chance = self.plan.chance("cut off", tick)
            if chance.random() < CUT_OFF * self._pace:
                self._cut_off(chance)
            if chance.random() < RACES * self._pace:
                self._race(chance, tick)
        if tick not in self.plan.silent:
            chance = self.plan.chance("administrators", tick)
            if chance.random() < OFTEN:
                self.administrators.act(chance)
            for _ in range(chance.choice(CURIOUS)):
                self.bystanders.ask(chance)
        super()._tick(tick)

    def _cut_off(self, chance: random.Random) -> None:
        """Cut a node off, or stop it, until its policy is confirmed no longer."""
        world, up = self.world, self.world.up()
        if not up:
            return
        node, ms = chance.choice(up), world.max_age_ms * chance.uniform(0.5, 3)
        if chance.random() < 0.3 and not world.machines[node].paused:
            world.seen["a node was stopped for long"] += 1
            world.pause(node, ms)
        else:
            self._leave_alone(node, ms, holds=chance.random() < 0.3)

    def _leave_alone(self, node: NodeId, ms: float, *, holds: bool) -> None:
        world = self.world
        world.seen["a node was cut off for long"] += 1
        pairs = between([node], [other for other in world.machines if other != node])
        world.network.cut(pairs, holds)
        world.at(world.now_ms + ms, lambda: world.mend(pairs))

    def _race(self, chance: random.Random, tick: int) -> None:
        """Apply a policy behind the back of a node that may still begin claims, and goes on to."""
        world, voters = self.world, self.world.epoch_check.last.nodes
        up = [node for node in world.up() if node in voters]
        if len(up) < 2:
            return
        node, other = chance.sample(up, 2)
        world.seen["a policy was applied behind the back of a node"] += 1
        self._leave_alone(node, 2 * world.max_age_ms, holds=False)
        self.administrators.apply(
            other, ROOT, drawn_policy(chance), world.policy_check.newest[other]
        )
        keys = (Key(f"race/{tick}/{n}") for n in count())
        for key in islice((key for key in keys if home(key, voters) == node), CLAIMS):
            at_ms = world.now_ms + chance.uniform(0, 1.2) * world.max_age_ms
            world.at(at_ms, partial(self._claim_at, node, key))

    def _claim_at(self, node: NodeId, key: Key) -> None:
        if node in self.world.up() and not self._healing:
            self.clients.claim(node, self.world.new_id(), 200, True, self.clients.wish(key))

    def _pass(self, ms: float) -> None:
        super()._pass(ms * self._pace)

    def _replied(self, node: NodeId, answer: Answer) -> None:
        mark = (node, answer.id)
        if not (self.administrators.take(mark, answer) or self.bystanders.take(mark, answer)):
            super()._replied(node, answer)

    def _died(self, node: NodeId) -> None:
        self.administrators.lose(node)
        self.bystanders.lose(node)
        super()._died(node)

    # -- the end

    def _heal(self) -> None:
        self._healing = True
        super()._heal()

    def _settle_members(self) -> None:
        """Settle the members, then have a last policy in force within a bound."""
        super()._settle_members()
        until_ms = self.world.now_ms + 3 * self.world.max_age_ms + SLACK_MS
        while not (self._is_applied() and self._are_confirmed()):
            assert self.world.now_ms < until_ms, "no policy comes in force"
            self._pass(ROUND_MS)
        self.world.seen["policies"] += self.world.policy_check.in_force

    def _are_confirmed(self) -> bool:
        """Whether every voter counts its policy as confirmed, so that claims begin everywhere."""
        world = self.world
        parts = {node: world.replica(node).parts for node in members(world)}
        return all(
            each.confirming.is_confirmed(world.moment_of(node).now_ms)
            for node, each in parts.items()
        )

    def _is_applied(self) -> bool:
        """Apply the last policy at a voter; returns whether it is in force."""
        world = self.world
        node = next(node for node in members(world) if node in world.up())
        number, base = world.new_id(), world.policy_check.newest[node]
        claim_id = b"last %d" % number
        timeout_ms = int(3 * world.max_age_ms)
        request = PolicyRequest(number, timeout_ms, base, last_policy(), "root", claim_id, "")
        answer = world.ask(node, request)
        return isinstance(answer, PolicyApplied) and answer.in_force


class ChangingGovernedStorm(GovernedStorm, ChangingStorm):
    """The same while the members change: policies go on from epoch to epoch."""

    world: ChangingGovernedWorld

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.world.disk_died = self._disk_died

    def _world(self, plan: Plan) -> ChangingGovernedWorld:
        cluster = self._cluster(plan.chance("cluster"))
        joiners = [NodeId(f"n{number}") for number in range(len(cluster.nodes) + 1, MACHINES + 1)]
        return ChangingGovernedWorld(cluster, plan, joiners)

    def _cluster(self, chance: random.Random) -> ClusterConfig:
        return ChangingStorm._cluster(self, chance)

    def _disk_died(self, node: NodeId) -> None:
        self.watchers.begin_again(node)
        self.bystanders.disk_died(node)


def governed_storm_of(plan: Plan) -> GovernedStorm:
    """The storm of a plan in which nodes obey policies: members change in it if the plan has a mood."""
    return ChangingGovernedStorm(plan) if plan.mood else GovernedStorm(plan)
