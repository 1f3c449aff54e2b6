"""Locks at a node: what those who wait, those who hold and those who give up do together."""

from collections.abc import Sequence

from ...disk import ForgottenInstance
from ...types import Decree
from ...wire.requests import LockRequest
from ..step.pending import PendingRequest
from ..step.step_builder import StepBuilder
from .giving_up import GiveUpRequests
from .lock_queues import LockQueues
from .renewals import Renewals


class Locks:
    """What a node does for locks, besides voting on their terms.

    Args:
        lock_queues: those who wait.
        renewals: those who hold.
        giving_up: those who want it no more.
    """

    def __init__(
        self, lock_queues: LockQueues, renewals: Renewals, giving_up: GiveUpRequests
    ) -> None:
        self._lock_queues = lock_queues
        self._renewals = renewals
        self._giving_up = giving_up

    def begin(self, step: StepBuilder, pending: PendingRequest, request: LockRequest) -> None:
        """Somebody wants a lock, unless its claim was given up, perhaps before it arrived."""
        if not self._giving_up.refuses(step, pending, request):
            self._lock_queues.begin(step, pending, request)

    def on_terms(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Terms are decided."""
        for decree in decrees:
            self._giving_up.on_learned(
                step, decree
            )  # first: the next in line looks at how it ended
            self._lock_queues.on_learned(step, decree)

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """Terms of a lock are forgotten."""
        self._lock_queues.on_forgotten(step, gone)
        self._renewals.on_forgotten(step, gone)

    def prune(self) -> None:
        """Forget what nobody waits for any more."""
        self._lock_queues.asking.prune()
        self._renewals.prune()
        self._giving_up.prune()

    def abandon(self) -> None:
        """The disk failed. The replica fails the requests themselves."""
        self._lock_queues.abandon()
        self._renewals.abandon()
        self._giving_up.abandon()
