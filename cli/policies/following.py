"""Applying a policy, from the first question until it is in force.

Nothing here decides anything: the cluster does. The command may be stopped at any time, and run again
with the same file; then it goes on waiting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ...client.requests.policies import PolicyClient, PolicyOutcome, PolicyVersion
from ...registry.errors import OutcomeUnknown, ProtocolError, Refused
from ...registry.identity import Identity
from ...registry.policy.difference import EMPTY
from ...registry.policy.document import Policy, Right
from ...registry.policy.parsing import parse
from ...registry.policy.rights import CLUSTER, Allowed, Rights
from ..changing.wanted import names_of
from ..shell.failures import CommandFailed
from ..shell.shown import show

GO_ON = "with admin, run the same command again: it goes on, and proposes nothing twice"


class Stage(Enum):
    """How far it has come, for those who stop it."""

    NOTHING = "nothing was proposed"
    DOUBT = "whether it is decided is unknown"
    DECIDED = "it is decided, and comes into force without this command"


@dataclass
class PolicyOnItsWay:
    """One policy on its way.

    Args:
        policies: who is asked.
        document: the policy, in its canonical form.
        say: tells the operator what is waited for.
    """

    policies: PolicyClient
    document: bytes
    say: Callable[[str], None]
    stage: Stage = Stage.NOTHING
    number: int = 0
    _said: str = ""

    @property
    def policy(self) -> Policy:
        """The policy as a value."""
        return parse(self.document)

    async def newest(self) -> PolicyVersion | None:
        """The policy that it is to follow."""
        return await self.policies.latest()

    async def follow(
        self, before: PolicyVersion | None, note: str, claimant: str | None
    ) -> PolicyOutcome:
        """Have it decided on top of the newest one, and wait until it is in force.

        If the newest one says the same, nothing is proposed, and the wait goes on.

        Raises:
            CommandFailed: if another policy came first, or the time was up before it was in force.
            OutcomeUnknown: if it may be decided.
        """
        self.number = 1 if before is None else before.number + 1
        self.stage = Stage.DOUBT
        if before is not None and before.document == self.document:
            self.number, self.stage = before.number, Stage.DECIDED
            outcome = await self._again(before)
        else:
            outcome = await self.policies.apply(
                self.document,
                base=self.number - 1,
                note=note,
                claimant=claimant,
                progress=self._tell,
            )
        self.stage = Stage.DECIDED if outcome.won else Stage.NOTHING
        return self._checked(outcome)

    async def _again(self, present: PolicyVersion) -> PolicyOutcome:
        decree = present.decree
        return await self.policies.apply(
            self.document,
            base=present.number - 1,
            note=decree.note,
            claimant=decree.claimant,
            claim_id=decree.claim_id,
            progress=self._tell,
        )

    def _tell(self, outcome: PolicyOutcome) -> None:
        self.stage = Stage.DECIDED
        text = f"policy {outcome.number} is decided; waiting for {names_of(outcome.missing)}"
        if not outcome.missing:
            text = f"policy {outcome.number} is decided; waiting until no older one is obeyed"
        if text != self._said:
            self._said = text
            self.say(text)

    def _checked(self, outcome: PolicyOutcome) -> PolicyOutcome:
        thing = f"policy {outcome.number}"
        if not outcome.won:
            who = show(outcome.decree.claimant)
            raise CommandFailed(
                Refused(f"it is {who}'s, and came first; nothing was applied"),
                thing,
                f"see 'decreed policy diff FILE', and apply yours on top of policy {outcome.number}",
            )
        if not outcome.in_force:
            waits = names_of(outcome.missing) or "those that obey an older one"
            unsure = f"it is decided, and not sure to be in force yet: waiting for {waits}"
            raise CommandFailed(OutcomeUnknown(unsure), thing, GO_ON)
        return outcome


def policy_before(before: PolicyVersion | None) -> Policy:
    """What a policy follows, as a value, to compare with; one that cannot be read says nothing."""
    try:
        return EMPTY if before is None else before.policy
    except ProtocolError:
        return EMPTY


def keeps_admin(policy: Policy, identity: Identity, now_ms: int) -> bool:
    """Whether somebody may change the policy again once this one is in force."""
    verdict = Rights(policy).may(identity, Right.ADMIN, CLUSTER, now_ms)
    return isinstance(verdict, Allowed)
