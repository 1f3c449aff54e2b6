"""The answers to requests in a lock queue: granted, or held by another claim (design 11)."""

from math import ceil

from ...locks.terms import Ending, TermClaim, term_of
from ...types import Decree
from ...wire.requests import Granted, HeldBy, LockRequest
from ..step.node import Node
from ..step.pending import PendingRequest, PendingRequests
from ..step.step_builder import StepBuilder
from .lock_queue import LockQueue


class Granting:
    """Answers the waiters.

    Args:
        node: its quorum sizes decide whether a grant begins a lease.
        requests: where answers go.
    """

    def __init__(self, node: Node, requests: PendingRequests) -> None:
        self._node = node
        self._requests = requests

    def settle(self, step: StepBuilder, pending: PendingRequest, decree: Decree) -> None:
        """Grant a decided term to a waiter if it is its own; otherwise the waiter remains queued."""
        if isinstance(pending.request, LockRequest) and _is_won(pending.request.claim, decree):
            leased = self._is_leased(step, decree)
            self._requests.answer(step, pending, Granted(pending.request.id, decree, leased))

    def grant(self, step: StepBuilder, queue: LockQueue, decree: Decree) -> None:
        """Grant a term to the waiters that it belongs to: a repeated request may find it decided."""
        for pending in queue.by_claim.get(decree.claim_id, ()):
            self.settle(step, pending, decree)

    def _is_leased(self, step: StepBuilder, decree: Decree) -> bool:
        """M15: whether every accept quorum has a node that accepted the term and started a lease.

        Only what was counted here is known to have been chosen by a quorum of this epoch: one of the
        next epoch, of which this node has not heard, may be smaller. And only what was first proposed
        in this epoch was not chosen before: in an earlier epoch with smaller quorums the next term may
        have been chosen too, by nodes without a lease, so that two holders would be valid.
        """
        quorums = self._node.quorums
        is_of_epoch = decree.ballot.epoch == self._node.epoch.number
        is_counted = is_of_epoch and decree.key in step.counted
        return is_counted and 2 * quorums.accept > len(quorums.members)

    def tell_held(
        self,
        step: StepBuilder,
        pending: PendingRequest,
        decree: Decree,
        queue: LockQueue,
        free_ms: float,
        ending: Ending | None = None,
    ) -> None:
        """Answer that another claim holds the lock, until `free_ms` at least."""
        remaining_ms = max(0, ceil(free_ms - step.now_ms))
        held = HeldBy(pending.request.id, decree, remaining_ms, ending, queue.queued)
        self._requests.answer(step, pending, held)


def _is_won(claim: TermClaim, decree: Decree) -> bool:
    """Whether a term is the claim's. The id alone does not prove it, since all clients can read it."""
    if decree.claim_id != claim.claim_id:
        return False
    return term_of(decree).secret_hash == claim.secret_hash
