"""What right each request takes, and on what: one row for each kind (S19).

A list and a watch take the right on anything at their prefix, above it or below it, and show what may
be read of it (S63, S64). A row depends on the request alone, never on what is stored.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from msgspec import Struct

from ..keys import MEMBERS, POLICY
from ..locks.terms import How
from ..wire.marks import MarkRequest
from ..wire.members import ChangeRequest, MembersRequest
from ..wire.requests import (
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    ClientPing,
    EndRequest,
    GetRequest,
    GiveUpRequest,
    HolderRequest,
    KeepAliveRequest,
    LatestRequest,
    ListRequest,
    LockRequest,
    PolicyRequest,
    Request,
    StatusRequest,
    WaitRequest,
    WatchRequest,
)
from ..wire.scrub import ScrubRequest
from .document import Right
from .rights import CLUSTER

R = TypeVar("R", bound=Request)


class Need(Struct, frozen=True):
    """What a request takes.

    Args:
        right: the right.
        name: on what: a path, a lock, or `CLUSTER`.
        shows: what else its answer may tell, which takes `Right.READ`; empty: nothing else.
        looks: whether it begins nothing, although it takes another right than `Right.READ`.
        below: it is enough to have the right on something below the name: only that is shown.
        reads: what it reads besides, all of it, which takes `Right.READ`; None: nothing.
    """

    right: Right
    name: str
    shows: str = ""
    looks: bool = False
    below: bool = False
    reads: str | None = None

    @property
    def begins(self) -> bool:
        """Whether it begins something, and so takes a policy that is confirmed (S15)."""
        return self.right is not Right.READ and not self.looks


NOTHING: Final = None
"""It takes no right: it shows a secret, or tells only whether the node runs."""
_ADMIN: Final = Need(Right.ADMIN, CLUSTER)
_LOOKS: Final = Need(Right.ADMIN, CLUSTER, looks=True)
"""What an operator looks at when something is wrong, so it goes on at a node without a quorum."""
FOR_ADMINISTRATORS: Final = (POLICY, MEMBERS)
"""What can be granted to nobody to read, and is read whole by those who have `Right.ADMIN`."""


def need_of(request: Request) -> Need | None:
    """What a request takes; None: no right at all."""
    return ROWS[type(request)](request)


def _claims(request: ClaimRequest | ClaimNextRequest) -> Need:
    path = request.claim.key.partition("@")[0]
    return Need(Right.CLAIM, path, path)


def _reads(request: GetRequest | WaitRequest) -> Need:
    return _reading(_path(request.key))


def _reading(path: str) -> Need:
    """Policies name everybody, and decrees of members name disks (S20): both are for administrators."""
    return _LOOKS if path in FOR_ADMINISTRATORS else Need(Right.READ, path)


def _lists(request: ListRequest) -> Need:
    """A page of a snapshot takes everything that it has, so that nothing is missing without a word."""
    if request.whole:
        return Need(Right.ADMIN, CLUSTER, reads=request.prefix)
    return _reading_below(request.prefix)


def _reading_below(prefix: str) -> Need:
    return _LOOKS if prefix in FOR_ADMINISTRATORS else Need(Right.READ, prefix, below=True)


def _ends(request: EndRequest) -> Need | None:
    """A release shows the holder's secret, and only frees; a break takes a right of its own."""
    if request.ending.how is How.RELEASED:
        return NOTHING
    return Need(Right.BREAK, request.lease_id.lock)


def _gives_up(request: GiveUpRequest) -> Need:
    """All nodes remember it for an hour if they are asked to, and it may come before its claim.

    So it is for those alone who may claim the lock: else a stranger could take all the room for it.
    """
    return Need(Right.LOCK, request.lock, looks=True)


def _path(key: str) -> str:
    return key.partition("@")[0]


ROWS: Final[dict[type[Any], Callable[[Any], Need | None]]] = {
    ClaimRequest: _claims,
    ClaimNextRequest: _claims,
    GetRequest: _reads,
    WaitRequest: _reads,
    LatestRequest: lambda request: _reading(request.series),
    ListRequest: _lists,
    WatchRequest: lambda request: _reading_below(request.prefix),
    StatusRequest: lambda _: Need(Right.READ, "$status"),
    Cancel: lambda _: NOTHING,
    ClientPing: lambda _: NOTHING,
    LockRequest: lambda request: Need(Right.LOCK, request.lock, shows=request.lock),
    KeepAliveRequest: lambda request: Need(Right.LOCK, request.lease_id.lock),
    EndRequest: _ends,
    HolderRequest: lambda request: Need(Right.READ, request.lock),
    GiveUpRequest: _gives_up,
    ChangeRequest: lambda _: _ADMIN,
    MembersRequest: lambda _: _LOOKS,
    ScrubRequest: lambda _: _LOOKS,
    PolicyRequest: lambda _: _ADMIN,
    MarkRequest: lambda _: _LOOKS,
}
"""One row for each kind of request, and none without."""
