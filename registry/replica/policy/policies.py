"""Which policy this node obeys.

Invariants kept here:

* S11: the newest policy that the node has learned counts, from the step in which it is learned (S18).
  If that one cannot be read, the node obeys the last one that it could read, and says so;
* S18: a token is good until it expires, by the wall clock of this node. `passes` notes when another set
  of tokens is good than before, whichever way the clock went;
* a number is told to others once the decree is durable here: so a voter that was counted by a rollout
  knows the policy after a crash too (S16).
"""

import math
from collections.abc import Callable, Sequence

from ...errors import ProtocolError
from ...identity import Identity
from ...policy.document import Policy, Right
from ...policy.rights import ALL_OF_IT, OPEN, Denial, Readable, Rights, Verdict, denial
from ...policy.series import number_of, policy_key, policy_number, policy_of
from ...types import Decree, Key
from ..step.effects import PolicyObeyed
from ..step.node import Node
from ..step.step_builder import StepBuilder


class Policies:
    """The policies that this node has learned.

    Args:
        node: who we are.
        found: the newest learned policies on disk, newest first, down to one that can be read.
        enforces: whether the node does what they say; without it, everything is open.

    Attributes:
        known: the number of the newest one that is learned; 0: none.
        obeyed: the number of the one that is obeyed; 0: none, and everything is open (S13).
        policy, rights: what that one says; None while there is none.
        changed: another one is obeyed, or other tokens are good, and what waits has not been judged by
            that (S18).
    """

    def __init__(self, node: Node, found: Sequence[Decree], *, enforces: bool) -> None:
        self._node, self._enforces = node, enforces
        self.known = self.obeyed = 0
        self._next = policy_key(1)
        self.policy: Policy | None = None
        self.rights: Rights | None = None
        self._durable, self._end = 0, 0
        self.changed = False
        self._unreadable = ""
        self._same_from_ms, self._same_until_ms = -math.inf, math.inf
        self._holds: Callable[[Key], bool] = lambda _: False
        for decree in reversed(found):
            self._take(decree)
        self._durable = self.known

    def tell(self, holds_unlearned: Callable[[Key], bool]) -> None:
        """Register who knows what is accepted here and not learned."""
        self._holds = holds_unlearned

    def start(self, step: StepBuilder) -> None:
        """Say again what is wrong with the newest policy."""
        self._alarm(step)

    @property
    def enforced(self) -> Policy | None:
        """What the server of this node must keep to; None if there is nothing."""
        return self.policy if self._enforces else None

    @property
    def fault(self) -> str:
        """Why the newest policy is not obeyed; empty if it is."""
        return self._unreadable

    @property
    def durable(self) -> int:
        """The number of the newest policy that a crash does not take from this node."""
        return self.known if self._node.settled_feed_end >= self._end else self._durable

    @property
    def may_have_newer(self) -> bool:
        """Whether a newer policy is accepted here, of which it is not known whether it is chosen.

        A voter of a later epoch may have it from those before it, and no other voter may know it. While
        it is in doubt here, this node neither confirms a policy nor has its own confirmed. It is enough
        to look for the next one: what follows it was proposed by a node that had learned it.
        """
        return self._holds(self._next)

    def may(self, identity: Identity, right: Right, name: str, now_ms: int) -> Verdict:
        """Whether the policy that is obeyed here allows something; see `Rights.may`.

        Without a policy everything is open, except to speak for another one: nobody grants that.
        """
        if self.rights is not None:
            return self.rights.may(identity, right, name, now_ms)
        return OPEN if identity.through is None else denial(Right.ACT_FOR, name)

    def readable(self, identity: Identity, prefix: str, now_ms: int) -> Readable | Denial:
        """What the policy that is obeyed here shows below a prefix; see `Rights.readable`."""
        if self.rights is None:
            return ALL_OF_IT if identity.through is None else Denial(Right.ACT_FOR, prefix)
        return self.rights.readable(identity, prefix, now_ms)

    def passes(self, wall_ms: int) -> None:
        """Note what the wall clock shows now."""
        if self.policy is None or self._same_from_ms <= wall_ms < self._same_until_ms:
            return
        ends = [token.expires_ms for token in self.policy.tokens.values()]
        self._same_from_ms = max((ms for ms in ends if ms <= wall_ms), default=-math.inf)
        self._same_until_ms = min((ms for ms in ends if ms > wall_ms), default=math.inf)
        self.changed = True

    def on_learned(self, step: StepBuilder, decree: Decree) -> None:
        """Obey a policy, if it is newer, from this step on."""
        number = number_of(decree.key)
        if number is None or number < self.known or number == self.obeyed:
            return
        self._durable, self._end = self.durable, self._node.feed_end
        self._take(decree)
        step.settle()  # S16: others wait to hear that it is durable
        self._alarm(step)
        if self.obeyed == number:
            step.notice(f"policy {number} of {decree.claimant!r} is obeyed from now on")
            self.changed = True
            if self.enforced is not None:
                step.at_once(PolicyObeyed(number, self.enforced))

    def _take(self, decree: Decree) -> None:
        number = policy_number(decree)
        self.known = max(self.known, number)
        self._next = policy_key(self.known + 1)
        try:
            self.policy = policy_of(decree)
        except ProtocolError as error:
            self._unreadable = str(error)
        else:
            self.obeyed, self.rights, self._unreadable = number, Rights(self.policy), ""
            self._same_from_ms, self._same_until_ms = math.inf, -math.inf  # not looked at yet

    def _alarm(self, step: StepBuilder) -> None:
        if self._unreadable:
            obeys = f"policy {self.obeyed}" if self.obeyed else "no policy: everything is open"
            step.alarm(
                f"the newest policy cannot be read, and this node obeys {obeys}: {self._unreadable};"
                " start a version of decreed that can read it, or apply a new policy"
            )
