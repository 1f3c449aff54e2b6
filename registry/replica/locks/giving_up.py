"""Giving up: a client declares that its claim for a lock wants no term any more (design 11).

The node that gets the give-up passes it to all nodes, and answers when a prepare quorum has taken
it. A node that takes it fails the waiters of the claim and takes no new ones. It ends the claim's
term if it knows one, and starts no lease for the claim from then on. It still accepts proposals for
the claim, since a proposal that may be chosen must remain choosable (R16). A term chosen that way
is over as soon as one node of the quorum learns of it.

Invariants kept here:

* a give-up acts only on a claim with the same id and the same hash of the secret;
* a broken connection is no give-up, and neither is a `Cancel`;
* `GivenUp` is answered only after a prepare quorum remembers the give-up. Any accept quorum shares
  a node with it. So for any term that the claim may still win, a node that accepted it holds no
  lease on it, and answers so.
"""

from msgspec import Struct
from msgspec.structs import replace

from ...errors import BadRequest
from ...locks.leases import Leases
from ...locks.secret import hash_of
from ...locks.terms import Ending, How, lease_id, term_of
from ...types import Decree, NodeId
from ...wire.leases import EndTerm, GiveUp, GiveUpTaken
from ...wire.requests import GivenUp, GiveUpRequest, LockRequest
from ..step.effects import Send
from ..step.events import ResendRead
from ..step.node import Node, refusal
from ..step.pending import PendingRequest, PendingRequests
from ..step.step_builder import Pending, StepBuilder
from .lock_queues import LockQueues

GIVEN_UP = "the claim was given up by its claimer"


class Passing(Struct, eq=False):
    """One give-up on its way to all nodes.

    Attributes:
        pending: the request behind it.
        message: the message to every node.
        taken: the nodes that have taken it.
    """

    pending: PendingRequest
    message: GiveUp
    taken: set[NodeId] = set()


class GiveUpRequests:
    """All give-ups of a node.

    Args:
        node: who we are.
        requests: where answers go.
        leases: the node's leases, which also remember the give-ups.
        lock_queues: the waiters of all locks.
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
        """Send a client's give-up to all nodes, this one included."""
        if not self._node.takes_part:
            self._requests.fail(step, pending, *refusal(self._node))
            return
        message = GiveUp(
            self._node.tokens.ask(self),
            request.lock,
            request.claim_id,
            request.ttl_ms,
            hash_of(request.secret),
        )
        self._ask(step, pending, message)

    def on_epoch(self, step: StepBuilder) -> None:
        """M12: send all give-ups again: they are remembered by a quorum of one epoch."""
        for token, passing in list(self._passing.items()):
            self._drop(token)
            if not passing.pending.done:
                message = replace(passing.message, id=self._node.tokens.ask(self))
                self._ask(step, passing.pending, message)

    def _ask(self, step: StepBuilder, pending: PendingRequest, message: GiveUp) -> None:
        """Send a give-up to all nodes, this one included."""
        self._passing[message.id] = Passing(pending, message)
        step.broadcast((*self._node.others, self._node.name), message)
        step.ask_again(message.id, self._node.config.timing.resend_ms)

    def refuses(self, step: StepBuilder, pending: PendingRequest, request: LockRequest) -> bool:
        """Fail a request whose claim was given up, perhaps before it arrived; True if it was."""
        claim = request.claim
        given_up = self._leases.given_up.has(claim.claim_id, claim.secret_hash)
        if given_up:
            self._requests.fail(step, pending, BadRequest, GIVEN_UP)
        return given_up

    def prune(self) -> None:
        """Drop the give-ups whose requests are done."""
        for token in [t for t, passing in self._passing.items() if passing.pending.done]:
            self._drop(token)

    def abandon(self) -> None:
        """Drop everything, since the disk failed; `Replica` fails the requests."""
        for token in list(self._passing):
            self._drop(token)

    def _drop(self, token: int) -> None:
        """End a give-up."""
        del self._passing[token]
        self._node.tokens.close(token)

    def on_taken(self, step: StepBuilder, sender: NodeId, answer: GiveUpTaken) -> None:
        """Count a node that has taken it. After a prepare quorum the claim can hold no term."""
        passing = self._passing.get(answer.id)
        if passing is None:
            return
        passing.taken.add(sender)
        if self._node.quorums.prepared(passing.taken):
            self._drop(answer.id)
            self._requests.answer(step, passing.pending, GivenUp(passing.pending.request.id))

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Repeat the give-up to nodes that have not taken it (R02)."""
        passing = self._passing.get(timer.token)
        if passing is None:
            return
        if passing.pending.done:
            self._drop(timer.token)
            return
        missing = [node for node in self._node.nodes if node not in passing.taken]
        step.broadcast(missing, passing.message)
        step.ask_again(timer.token, self._node.config.timing.resend_ms)

    # -- as a node that takes it

    def on_give_up(self, step: StepBuilder, sender: NodeId, message: GiveUp) -> None:
        """Take a give-up, and confirm it if there is room to remember it."""
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
        """End a term whose claim was given up, and tell the nodes that missed the give-up."""
        if self._leases.end_if_decreed_to_given_up(step.now_ms, decree):
            over = EndTerm(lease_id(decree), term_of(decree).ttl_ms, Ending(How.RELEASED))
            step.broadcast(self._node.others, over)

    def _pass_over(self, step: StepBuilder, message: GiveUp) -> None:
        """Fail the waiters of the claim, and remove them from the queue."""
        for pending in self._lock_queues.waiting(message.lock, message.claim_id):
            request = pending.request
            assert isinstance(request, LockRequest), "a request for the holder has no claim"
            if request.claim.secret_hash == message.secret_hash:
                self._requests.fail(step, pending, BadRequest, GIVEN_UP)
                self._lock_queues.leave(step, pending)
