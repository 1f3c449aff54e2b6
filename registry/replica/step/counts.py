"""What one node counts of its own work: how requests ended, ballots that lost, sizes of batches.

The parts add to it; the admin listener of the server reads it. It decides nothing.
"""

from msgspec import Struct, field

from ...counting import SIZES, Histogram
from ...types import Outcome, outcome
from ...wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    LatestRequest,
    ListRequest,
    LockRequest,
    Request,
)

Ending = Outcome | int | type[Answer]
"""How a request ended: what its claim came to, the code of an error, or the kind of answer."""
TIMED = (ClaimRequest, ClaimNextRequest, GetRequest, LatestRequest, ListRequest, LockRequest)
"""Requests that end as soon as the cluster has done its work; waits and watches last as they like."""


class Counts(Struct, eq=False):
    """What was counted since the start.

    Attributes:
        endings: how many requests of clients of each kind ended in each way.
        took_ms: for each timed kind, how long its requests took, from the turn that took them.
        preemptions: how many ballots of this node, for one key each, lost to a higher one.
        nacks: how many messages of proposers this node refused for a higher promise.
        batches: how many keys each batch has that was proposed here.
    """

    endings: dict[tuple[type[Request], Ending], int] = {}
    took_ms: dict[type[Request], Histogram] = field(
        default_factory=lambda: {kind: Histogram() for kind in TIMED}
    )
    preemptions: int = 0
    nacks: int = 0
    batches: Histogram = field(default_factory=lambda: Histogram(SIZES))

    def ended(self, request: Request, answer: Answer, took_ms: float) -> None:
        """A request of a client was answered.

        Args:
            request: the request.
            answer: as the client gets it.
            took_ms: since the turn that took it.
        """
        kind = type(request)
        ending: Ending = type(answer)
        if isinstance(answer, Decreed):
            if isinstance(request, ClaimRequest | ClaimNextRequest):
                ending = outcome(request.claim, answer.decree)
        elif isinstance(answer, Failed):
            ending = answer.code
        place = kind, ending
        self.endings[place] = self.endings.get(place, 0) + 1
        timed = self.took_ms.get(kind)
        if timed is not None:
            timed.note(took_ms)

    def ended_alike(self, kind: type[Request], ending: Ending, took_ms: float, times: int) -> None:
        """Some requests of one kind ended in the same way, after the same time."""
        place = kind, ending
        self.endings[place] = self.endings.get(place, 0) + times
        timed = self.took_ms.get(kind)
        if timed is not None:
            timed.note(took_ms, times)
