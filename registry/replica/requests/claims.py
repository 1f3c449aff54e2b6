"""Claims on their way to a coordinator: checked, forwarded to the key's home, or coordinated here.

The home of a key is preferred, so that claims of one key meet in one attempt and do not duel. Any
node may coordinate any key at any time (R04). It does so at once if the nodes before it in the
key's order are suspected, or refuse for a fault of their own (design 5).

Slots of a series: slot N is proposed only by a node that has learned slot N-1, so there are no
gaps. `claim_next` proposes in slot m only after it has learned every slot from the one at which its
caller first tried, and has found its claim id in none of them. So repeating it is safe (design 10).
"""

from collections.abc import Sequence

from msgspec.structs import replace

from ...errors import (
    BadRequest,
    Disputed,
    NotFormed,
    NotMember,
    OutcomeUnknown,
    OverQuota,
    SeriesGap,
    StorageFailed,
    Unreachable,
    error_kind,
)
from ...errors import Damaged as DamagedError
from ...keys import home, homes, series_and_slot, slot_before, slot_key
from ...members import epoch_of
from ...paxos.instance import Instance
from ...types import Claim, Decree, Key, NodeId
from ...unserved import ForgottenInstance
from ...wire.members import ChangePlan
from ...wire.peers import PassedClaim
from ...wire.requests import ClaimNextRequest, ClaimRequest, Decreed, Failed
from ..consensus.attempt import Candidate, Found
from ..consensus.coordinator import Coordinator
from ..feed.learner import dispute_message
from ..members.preflight import under_way
from ..policy.confirming import Confirming
from ..policy.quotas import Quotas
from ..step.effects import Send
from ..step.events import ChangeMembers, Coordinate
from ..step.node import Node, no_room, refusal
from ..step.pending import PendingRequest, PendingRequests
from ..step.step_builder import Pending, StepBuilder
from .reads import Reads

AnyClaim = ClaimRequest | ClaimNextRequest

# refusals for a fault of the node rather than of the claim: the next node may accept it
_ELSEWHERE = (NotFormed, NotMember, StorageFailed, DamagedError)


