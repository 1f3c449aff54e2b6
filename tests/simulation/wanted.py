"""What clients want, and which requests they have sent."""

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
    """What one client wants to freeze, in one request or several.

    Attributes:
        claim: the claim; its key is the first slot if the client wants the next free one.
        following: whether the client wants the next free slot of a series.
        tries: how many requests were sent for it.
        refusals: how many of them got a definite error.
        over: all requests got a definite error, so the claim must never be proposed.
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
        request: the request.
        pending: its operation in the history; None if it has no operation.
        known: how many keys were decided when it was sent.
        wish: the wish that it is sent for, if it is a claim.
        due_ms: the time on the node's own clock by which it must have an answer or an error; None until
            the node has seen it.
    """

    request: Query | AnyClaim
    pending: Pending | None
    known: int
    wish: Wish | None = None
    due_ms: float | None = None
