"""What clients want, and what they have asked."""

from dataclasses import dataclass

from decreed.registry.types import Claim, NodeId
from decreed.registry.wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    GetRequest,
    LatestRequest,
    ListRequest,
    WaitRequest,
)

from ..history.recorder import Pending

Mark = tuple[NodeId, int]
"""A request: the node that was asked, and the request's id."""

Query = GetRequest | WaitRequest | LatestRequest | ListRequest
AnyClaim = ClaimRequest | ClaimNextRequest


@dataclass(eq=False)
class Wish:
    """What one client wants frozen, however often it tries.

    Attributes:
        claim: what it asks for; its key is the first slot if it wants the next free one.
        following: whether it wants the next free slot of a series.
        tries: how many requests were made for it.
        refusals: how many of them got a definite error.
        over: all tries were refused definitely, so it must never be proposed.
    """

    claim: Claim
    following: bool
    tries: int = 0
    refusals: int = 0

    @property
    def over(self) -> bool:
        return 0 < self.tries == self.refusals


@dataclass(eq=False)
class Asked:
    """A request without an answer yet.

    Attributes:
        request: what was asked.
        pending: the operation in the history that it belongs to; None if it is in none.
        known: how many keys had been chosen when it was made.
        wish: what it is a try for, if it is a claim.
        due_ms: by when, on the node's own clock, it must have been answered one way or another;
            None until the node has seen it.
    """

    request: Query | AnyClaim
    pending: Pending | None
    known: int
    wish: Wish | None = None
    due_ms: float | None = None
