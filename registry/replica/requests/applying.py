"""Requests to apply a policy: compare-and-set on the newest one, then the wait until it is in force.

Invariants kept here:

* S11: a policy is read before it is proposed, and its canonical form is what is decided. It follows
  the one that its proposer saw, or nothing does;
* S16: a policy is in force once nobody begins anything under an older one (`Rollout`). Voters are asked
  until then, and are counted in the epoch that is known here;
* S36: a policy that would leave no quorum of voters that may link to each other is not proposed;
* a request for a policy that was decided for the same claim id goes on waiting, and proposes nothing;
* S11: somebody must be left with the right `admin`. Where nodes have no TLS, nobody can show who he is,
  so no policy at all is applied there;
* S37: before the first policy everybody may do everything, except to apply that one: it takes somebody
  with a name. Else a stranger at the port could shut out those to whom the cluster belongs. So it is at
  a node that cannot read the first policies, where everything is still open.
"""

from collections.abc import Iterable
from functools import partial

from ...audit import tokens_changed
from ...errors import BadRequest, Denied, Refused, Unreachable
from ...identity import ANONYMOUS
from ...paxos.instance import Instance
from ...policy.confirming import Rollout, begun
from ...policy.document import Policy
from ...policy.encoding import encode
from ...policy.parsing import parse
from ...policy.refusals import Marks, cut_off
from ...policy.series import claim_of, policy_key, policy_number
from ...policy.tokens import TokenChanges, token_changes
from ...types import Decree, Key, NodeId
from ...wire.policy import PolicyTold
from ...wire.requests import Decreed, PolicyApplied, PolicyRequest
from ...wire.status import CertificatePart
from ..consensus.attempt import Candidate
from ..consensus.coordinator import Coordinator
from ..policy.confirming import Confirming
from ..step.events import ResendRead
from ..step.node import Node, refusal
from ..step.pending import PendingRequest, PendingRequests
from ..step.step_builder import Pending, StepBuilder

UNSECURED = (
    "the policy would leave nobody with admin: the nodes have no TLS, so no client can show who it is;"
    " give them certificates first ('decreed ca'), see docs/how-to/secure-a-cluster.md"
)
NAMELESS = (
    "the first policy is for somebody with a certificate: come with the certificate of a client"
    " (--cert FILE --key FILE), or with that of the node on its own machine (--as-node)"
)