class Claims:
    """All pending claims of a node.

    Args:
        node: who we are, and who is reachable.
        requests: where answers go.
        coordinator: runs Paxos.
        reads: reads the previous slot of a series.
        policies: which one is obeyed here.
        quotas: how much each identity may freeze.
    """

    def __init__(
        self,
        node: Node,
        requests: PendingRequests,
        coordinator: Coordinator,
        reads: Reads,
        confirming: Confirming,
        quotas: Quotas,
    ) -> None:
        self._policies, self._confirming = confirming.policies, confirming
        self._quotas = quotas
        self._node = node
        self._requests = requests
        self._coordinator = coordinator
        self._reads = reads
        self._passed: dict[int, PendingRequest] = {}
        self._passed_by_key: dict[Key, set[int]] = {}
        self.awaited = (self._passed,)

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"claims passed on": self._passed}

    def begin(self, step: StepBuilder, pending: PendingRequest, request: AnyClaim) -> None:
        """Refuse a claim whose value is too large; otherwise route it."""
        limit = self._node.config.limits.max_value_bytes
        size = len(request.claim.value)
        if size > limit:
            message = f"the value has {size} bytes; the limit is {limit}"
            self._requests.fail(step, pending, BadRequest, message)
        else:
            self._route(step, pending, request)

    def change_members(self, step: StepBuilder, event: ChangeMembers) -> None:
        """M03: propose the voters of the next epoch here; no other node can do it for us."""
        pending = self._requests.find(event.origin, event.id)
        if pending is None or pending.claim_id != event.claim.claim_id:
            return  # its time is over, or its id is another's by now
        key = event.claim.key
        instance = step.instances[key]
        if isinstance(instance, Instance) and instance.learned is not None:
            self.settle(step, pending, instance.learned)
        elif epoch_of(key) != self._node.epoch.number + 1:
            message = f"epoch {self._node.epoch.number} is followed by another change than {key!r}"
            self._requests.fail(step, pending, BadRequest, message)
        elif not self._node.takes_part:
            self._requests.fail(step, pending, *refusal(self._node))
        elif self._confirming.refuses(step.now_ms):
            self._requests.fail(step, pending, Unreachable, self._confirming.unconfirmed)
        else:
            refuse = self._leave_to_others
            self._coordinator.join(step, Candidate(pending, event.claim, self.settle, refuse))

    def _leave_to_others(self, step: StepBuilder, pending: PendingRequest, other: Decree) -> None:
        """M03: say that somebody else's change is half done; our own may be chosen if it ever left."""
        finding = under_way(other)
        if pending.indefinite:
            self._requests.fail(step, pending, OutcomeUnknown, finding.text)
        else:
            plan = ChangePlan(pending.request.id, self._node.epoch.number, (finding,))
            self._requests.answer(step, pending, plan)

    def go_on(self, step: StepBuilder, event: Coordinate) -> None:
        """Continue a claim: route it past a node that refused it, or coordinate it here at a slot."""
        pending = self._requests.find(event.origin, event.request.id)
        if pending is None or pending.request != event.request:  # its id may be another's by now
            return
        if event.reroute:
            self._route(step, pending, event.request)
        else:
            self._coordinate(step, pending, event.request, event.key)

    def settle(self, step: StepBuilder, pending: PendingRequest, decree: Decree) -> None:
        """Answer a claim with the decree of its key, or try the next slot for a lost `claim_next`."""
        if pending.done:
            return
        if isinstance(pending.request, ClaimNextRequest) and decree.claim_id != pending.claim_id:
            series, slot = series_and_slot(decree.key)
            assert slot is not None, "claim_next only ever joins slots"
            self._again(step, pending, pending.request, slot_key(series, slot + 1))
        else:
            self._requests.answer(step, pending, Decreed(pending.request.id, decree))

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Answer forwarded claims whose keys are learned here, before their home answers."""
        for decree in decrees:
            self._end_passed(step, decree)

    # -- forwarded claims

    def on_decreed(self, step: StepBuilder, sender: NodeId, answer: Decreed) -> None:
        """Answer a forwarded claim with the decree that its home sent."""
        pending = self._take(sender, answer.id)
        if pending is not None:
            decreed = Decreed(pending.request.id, answer.decree)
            self._requests.answer(step, pending, decreed)

    def on_failed(self, step: StepBuilder, sender: NodeId, answer: Failed) -> None:
        """Try the next node after a refusal for a fault of the node; pass on any other refusal."""
        pending = self._take(sender, answer.id)
        if pending is None:
            return
        error = error_kind(answer.code)
        pending.indefinite = pending.indefinite or not error.definite
        if issubclass(error, _ELSEWHERE):
            self._pass_over(step, pending, sender)
        else:
            self._requests.fail(step, pending, error, answer.message)

    def on_unreachable(self, step: StepBuilder, peer: NodeId) -> None:
        """Route the claims that were forwarded to a suspected node again, at once."""
        for request_id, pending in list(self._passed.items()):
            if pending.passed_to == peer:
                self._forget(request_id)
                pending.indefinite = True
                self._pass_over(step, pending, peer)

    def prune(self) -> None:
        """Drop the forwarded claims whose requests are done."""
        for request_id in [i for i, pending in self._passed.items() if pending.done]:
            self._forget(request_id)

    def _end_passed(self, step: StepBuilder, decree: Decree) -> None:
        for token in list(self._passed_by_key.get(decree.key, ())):
            pending = self._passed[token]
            if isinstance(pending.request, ClaimRequest) or pending.claim_id == decree.claim_id:
                self._forget(token)
                self.settle(step, pending, decree)

    def _take(self, sender: NodeId, request_id: int) -> PendingRequest | None:
        pending = self._passed.get(request_id)
        if pending is None or pending.passed_to != sender:
            return None
        self._forget(request_id)
        return pending

    def _forget(self, token: int) -> None:
        """Note that no other node works on the claim."""
        pending = self._passed.pop(token)
        pending.passed_to = None
        tokens = self._passed_by_key[_key_of(pending)]
        tokens.discard(token)
        if not tokens:
            del self._passed_by_key[_key_of(pending)]

    def _pass_over(self, step: StepBuilder, pending: PendingRequest, peer: NodeId) -> None:
        """Route a claim past `peer` in the next step, when its instances are loaded.

        No node is asked twice. In the end this node coordinates the claim itself, or refuses it.
        """
        pending.passed_over |= {peer}
        if not pending.done:
            assert isinstance(pending.request, AnyClaim), "only claims are passed on"
            request = pending.request
            step.again(Coordinate(pending.origin, request, request.claim.key, reroute=True))

    def _route(self, step: StepBuilder, pending: PendingRequest, request: AnyClaim) -> None:
        """Forward to the first reachable node in the key's order, unless the key is learned here."""
        key = request.claim.key
        if request.here or home(key, self._node.nodes) == self._node.name:
            self._coordinate(step, pending, request, key)
            return
        instance = step.instances[key]
        open_here = isinstance(instance, Instance) and instance.learned is None
        candidates = (self._node.reachable - pending.passed_over) | {self._node.name}
        in_order = (node for node in homes(key, self._node.nodes) if node in candidates)
        first = next(in_order, self._node.name)  # no voter may be in reach of a node that is none
        to_pass = open_here or not isinstance(request, ClaimRequest)
        over = self._quotas.over(pending.identity, request.claim) if self._quotas.named else ""
        if to_pass and first != self._node.name and not over:
            self._pass_on(step, pending, request, first)
        else:
            self._coordinate(step, pending, request, key)

    def _pass_on(
        self, step: StepBuilder, pending: PendingRequest, request: AnyClaim, node: NodeId
    ) -> None:
        token = self._node.tokens.new()
        timeout_ms = max(1, int(pending.deadline_ms - step.now_ms))
        passed = replace(request, id=token, timeout_ms=timeout_ms, here=True)
        self._passed[token] = pending
        self._passed_by_key.setdefault(request.claim.key, set()).add(token)
        pending.passed_to = node
        # S08: as this node has proven them
        identity, gateway = pending.identity.recorded, pending.identity.through
        named_by = "" if gateway is None else str(gateway)
        message = PassedClaim(passed, identity, self._policies.obeyed, named_by)
        step.at_once(Send(node, message))

    # -- claims coordinated here

    def _coordinate(
        self, step: StepBuilder, pending: PendingRequest, request: AnyClaim, key: Key
    ) -> None:
        """Answer if the key is learned, disputed or unreadable here; otherwise propose, if allowed."""
        instance = step.instances[key]
        if not isinstance(instance, Instance):
            self._requests.fail(step, pending, instance.error, instance.message)
        elif instance.disputed is not None:
            self._requests.fail(step, pending, Disputed, dispute_message(key))
        elif instance.learned is not None:
            self.settle(step, pending, instance.learned)
        elif not self._node.takes_part:
            self._requests.fail(step, pending, *refusal(self._node))
        elif "@" in key:
            self._check_slot(step, pending, request, key)
        else:
            self._join(step, pending, request, key)

    def _check_slot(
        self, step: StepBuilder, pending: PendingRequest, request: AnyClaim, key: Key
    ) -> None:
        """Design 10: a slot is proposed only by a node that has learned the previous one."""
        before = slot_before(key)
        instance = step.instances[before] if before is not None else None
        if before is None or (isinstance(instance, Instance) and instance.learned):
            self._join(step, pending, request, key)
            return

        def then(step: StepBuilder, found: Found) -> None:
            if isinstance(found, ForgottenInstance):
                self._requests.fail(step, pending, found.error, found.message)
            elif found is None:
                message = f"slot {key!r} would leave a gap: {before!r} is undecided"
                self._requests.fail(step, pending, SeriesGap, message)
            else:
                self._again(step, pending, request, key)

        self._reads.read(step, before, pending, then)

    def _again(
        self, step: StepBuilder, pending: PendingRequest, request: AnyClaim, key: Key
    ) -> None:
        step.again(Coordinate(pending.origin, request, key, reroute=False))

    def _join(
        self, step: StepBuilder, pending: PendingRequest, request: AnyClaim, key: Key
    ) -> None:
        if self._node.room:
            self._leave_to_others_with_room(step, pending, request)
            return
        claim = request.claim if request.claim.key == key else replace(request.claim, key=key)
        over = self._quotas.over(pending.identity, claim) if self._quotas.named else ""
        if over:
            self._refuse_if_new(step, pending, key, over)
        else:
            judge = self._judge
            self._coordinator.join(step, Candidate(pending, claim, self.settle, judge=judge))

    def _leave_to_others_with_room(
        self, step: StepBuilder, pending: PendingRequest, request: AnyClaim
    ) -> None:
        """Below the soft mark a claim goes to another node, and is refused if nobody else is left."""
        others = self._node.reachable - pending.passed_over
        first = next((n for n in homes(request.claim.key, self._node.nodes) if n in others), None)
        if first is None or request.here:
            self._requests.fail(step, pending, NotFormed, no_room(self._node))
        else:
            self._pass_on(step, pending, request, first)

    def _refuse_if_new(
        self, step: StepBuilder, pending: PendingRequest, key: Key, over: str
    ) -> None:
        """A quota is for keys that are undecided: if this one is decided, the claim is answered."""

        def then(step: StepBuilder, found: Found) -> None:
            match found:
                case None:
                    self._requests.fail(step, pending, OverQuota, over)
                case ForgottenInstance():
                    self._requests.fail(step, pending, found.error, found.message)
                case Decree():
                    self.settle(step, pending, found)

        self._reads.read(step, key, pending, then)

    def _judge(self, step: StepBuilder, pending: PendingRequest, claim: Claim) -> None:
        """What was learned since a claim began may have used up its quota."""
        over = self._quotas.over(pending.identity, claim)
        if over:
            self._requests.fail(step, pending, OverQuota, over)


def _key_of(pending: PendingRequest) -> Key:
    assert isinstance(pending.request, AnyClaim), "only claims are passed on"
    return pending.request.claim.key
