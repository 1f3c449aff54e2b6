"""Events that concern several parts of this room, and the order in which the parts handle them."""

from collections.abc import Sequence

from ...types import Decree
from ...unserved import ForgottenInstance
from ...wire.requests import LockRequest
from ..step.pending import PendingRequest
from ..step.step_builder import StepBuilder
from .giving_up import GiveUpRequests
from .lock_queues import LockQueues
from .renewals import Renewals


class Locks:
    """What a node does for locks, besides voting on their terms.

    Args:
        lock_queues: the waiters.
        renewals: keep-alives and endings.
        giving_up: give-ups.
    """

    def __init__(
        self, lock_queues: LockQueues, renewals: Renewals, giving_up: GiveUpRequests
    ) -> None:
        self._lock_queues = lock_queues
        self._renewals = renewals
        self._giving_up = giving_up

    def begin(self, step: StepBuilder, pending: PendingRequest, request: LockRequest) -> None:
        """Queue a request for a lock, unless its claim was given up, perhaps before it arrived."""
        if not self._giving_up.refuses(step, pending, request):
            self._lock_queues.begin(step, pending, request)

    def on_terms(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Act on learned terms."""
        for decree in decrees:
            # first, since the queue checks how the term ended
            self._giving_up.on_learned(step, decree)
            self._lock_queues.on_learned(step, decree)
            self._renewals.untold.on_learned(decree)

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """Act on forgotten terms."""
        self._lock_queues.on_forgotten(step, gone)
        self._renewals.on_forgotten(step, gone)

    def on_epoch(self, step: StepBuilder) -> None:
        """Ask all open questions again: an answer counts for one epoch only (M12)."""
        self._lock_queues.asking.on_epoch(step)
        self._renewals.on_epoch(step)
        self._giving_up.on_epoch(step)

    def prune(self) -> None:
        """Drop what waits for requests that are done."""
        self._lock_queues.asking.prune()
        self._renewals.prune()
        self._giving_up.prune()

    def abandon(self) -> None:
        """Drop everything, since the disk failed; `Replica` fails the requests."""
        self._lock_queues.abandon()
        self._renewals.abandon()
        self._giving_up.abandon()
