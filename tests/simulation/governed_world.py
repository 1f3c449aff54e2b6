"""A checked cluster that obeys policies, with each step judged by them (`policy_check`).

Clocks run at rates within the bound that policies and locks rely on, and policies stay confirmed for
a short time, so that storms see many confirmations end.
"""

import random

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import Recovered
from decreed.registry.errors import BadRequest, DecreedError, Denied, LockHeld
from decreed.registry.keys import series_and_slot
from decreed.registry.locks.holding import MAX_CLOCK_DRIFT
from decreed.registry.policy.series import policy_key
from decreed.registry.replica.replica import Replica
from decreed.registry.replica.step.effects import Effects
from decreed.registry.replica.step.events import Event, FromClient, FromPeer, Misnamed
from decreed.registry.types import Decree, Key, NodeId
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.policy import AskPolicy, PolicyTold
from decreed.registry.wire.requests import Cancel, ClientPing

from .changing_world import ChangingWorld
from .clocks import Clock
from .drawn_policies import ROOT
from .lease_spans import LockWorld
from .plan import Plan
from .policy_check import POLICY, PolicyCheck, Step

MAX_AGE_MS = (300.0, 1_000.0, 3_000.0)
MAY_ANSWER: set[type[DecreedError]] = {Denied, LockHeld, BadRequest}


class GovernedWorld(LockWorld):
    """A rough cluster that obeys policies.

    Args:
        cluster: its configuration.
        plan: decides everything that is left to chance.

    Attributes:
        max_age_ms: for how long a policy stays confirmed.
        policy_check: judges each step.
    """

    enforces = True
    speaker = ROOT

    def __init__(self, cluster: ClusterConfig, plan: Plan) -> None:
        self.max_age_ms = plan.chance("policies").choice(MAX_AGE_MS)
        self._policy_check: PolicyCheck | None = None
        super().__init__(cluster, plan)
        self.may_answer = MAY_ANSWER

    @property
    def policy_check(self) -> PolicyCheck:
        """The judge of policies."""
        if self._policy_check is None:
            self._policy_check = PolicyCheck(self.max_age_ms, self.seen)
        return self._policy_check

    def clock(self, chance: random.Random) -> Clock:
        """Clocks within the bound; some wall clocks are as wrong as in other storms."""
        clock = Clock.drawn(chance)
        drift = chance.choice([-1, 1, chance.uniform(-1, 1)])
        off_ms = clock.wall_off_ms if chance.random() < 0.3 else chance.randint(-500, 500)
        return Clock(1 + drift * MAX_CLOCK_DRIFT, off_ms)

    def _replica(self, node: NodeId, cluster: ClusterConfig, found: Recovered) -> Replica:
        replica = super()._replica(node, cluster, found)
        replica.parts.confirming.max_age_ms = self.max_age_ms
        self.policy_check.began(node, self._newest_on_disk(node))
        return replica

    def _newest_on_disk(self, node: NodeId) -> int:
        slots = [series_and_slot(key)[1] or 0 for key in self.chosen if key.startswith(POLICY)]
        held = (n for n in sorted(slots, reverse=True) if self.held(node, policy_key(n)).learned)
        return next(held, 0)

    # -- what is seen

    def post(self, node: NodeId, event: Event) -> None:
        """Give an event to a node, if it is up."""
        if self.machines[node].replica is not None:
            match event:
                case FromClient(_, requests, identity):
                    for request in requests:
                        if not isinstance(request, Misnamed | Cancel | ClientPing):
                            self.policy_check.comes(node, identity.recorded, request)
                case FromPeer(sender, PolicyTold() as answer):
                    self.policy_check.confirmations.told(node, sender, answer)
                case _:
                    pass
        super().post(node, event)

    def _carry_out(self, node: NodeId, effects: Effects) -> None:
        if node not in self.rolled_back_disks:
            numbers = self.policy_check.learns(node, effects)
            known = self.replica(node).node.epoch
            before = self.epoch_check.known_before(node)
            epochs = {epoch.number: epoch for epoch in (*before, known)}
            wall_ms = self.moment_of(node).wall_ms
            step = Step(node, numbers, tuple(epochs.values()), self.now_ms, wall_ms)
            self.policy_check.check(step, effects)
        super()._carry_out(node, effects)

    def _transmit(self, node: NodeId, to: NodeId, message: PeerMessage) -> None:
        if isinstance(message, AskPolicy):
            self.policy_check.confirmations.asks(node, message, self.now_ms)
        super()._transmit(node, to, message)

    def _proposed(self, key: Key, decree: Decree) -> None:
        assert self.policy_check.is_known(decree), f"{key} was proposed, and never judged"
        if key.startswith(POLICY):
            self.policy_check.check_policy(decree)
        else:
            super()._proposed(key, decree)


class ChangingGovernedWorld(ChangingWorld, GovernedWorld):
    """The same, whose members change."""

    def __init__(self, cluster: ClusterConfig, plan: Plan, joiners: list[NodeId]) -> None:
        super().__init__(cluster, plan, joiners)
        self.may_answer = self.may_answer | MAY_ANSWER

    def _replica(self, node: NodeId, cluster: ClusterConfig, found: Recovered) -> Replica:
        if node not in self.disks:
            self.policy_check.joins(node)
        return super()._replica(node, cluster, found)