class Applying:
    """The requests of administrators about policies.

    Args:
        node: who we are.
        requests: where answers go.
        confirming: asks the voters which policy is the newest.
        coordinator: proposes policies.
        secured: whether clients come by TLS, so that they can show who they are.
    """

    def __init__(
        self,
        node: Node,
        requests: PendingRequests,
        confirming: Confirming,
        coordinator: Coordinator,
        *,
        secured: bool = False,
    ) -> None:
        self._secured = secured
        self._node = node
        self._requests = requests
        self._policies, self._confirming = confirming.policies, confirming
        self._coordinator = coordinator
        self._rollout: Rollout | None = None
        self._waiting: list[tuple[PendingRequest, Decree]] = []
        self._token: int | None = None

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"policies to be in force": [decree.key for _, decree in self._waiting]}

    def needs(self, request: PolicyRequest) -> Iterable[Key]:
        """The policy that is asked for, and the one before it."""
        keys = (request.base, request.base + 1)
        return [policy_key(number) for number in keys if number]

    def begin(self, step: StepBuilder, pending: PendingRequest, request: PolicyRequest) -> None:
        """Propose a policy, or say what follows the one that was named."""
        if not self._confirming.asks:
            message = "this cluster obeys no policies"
            self._requests.fail(step, pending, Refused, message)
            return
        if not self._secured:
            self._requests.fail(step, pending, BadRequest, UNSECURED)
            return
        if not self._policies.obeyed and pending.identity == ANONYMOUS:
            self._requests.fail(step, pending, Denied, NAMELESS)
            return
        key = policy_key(request.base + 1)
        instance = step.instances[key]
        learned = instance.learned if isinstance(instance, Instance) else None
        if learned is not None:
            self.settle(step, pending, learned)
        elif not self._node.takes_part:
            self._requests.fail(step, pending, *refusal(self._node))
        elif request.base != self._policies.known:
            self._requests.fail(step, pending, BadRequest, self._other_base(request.base))
        elif not self._confirming.is_confirmed(step.now_ms):
            self._requests.fail(step, pending, Unreachable, self._confirming.unconfirmed)
        else:
            self._propose(step, pending, request)

    def _other_base(self, base: int) -> str:
        known = self._policies.known
        return (
            f"node {self._node.name} knows policy {known} as the newest, and not {base}: look at it,"
            " and apply yours again on top of that one"
        )

    def _propose(self, step: StepBuilder, pending: PendingRequest, request: PolicyRequest) -> None:
        try:
            policy = parse(request.document)
            self._check_quorum(policy)
        except BadRequest as error:
            self._requests.fail(step, pending, BadRequest, str(error))
            return
        document = encode(policy)
        limit = self._node.config.limits.max_value_bytes
        if len(document) > limit:
            message = f"the policy has {len(document)} bytes; limits.max_value_bytes is {limit}"
            self._requests.fail(step, pending, BadRequest, message)
            return
        words = (request.claimant, request.claim_id, request.note)
        claim = claim_of(request.base, document, *words)
        changes = token_changes(self._policies.policy, policy)
        settle = partial(self._settle_proposed, changes)
        self._coordinator.join(step, Candidate(pending, claim, settle))

    def _settle_proposed(
        self, changes: TokenChanges, step: StepBuilder, pending: PendingRequest, decree: Decree
    ) -> None:
        """Tell the audit log what the policy does to tokens, if it is the one that was proposed."""
        origin = pending.origin
        is_ours = not pending.done and decree.claim_id == pending.claim_id
        if is_ours and isinstance(origin, int):
            number = policy_number(decree)
            for record in tokens_changed(origin, number, changes, pending.identity.acting_for):
                step.audit(record)
        self.settle(step, pending, decree)

    def _check_quorum(self, policy: Policy) -> None:
        """S36: no policy cuts so many voters off that no other one could be decided after it.

        The certificates of voters that are not linked now are not known. One that is refused unawares
        is no dead end: its node is let in again with a new certificate.

        Raises:
            BadRequest: if this one does; says which voters.
        """
        shown: dict[NodeId, list[Marks]] = {}
        for each in self._node.secured.certificates:
            if each.part in (CertificatePart.OWN, CertificatePart.PEER):
                shown.setdefault(NodeId(each.whose.removeprefix("node/")), []).append(each.marks)
        voters, quorums = self._node.nodes, self._node.quorums
        lost = cut_off(policy.refused, voters, shown)
        needed = max(quorums.prepare, quorums.accept)
        if len(voters) - len(lost) < needed:
            raise BadRequest(
                f"the policy cuts off {', '.join(lost)}, so {len(voters) - len(lost)} of {len(voters)}"
                f" voters would be left, and it takes {needed} to decide anything, another policy too:"
                " give those nodes new certificates first, or replace them one at a time"
            )

    def settle(self, step: StepBuilder, pending: PendingRequest, decree: Decree) -> None:
        """Wait until the policy is in force, or answer with the one that came first."""
        if pending.done:
            return
        if decree.claim_id != pending.claim_id:
            self._requests.answer(step, pending, Decreed(pending.request.id, decree))
            return
        number = policy_number(decree)
        if self._rollout is None or self._rollout.number < number:
            self._rollout = begun(number, self._node.epoch)
        self._waiting.append((pending, decree))
        if self._token is None:
            self._token = self._node.tokens.ask(self)
            self._ask(step, self._token)
        self._count(step)

    # -- waiting

    def is_waiting(self, pending: PendingRequest) -> bool:
        """Whether a request is for a policy that is decided: it needs no vote of this node any more."""
        return any(waiting is pending for waiting, _ in self._waiting)

    def _ask(self, step: StepBuilder, token: int) -> None:
        self._confirming.ask(step)
        step.ask_again(token, self._node.config.timing.resend_ms)

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Ask the voters again while somebody waits."""
        self._count(step)
        if timer.token == self._token:
            self._ask(step, timer.token)

    def on_told(self, step: StepBuilder, sender: NodeId, told: PolicyTold) -> None:
        """Count what a voter knows durably."""
        if self._waiting and self._rollout is not None:
            rollout = self._rollout.in_epoch(self._node.epoch)
            self._rollout = rollout.heard(sender, told, step.now_ms)
            self._count(step)

    def _count(self, step: StepBuilder) -> None:
        """Answer the requests whose policy is in force, and forget those that nobody waits for."""
        self._waiting = [each for each in self._waiting if not each[0].done]
        if self._waiting and self._rollout is not None:
            rollout = self._rollout.in_epoch(self._node.epoch)
            if self._node.voting:
                rollout = rollout.heard(self._node.name, self._confirming.own(0), step.now_ms)
            self._rollout = rollout
            if rollout.is_over(step.now_ms, self._confirming.max_age_ms):
                for pending, decree in self._waiting:
                    self._answer(step, pending, decree, rollout.missing, in_force=True)
                self._waiting.clear()
        if not self._waiting and self._token is not None:
            self._node.tokens.close(self._token)
            self._token = None

    def _answer(
        self,
        step: StepBuilder,
        pending: PendingRequest,
        decree: Decree,
        missing: tuple[NodeId, ...],
        *,
        in_force: bool,
    ) -> None:
        answer = PolicyApplied(pending.request.id, decree, in_force, missing)
        self._requests.answer(step, pending, answer)

    def expire(self, step: StepBuilder, pending: PendingRequest) -> bool:
        """Say that a policy is decided and who is waited for, if it is; else another answer is due."""
        for waiting, decree in self._waiting:
            if waiting is pending and self._rollout is not None:
                self._answer(step, pending, decree, self._rollout.missing, in_force=False)
                return True
        return False
