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
            quorums = self._node.config.quorums
            leased = 2 * quorums.accept > len(quorums.members)
            self._requests.answer(step, pending, Granted(pending.request.id, decree, leased))

    def grant(self, step: StepBuilder, queue: LockQueue, decree: Decree) -> None:
        """Grant a term to the waiters that it belongs to: a repeated request may find it decided."""
        for pending in queue.waiters:
            self.settle(step, pending, decree)

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
