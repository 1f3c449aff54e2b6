"""What clients want, what they have asked, and what they have seen."""

from dataclasses import dataclass, field

from decreed.registry.replica.replica import Replica
from decreed.registry.types import Claim, Key, NodeId
from decreed.registry.wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    GetRequest,
    LatestRequest,
    ListRequest,
    Position,
    WaitRequest,
)

KEYS = ["a", "b", "p/c"]
SERIES = ["s", "p/s"]

Mark = tuple[NodeId, int]
Query = GetRequest | WaitRequest | LatestRequest | ListRequest


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
        replica: the life of the node that was asked.
        due_ms: when it must have been answered, one way or another.
        known: how many keys had been chosen when it was made.
        wish: what it is a try for, if it is a claim.
    """

    request: Query | ClaimRequest | ClaimNextRequest
    replica: Replica
    due_ms: float
    known: int
    wish: Wish | None = None


@dataclass(eq=False)
class Watcher:
    """A client that follows one node's feed, through every life of that node."""

    position: Position | None = None
    start: int = 0
    mark: Mark | None = None
    asked: Replica | None = None
    seen: list[Key] = field(default_factory=list)
