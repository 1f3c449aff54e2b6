"""Asking the voters whether one of them knows a newer policy, and answering those that ask.

Invariants kept here:

* S14: a question has a number that no other question has, in this life of the node or any other, and
  its time is that of the step in which it leaves. So no answer to another question counts;
* S17: a confirmation of an earlier epoch begins nothing in a later one, and what was begun under it
  goes on no longer than it would have been good;
* who hears of a newer policy fetches it at once;
* only a voter that votes answers, and not while it may hold a newer policy (`Policies.may_have_newer`).
  It answers as soon as it may: what it says counts from when the question was sent, so a late answer
  tells nothing that is not true.
"""

import math
from collections.abc import Callable

from ...locks.holding import validity_ms
from ...policy.confirming import Confirmation
from ...policy.series import policy_key
from ...types import NodeId
from ...wire.peers import Fetch
from ...wire.policy import AskPolicy, PolicyTold
from ..step.effects import Send
from ..step.events import ConfirmPolicy
from ..step.node import Node
from ..step.step_builder import StepBuilder
from .policies import Policies

ASKS = 5
"""How often the voters are asked in `max_age_ms`, so that some questions may be lost."""

OnTold = Callable[[StepBuilder, NodeId, PolicyTold], None]
OnConfirmed = Callable[[StepBuilder], None]


