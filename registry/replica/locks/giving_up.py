"""Giving up: a claimer says that he wants no term of his claim any more (design 11).

The node that is told passes it to all, and answers once a prepare quorum has taken it. A node that
takes it answers those who wait for the claim here, takes no new ones, ends the claim's term if one is
known here, and keeps no lease for the claim from then on, whatever it accepts or learns later. It
goes on accepting what others propose: a proposal that may be chosen must stay choosable (R16), and a
term that comes of it is over as soon as one of the quorum hears of it.

Invariants kept here:

* only a secret opens: a give-up meets a claim of the same id and the same hash of the secret;
* a broken connection is no give-up, and neither is a `Cancel`;
* `GivenUp` is said only when a prepare quorum remembers it. Any accept quorum shares a node with it,
  so whatever term the claim may yet win, a node that accepted it has no lease on it and says so.
"""

from msgspec import Struct

from ...errors import BadRequest
from ...locks.leases import Leases
from ...locks.secret import hash_of
from ...locks.terms import Ending, How, lease_id, term_of
from ...types import Decree, NodeId
from ...wire.peers import EndTerm, GiveUp, GiveUpTaken
from ...wire.requests import GivenUp, GiveUpRequest, LockRequest
from ..step.effects import Send
from ..step.events import ResendRead
from ..step.node import Node, refusal
from ..step.pending import PendingRequest, PendingRequests
from ..step.step_builder import Pending, StepBuilder
from .lock_queues import LockQueues

GIVEN_UP = "the claim was given up by its claimer"


class Passing(Struct, eq=False):
    """One give-up on its way passing.

    Attributes:
        pending: the request behind it.
        message: what goes to every node.
        taken: who has taken it.
    """

    pending: PendingRequest
    message: GiveUp
    taken: set[NodeId] = set()


class GiveUpRequests:
    """All give-ups of a node.

    Args:
        node: who we are.
        requests: where answers go.
        leases: the node's own, which remember what was given up.
        lock_queues: those who wait.
    """

    def __init__(
        self, node: Node, requests: PendingRequests, leases: Leases, lock_queues: LockQueues
    ) -> None:
        self._node = node
        self._requests = requests
        self._leases = leases
        self._lock_queues = lock_queues
        self._passing: dict[int, Passing] = {}

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"give-ups": self._passing}

    # -- requests

    def begin(self, step: StepBuilder, pending: PendingRequest, request: GiveUpRequest) -> None:
        """A claimer has shown his secret: tell all nodes, this one included."""
        if not self._node.voting:
            self._requests.fail(step, pending, *refusal(self._node))
            return
        message = GiveUp(
            self._node.tokens.ask(self),
            request.lock,
            request.claim_id,
            request.ttl_ms,
            hash_of(request.secret),
        )
        self._passing[message.id] = Passing(pending, message)
        step.broadcast((*self._node.others, self._node.name), message)
        step.ask_again(message.id, self._node.config.timing.resend_ms)

    def refuses(self, step: StepBuilder, pending: PendingRequest, request: LockRequest) -> bool:
        """Whether the claim was given up, perhaps before it arrived; then it is answered here."""
        claim = request.claim
        given_up = self._leases.given_up.has(claim.claim_id, claim.secret_hash)
        if given_up:
            self._requests.fail(step, pending, BadRequest, GIVEN_UP)
        return given_up

    def prune(self) -> None:
        """Forget what nobody waits for any more."""
        for token in [t for t, passing in self._passing.items() if passing.pending.done]:
            self._drop(token)

    def abandon(self) -> None:
        """The disk failed. The replica fails the requests themselves."""
        for token in list(self._passing):
            self._drop(token)

    def _drop(self, token: int) -> None:
        """A give-up is over."""
        del self._passing[token]
        self._node.tokens.close(token)

    def on_taken(self, step: StepBuilder, sender: NodeId, answer: GiveUpTaken) -> None:
        """A node has taken it; with a prepare quorum, the claim can hold nothing any more."""
        passing = self._passing.get(answer.id)
        if passing is None:
            return
        passing.taken.add(sender)
        if self._node.config.quorums.prepared(passing.taken):
            self._drop(answer.id)
            self._requests.answer(step, passing.pending, GivenUp(passing.pending.request.id))

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Tell those again who have not taken it (R02)."""
        passing = self._passing.get(timer.token)
        if passing is None:
            return
        if passing.pending.done:
            self._drop(timer.token)
            return
        missing = [node for node in self._node.config.nodes if node not in passing.taken]
        step.broadcast(missing, passing.message)
        step.ask_again(timer.token, self._node.config.timing.resend_ms)

    # -- as a node that takes it

    def on_give_up(self, step: StepBuilder, sender: NodeId, message: GiveUp) -> None:
        """Take it, and say so if there is room to remember it."""
        if not self._node.voting:
            return
        taken = self._leases.give_up(
            step.now_ms, message.lock, message.claim_id, message.ttl_ms, message.secret_hash
        )
        self._pass_over(step, message)
        latest = self._lock_queues.latest.of(message.lock)
        if latest is not None:
            self._leases.end_if_decreed_to_given_up(step.now_ms, latest)
            if latest.claim_id == message.claim_id and self._leases.ending(lease_id(latest)):
                self._lock_queues.on_ended(step, lease_id(latest))
        if taken:
            step.at_once(Send(sender, GiveUpTaken(message.id)))

    def on_learned(self, step: StepBuilder, decree: Decree) -> None:
        """A term is decided: a given-up claim's is over, and those who missed the give-up are told."""
        if self._leases.end_if_decreed_to_given_up(step.now_ms, decree):
            over = EndTerm(lease_id(decree), term_of(decree).ttl_ms, Ending(How.RELEASED))
            step.broadcast(self._node.others, over)

    def _pass_over(self, step: StepBuilder, message: GiveUp) -> None:
        """Those who wait for the claim here leave the queue."""
        for pending in self._lock_queues.waiting(message.lock, message.claim_id):
            request = pending.request
            assert isinstance(request, LockRequest), "who only asks makes no claim"
            if request.claim.secret_hash == message.secret_hash:
                self._requests.fail(step, pending, BadRequest, GIVEN_UP)
                self._lock_queues.leave(step, pending)
