"""Who may begin what at this node: the policy, asked before a request costs anything.

Invariants kept here:

* S07: an identity belongs to the connection, and is never taken from a request;
* S08: a gateway may name another identity in a request, and the policy is asked about both, wherever it
  is asked (`Rights.may_for`). What is done is the named one's: its decrees and its quotas;
* S08: a claim that a node passes on has the identities that this node has proven, and only proven peers
  are heard at all. The node that coordinates it asks its own policy again, about both. It goes by
  names, and cannot ask which token or certificate has proven them. So a claim that was admitted under
  another policy is not opened, and not proposed first after another one is learned: its sender knows;
* S15: while the policy is not confirmed, nothing begins but reads. A request may wait for that
  (`client_requests`): it is judged when it is over, and not opened before. At a node that joins, not
  even reads begin until it has learned a policy, or heard that there is none;
* S17, S18: what waits or is not proposed yet ends when its right does, or the confirmation: in the step
  in which a policy is learned, and before the first event behind the end of a confirmation. So nothing
  is first proposed without either. What was proposed is finished like anything else, and its requester
  is told that the outcome is unknown;
* S19: an answer depends on the policy and the request alone, not on what is stored;
* S60: what is denied has nothing loaded for it (`denies`). What is found then holds in the step too,
  as long as the request, the identity and the policy are the same ones: nothing else is in it.
"""

from msgspec import Struct

from ..errors import DecreedError, Denied, NotFormed, OutcomeUnknown, Unreachable
from ..identity import Identity
from ..paxos.epochs import Epoch
from ..policy.document import CutOff, Right
from ..policy.needs import Need, need_of
from ..policy.rights import Allowed, Denial, Readable, Rights
from ..types import NodeId
from ..wire.members import ChangeRequest
from ..wire.peers import PassedClaim
from ..wire.requests import PolicyRequest, Request, StatusRequest
from .parts import Parts
from .step.events import FromClient, Misnamed, Moment, Origin
from .step.pending import PendingRequest
from .step.step_builder import StepBuilder

_LATER = (ChangeRequest, PolicyRequest)


class NotAdmitted(Struct, frozen=True):
    """Why a request may not begin, or may not go on.

    Args:
        error: what it ends with.
        message: the cause, in words.
        waits: whether it can wait for the confirmation that is missing. A read goes to another node.
    """

    error: type[DecreedError]
    message: str
    waits: bool = False


class Foreseen(Struct, frozen=True):
    """What was found of a request before its records were loaded.

    It holds in the step too for the same request, identity and policy, since no time is in it.

    Args:
        request: the request.
        identity: whose it is; no token's, since tokens expire.
        rights: those that were asked.
        need: what it takes.
        verdict: what they say.
    """

    request: Request
    identity: Identity
    rights: Rights
    need: Need
    verdict: Allowed | Readable | Denial


MAX_FORESEEN = 4_096
"""Of so many requests it is remembered; more are asked about again."""
NOBODY_MAY = "'act-for' is granted to nobody: this cluster obeys no policy"
"""What a gateway is told by a node that asks no policy (S08)."""