class Confirming:
    """Whether the policy of this node is confirmed.

    Args:
        node: who we are.
        policies: what is learned here.
        asks: whether the node asks at all. One that does not is never confirmed.

    Attributes:
        policies, asks: as given.
        max_age_ms: for how long an answer is good.
        lapses_ms: when what was opened under the confirmation must end, unless that is renewed.
    """

    def __init__(self, node: Node, policies: Policies, *, asks: bool) -> None:
        self._node = node
        self._policies = self.policies = policies
        self.asks = asks
        self.max_age_ms = float(node.config.policy.max_age_ms)
        self.lapses_ms = math.inf
        self._confirmation = Confirmation.begun(node.epoch)
        self._judged: tuple[Confirmation, bool] | None = None
        self._until = -math.inf
        self._on_told: OnTold | None = None
        self._on_confirmed: OnConfirmed | None = None
        self._unanswered: dict[NodeId, AskPolicy] = {}
        self._is_new = node.identity.joins
        self._know_none: set[NodeId] = set()

    @property
    def is_new(self) -> bool:
        """S13: whether this node has joined, and may never have heard whether there is a policy.

        It learns decrees in no order that protects them: one may come before the policy that hides it,
        and a start may come between the two. A voter has what those before it knew (M08). So it serves
        nothing until a quorum has said that there is none, or each node whose feed it reads now: then
        it shows no more than these do. One that joined with a file of others does not know the quorum.
        """
        return self._is_new and self.asks and not (self._policies.known or self._node.voting)

    def tell(self, told: OnTold) -> None:
        """Register who else hears what voters know."""
        self._on_told = told

    def tell_confirmed(self, confirmed: OnConfirmed) -> None:
        """Register who waits until the policy is confirmed; it may be told again while it is."""
        self._on_confirmed = confirmed

    def is_confirmed(self, now_ms: float) -> bool:
        """S15: whether this node may begin claims, locks and what administrators ask for.

        In a new epoch it may not, until voters of that epoch have answered.
        """
        return now_ms < self._until_ms() and not self._policies.may_have_newer

    def refuses(self, now_ms: float) -> bool:
        """Whether nothing may begin here now, since policies are obeyed and this one may be old."""
        return self.asks and not self.is_confirmed(now_ms)

    def lapse(self, step: StepBuilder) -> None:
        """What was opened must end now, or later if a vote that began makes that good for longer."""
        until_ms = self._until_ms()
        self.lapses_ms = until_ms if until_ms > step.now_ms else math.inf

    def _until_ms(self) -> float:
        """It is asked for each request, and worked out once for each thing that changes it."""
        facts = (self._of_epoch(), self._node.voting)
        judged = self._judged
        if judged is None or judged[0] is not facts[0] or judged[1] is not facts[1]:
            own = self._node.name if self._node.voting else None
            self._judged, self._until = facts, facts[0].until_ms(own, self.max_age_ms)
        return self._until

    @property
    def unconfirmed(self) -> str:
        """What is said to those that are turned away (S15)."""
        name, known = self._node.name, self._policies.known
        if self._policies.may_have_newer:
            return (
                f"policy not confirmed: node {name} finds out whether policy {known + 1} is decided"
            )
        within = f"within {self.max_age_ms / 1000:g} s"
        none = f"none newer than {known}" if known else "none"
        return (
            f"policy not confirmed: no quorum has told node {name} {within} that there is {none}, so"
            " nothing begins there; reads go on"
        )

    def start(self, step: StepBuilder) -> None:
        """Ask, and again at intervals. A cluster of one has nobody to ask."""
        self._policies.start(step)
        if self.asks:
            self.on_timer(step)

    def on_timer(self, step: StepBuilder) -> None:
        """Ask, and set the timer again; soon, while the policy is not confirmed."""
        self.ask(step)
        self._say(step)
        soon_ms, every_ms = self._node.config.timing.resend_ms, self.max_age_ms / ASKS
        confirmed = self.is_confirmed(step.now_ms)
        step.timer(ConfirmPolicy(), every_ms if confirmed else min(soon_ms, every_ms))

    def ask(self, step: StepBuilder) -> None:
        """Ask all voters: a link has been made, an epoch has begun, or it is time."""
        node = self._node
        if not self.asks or not node.formed or not node.sources:
            return
        number = node.tokens.new()
        self._confirmation = self._of_epoch().asking(number, step.now_ms, self.max_age_ms)
        question = AskPolicy(number, node.epoch.number, self._policies.durable)
        step.broadcast(node.others if node.voting else node.sources, question)

    def on_epoch(self, step: StepBuilder) -> None:
        """What was opened in the epoch before ends as if it was confirmed by that epoch's last answer.

        Where one voter is enough no answer is needed, so there was no end. A node that is heard
        to vote in this epoch has taken over from that voter after it has come to here.
        """
        if self.asks:
            lapses_ms = step.now_ms + validity_ms(self.max_age_ms)
            self.lapses_ms = min(self.lapses_ms, lapses_ms)
        self.ask(step)
        self._say(step)

    def on_asked(self, step: StepBuilder, sender: NodeId, message: AskPolicy) -> None:
        """Say which policy this node knows durably, if its word counts."""
        self._fetch_newer(step, sender, message.newest)
        if self._node.voting and not self._policies.may_have_newer:
            step.at_once(Send(sender, self.own(message.id)))
        elif sender in self._node.sources or sender in self._node.guests:
            self._unanswered[sender] = message

    def answer(self, step: StepBuilder) -> None:
        """This node votes from now on, or it has learned a policy: answer those that wait for that."""
        if self._node.voting and not self._policies.may_have_newer:
            for sender, message in self._unanswered.items():
                step.at_once(Send(sender, self.own(message.id)))
            self._unanswered.clear()
        self._say(step)

    def own(self, number: int) -> PolicyTold:
        """What this node answers to a question."""
        epoch, age_ms = self._node.epoch.number, int(self.max_age_ms)
        return PolicyTold(number, epoch, self._policies.durable, age_ms)

    def on_told(self, step: StepBuilder, sender: NodeId, message: PolicyTold) -> None:
        """Count the answer of a voter."""
        self._fetch_newer(step, sender, message.newest)
        self._confirmation = self._of_epoch().told(sender, message, self._policies.known)
        until_ms = self._until_ms()
        if self.asks and until_ms > step.now_ms:
            self.lapses_ms = until_ms
            self._is_new = False
        if self._on_told is not None:
            self._on_told(step, sender, message)
        self._note(step, sender, message)
        self._say(step)

    def _note(self, step: StepBuilder, sender: NodeId, said: PolicyTold) -> None:
        """All that a joiner reads from know of no policy: it obeys none, as they do."""
        if not said.newest:
            self._know_none.add(sender)
            if self._know_none.issuperset(self._node.reachable.intersection(self._node.sources)):
                self._is_new = False
                if self._on_confirmed is not None:  # reads may go on, whatever begins has to wait
                    self._on_confirmed(step)

    def _say(self, step: StepBuilder) -> None:
        if self._on_confirmed is not None and self.is_confirmed(step.now_ms):
            self._on_confirmed(step)

    def _fetch_newer(self, step: StepBuilder, sender: NodeId, newest: int) -> None:
        if newest > self._policies.known:
            step.at_once(Send(sender, Fetch((policy_key(newest),))))

    def _of_epoch(self) -> Confirmation:
        """S14: answers count within one epoch."""
        epoch = self._node.epoch
        if self._confirmation.epoch is not epoch and self._confirmation.epoch != epoch:
            self._confirmation = Confirmation.begun(self._node.epoch)
        return self._confirmation
