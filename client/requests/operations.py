"""The operations that a client asks of a node: an `Operation` builds the request.

`attempt` chooses the node and the time. One operation may be sent to several nodes, each time with
another request id, but always with the same claim, so that repeating it is safe.
"""

from collections.abc import Callable
from math import inf
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from ...registry.keys import series_and_slot, slot_key
from ...registry.types import Claim, Decree, Key, NodeId
from ...registry.wire.gateways import ActForRequest, ClientMessage
from ...registry.wire.handshake import ClientWelcome
from ...registry.wire.marks import MarkRequest, MarkTold
from ...registry.wire.packed import PackedPage
from ...registry.wire.requests import (
    MAX_TIMEOUT_MS,
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    ClientPing,
    Decreed,
    GetRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    Position,
    StatusRequest,
    Undecided,
    WaitRequest,
    WatchPage,
    WatchRequest,
)
from ...registry.wire.status import StatusReport
from ..transport.link import Link
from .results import shown_id

HEDGE_SECONDS = 0.25
POLL_SECONDS = 20.0
GRACE_SECONDS = 1.0
LIST_HEDGE_SECONDS = 2.0
"""A page may queue at its node after the pages of others, and asking a second node makes both queues
longer. A node that says nothing at all is given up sooner (`Pulse`)."""


class Build(Protocol):
    """Builds the request from its id on the connection, the node's time limit, and ``here``."""

    def __call__(self, id: int, timeout_ms: int, here: bool) -> ClientMessage | None: ...


class Operation(Struct, frozen=True):
    """One operation, which any node may answer.

    Args:
        build: builds the request.
        expects: the kinds of answers that settle it, besides errors.
        key: routes to the key's home.
        fits: whether a decree can be the answer.
        claim: the claim that this may get chosen, whose outcome may remain unknown.
        again: what to repeat when the outcome remains unknown.
        prefer: the node to ask first if there is no key.
        only: the only link to ask.
        anywhere: whether a node without a vote may know the answer, so that the nearest one is asked
            first if the client prefers that.
        rounds: how often all nodes are tried.
        hedge: seconds of silence after which the next node is asked too.
        longest: the most seconds that a node may work at it.
        absent: seconds after which it fails if nothing listens at any endpoint.
    """

    build: Build
    expects: tuple[type, ...]
    key: Key | None = None
    fits: Callable[[Decree], bool] = lambda decree: True
    claim: Claim | None = None
    again: Callable[[], str] = lambda: ""
    prefer: NodeId | None = None
    only: Link | None = None
    anywhere: bool = False
    rounds: float = inf
    hedge: float = HEDGE_SECONDS
    longest: float = MAX_TIMEOUT_MS / 1000
    absent: float = inf


def for_another(operation: Operation, named: str) -> Operation:
    """The same operation in the name of somebody else (S08)."""

    def build(id: int, timeout_ms: int, here: bool) -> ClientMessage | None:
        request = operation.build(id, timeout_ms, here)
        assert not isinstance(request, ActForRequest | Cancel | ClientPing), "these name nobody"
        return None if request is None else ActForRequest(named, request)

    return replace(operation, build=build)


def to_meet(rounds: float = inf, only: Link | None = None, absent: float = inf) -> Operation:
    """Get the welcome of any node; nothing else is requested."""
    return Operation(
        lambda id, timeout_ms, here: None,
        (ClientWelcome,),
        rounds=rounds,
        only=only,
        absent=absent,
    )


def to_claim(claim: Claim) -> Operation:
    """Claim a key."""
    return Operation(
        lambda id, timeout_ms, here: ClaimRequest(id, timeout_ms, here, claim),
        (Decreed,),
        key=claim.key,
        fits=_is_of(claim.key),
        claim=claim,
        again=lambda: f"the claim id {shown_id(claim.claim_id)}",
    )


def to_claim_next(claim: Claim) -> Operation:
    """Claim the next free slot, starting with the one in the claim's key."""
    series, slot = series_and_slot(claim.key)
    return Operation(
        lambda id, timeout_ms, here: ClaimNextRequest(id, timeout_ms, here, claim),
        (Decreed,),
        key=claim.key,
        fits=_is_slot_of(series),
        claim=claim,
        again=lambda: f"the claim id {shown_id(claim.claim_id)} and first_slot={slot}",
    )


def to_get(key: Key) -> Operation:
    """Read a key."""
    return Operation(
        lambda id, timeout_ms, here: GetRequest(id, timeout_ms, key),
        (Decreed, Undecided),
        key=key,
        fits=_is_of(key),
        anywhere=True,
    )


def to_wait(key: Key, longest: float) -> Operation:
    """Wait for a key for at most `longest` seconds."""
    return Operation(
        lambda id, timeout_ms, here: WaitRequest(id, timeout_ms, key),
        (Decreed, Undecided),
        key=key,
        fits=_is_of(key),
        anywhere=True,
        hedge=longest + GRACE_SECONDS,
        longest=longest,
    )


def to_find_latest(series: str) -> Operation:
    """Read the last decided slot of a series."""
    return Operation(
        lambda id, timeout_ms, here: LatestRequest(id, timeout_ms, series),
        (Decreed, Undecided),
        key=slot_key(series, 1),
        fits=_is_slot_of(series),
    )


def to_list(prefix: str, after: str, limit: int, *, whole: bool = False) -> Operation:
    """Read one page of decrees; with `whole`, only if the caller may read all that is listed."""
    return Operation(
        lambda id, timeout_ms, here: ListRequest(id, timeout_ms, prefix, after, limit, whole),
        (PackedPage if whole else ListPage,),
        hedge=LIST_HEDGE_SECONDS,
    )


def to_watch(prefix: str, since: Position | None, limit: int, prefer: NodeId | None) -> Operation:
    """Read the decrees that a node learned after `since`; waits for at most `POLL_SECONDS`."""
    # without a position the answer comes immediately
    waits = 0.0 if since is None else POLL_SECONDS
    return Operation(
        lambda id, timeout_ms, here: WatchRequest(id, timeout_ms, prefix, since, limit),
        (WatchPage,),
        prefer=prefer,
        anywhere=True,
        hedge=max(HEDGE_SECONDS, waits + GRACE_SECONDS if waits else 0.0),
        longest=POLL_SECONDS,
    )


def to_report(link: Link) -> Operation:
    """Ask the node of `link`, and no other, for its status."""
    return Operation(
        lambda id, timeout_ms, here: StatusRequest(id), (StatusReport,), only=link, rounds=1
    )


def to_mark(link: Link) -> Operation:
    """Ask the node of `link`, and no other, where its feed ends."""
    return Operation(lambda id, timeout_ms, here: MarkRequest(id), (MarkTold,), only=link, rounds=1)


def _is_of(key: Key) -> Callable[[Decree], bool]:
    return lambda decree: decree.key == key


def _is_slot_of(series: str) -> Callable[[Decree], bool]:
    return lambda decree: decree.key.startswith(series + "@")