class Admission:
    """Asks the policy about each request.

    Args:
        parts: the parts of the node.
    """

    def __init__(self, parts: Parts) -> None:
        self._policies, self._confirming = parts.policies, parts.confirming
        self._node = parts.node
        self._asked: tuple[Request | None, Need | None] = None, None
        self._judged: dict[int, Foreseen] = {}
        self._moment: Moment | None = None
        self._epoch: Epoch | None = None
        self._confirmed = False

    def _need_of(self, request: Request) -> Need | None:
        """What a request takes. It is asked about twice when it begins; a row depends on it alone."""
        if self._asked[0] is not request:
            self._asked = request, need_of(request)
        return self._asked[1]

    def is_open(self, step: StepBuilder) -> bool:
        """S13: whether everything may begin, since there is no policy and none may be newer."""
        return self._policies.rights is None and self._is_confirmed(step)

    def refusal(
        self, step: StepBuilder, identity: Identity, request: Request
    ) -> NotAdmitted | None:
        """Why a request may not begin; None: it may.

        What is looked into before it is proposed asks again then whether the policy is confirmed: so
        an operator without a quorum is told what is missing.
        """
        refused = self._refusal(step, identity, request)
        if refused is not None and refused.error is Unreachable and isinstance(request, _LATER):
            return None
        return refused

    def _refusal(
        self, step: StepBuilder, identity: Identity, request: Request
    ) -> NotAdmitted | None:
        confirmed = self._is_confirmed(step)
        if confirmed and self._policies.rights is None and identity.through is None:
            return None  # S13: everything is open
        judged = self._judged.pop(id(request), None) if self._judged else None
        if (
            judged is not None
            and judged.request is request
            and judged.identity is identity
            and judged.rights is self._policies.rights
        ):
            need, verdict = judged.need, judged.verdict
            self._asked = request, need
        else:
            need = self._need_of(request)
            if need is None:
                return None
            verdict = self._judge(identity, need, step.moment.wall_ms)
        if isinstance(verdict, Denial):
            return NotAdmitted(Denied, self._denied(identity, verdict))
        if confirmed or (isinstance(request, StatusRequest) and not self._node.feed_end):
            return None  # a node that has learned nothing says what keeps it from that
        return self._unconfirmed(need, verdict)

    def _is_confirmed(self, step: StepBuilder) -> bool:
        """Whether the policy is confirmed: if it is, that is found once in a step and in each epoch.

        A step has one time, and its effects leave together. A newer policy that is accepted in it takes
        the confirmation from the next step on: a claim of the same step is as if it had come first. One
        that is learned in it counts at once, by its rights, and takes no confirmation away.
        """
        moment, epoch = step.moment, self._node.epoch
        if not self._confirmed or self._moment is not moment or self._epoch is not epoch:
            self._moment, self._epoch = moment, epoch
            self._confirmed = self._confirming.is_confirmed(step.now_ms)
        return self._confirmed

    @property
    def judges(self) -> bool:
        """Whether there is a policy that could deny anything."""
        return self._policies.rights is not None

    def denies(self, identity: Identity, request: Request) -> bool:
        """S60: whether a request that has arrived will be denied, so that nothing is loaded for it.

        There is no clock before a step, and so no token has expired here. Whatever a step lets begin by
        the same policy is let through.
        """
        need = need_of(request)
        if need is None:
            return False
        verdict = self._judge(identity, need, 0)
        rights = self._policies.rights
        if rights is not None and identity.through is None and identity.kind != "token":
            if len(self._judged) >= MAX_FORESEEN:
                self._judged.clear()
            self._judged[id(request)] = Foreseen(request, identity, rights, need, verdict)
        return isinstance(verdict, Denial)

    def not_denied(self, event: FromClient) -> list[Request]:
        """Of the requests of a client, those for which something is to be loaded."""
        return [
            request
            for request in event.requests
            if not isinstance(request, Misnamed) and not self.denies(event.identity, request)
        ]

    def _judge(self, identity: Identity, need: Need, now_ms: int) -> Allowed | Readable | Denial:
        if need.below:
            return self._policies.readable(identity, need.name, now_ms)
        may = (self._policies.rights or self._policies).may
        verdict = may(identity, need.right, need.name, now_ms)
        if isinstance(verdict, Denial) or need.reads is None:
            return verdict
        return self._all_of(identity, need.reads, now_ms)

    def _all_of(self, identity: Identity, prefix: str, now_ms: int) -> Readable | Denial:
        """Whether everything below a prefix may be read."""
        found = self._policies.readable(identity, prefix, now_ms)
        if isinstance(found, Readable) and found.within is not None:
            return Denial(Right.READ, prefix)
        return found

    def refusal_of_passed(
        self, step: StepBuilder, sender: NodeId, message: PassedClaim, identity: Identity
    ) -> NotAdmitted | None:
        """Why a claim that a node passes on may not begin here; its sender may look elsewhere.

        One that was admitted under a newer policy than ours is not judged by ours. One of an older
        policy is only denied by ours: it may be proven by a token or a certificate that is refused now.
        """
        if message.policy > self._policies.obeyed:
            return self._of_another_policy(f"{sender} has admitted it under a newer one")
        refused = self.refusal(step, identity, message.request)
        if refused is not None and refused.error is Unreachable:
            return NotAdmitted(NotFormed, refused.message)
        if refused is None and message.policy < self._policies.obeyed:
            return self._of_another_policy(f"{sender} has admitted it under an older one")
        return refused

    def _of_another_policy(self, why: str) -> NotAdmitted:
        known = f"node {self._node.name} obeys policy {self._policies.obeyed}"
        return NotAdmitted(NotFormed, f"{known}, and {why}")

    def _unconfirmed(self, need: Need, verdict: Allowed | Readable) -> NotAdmitted | None:
        if not (need.begins or verdict.when_cut_off is CutOff.REFUSE or self._confirming.is_new):
            return None
        waits = need.begins or self._confirming.is_new
        return NotAdmitted(Unreachable, self._confirming.unconfirmed, waits=waits)

    def _denied(self, identity: Identity, denial: Denial) -> str:
        """What is missing, in words; it says nothing of what is stored."""
        place = f"on {denial.prefix!r} " if denial.prefix else ""
        who, gateway = str(identity), identity.through
        if gateway is not None:
            both = f"both {gateway} and {identity}"
            who = f"{gateway} for {identity}" if denial.right is Right.ACT_FOR else both
        return f"'{denial.right}' {place}is not granted to {who} by policy {self._policies.obeyed}"

    def ended(
        self, step: StepBuilder, pending: PendingRequest, *, renewed: bool
    ) -> NotAdmitted | None:
        """Why a request may not go on; None: it may (S18).

        Args:
            step: the step in which it is judged.
            pending: the request.
            renewed: whether another policy is obeyed than the one under which it was admitted.
        """
        refused = self._refusal(step, pending.identity, pending.request)
        if refused is None:
            if renewed and isinstance(pending.origin, str) and not pending.indefinite:
                return self._of_another_policy("it was admitted under an older one")
            return None
        if pending.passed_to is not None or pending.indefinite:
            return NotAdmitted(OutcomeUnknown, refused.message)
        if isinstance(pending.origin, str) and refused.error is Unreachable:
            return NotAdmitted(NotFormed, refused.message)
        return refused

    # -- what an answer may tell

    def hides(
        self, step: StepBuilder, origin: Origin, identity: Identity, request: Request
    ) -> bool:
        """Whether the caller may not read what the answer could tell besides; a node may read all."""
        rights = self._policies.rights
        if rights is None or isinstance(origin, str):
            return False
        need = self._need_of(request)
        if need is None or not need.shows:
            return False
        verdict = rights.may(identity, Right.READ, need.shows, step.moment.wall_ms)
        return isinstance(verdict, Denial)

    def may_be_told(self, step: StepBuilder, identity: Identity, request: Request) -> bool:
        """Whether the caller may read now what its claim would find, also while it may not begin.

        Nobody may at a node that has joined and may not know yet that there is a policy.
        """
        need = need_of(request)
        if need is None or not need.shows or self._confirming.is_new:
            return False
        verdict = self._policies.may(identity, Right.READ, need.shows, step.moment.wall_ms)
        return isinstance(verdict, Allowed) and verdict.when_cut_off is CutOff.SERVE
