"""How many bytes a message carries: what bounds on memory count.

Of what peers say and of answers, values count; the rest is small and bounded by its types. Of requests
all counts that a client may make long, since they may wait for long.
"""

from collections.abc import Callable
from typing import Any

from ..paxos.messages import Accept, AcceptMany, Commit, Promise
from ..wire.gateways import ActForRequest, ClientMessage
from ..wire.members import ChangeRequest
from ..wire.packed import PackedPage
from ..wire.peers import Fetched, PassedClaim, PeerMessage, ScanAnswer, StatePage
from ..wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    EndRequest,
    GetRequest,
    GiveUpRequest,
    HolderRequest,
    KeepAliveRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    LockRequest,
    PolicyApplied,
    PolicyRequest,
    WaitRequest,
    WatchPage,
    WatchRequest,
)

LIST_BYTES = 768
"""A page in the making takes so much more than other requests."""


def size(request: ClientMessage) -> int:
    """About the bytes of all values and texts in a request."""
    measure = _SIZES.get(type(request))
    return measure(request) if measure is not None else 0


def weight(message: PeerMessage | Answer) -> int:
    """The bytes of all values in `message`."""
    weigh = _WEIGHTS.get(type(message))
    return weigh(message) if weigh is not None else 0


def _of_claim(message: ClaimRequest | ClaimNextRequest) -> int:
    return len(message.claim.value)


def _of_passed(message: PassedClaim) -> int:
    return _of_claim(message.request)


def _of_whole_claim(request: ClaimRequest | ClaimNextRequest) -> int:
    claim = request.claim
    return len(claim.value) + len(claim.key) + len(claim.note)


def _of_key(request: GetRequest | WaitRequest) -> int:
    return len(request.key)


def _of_series(request: LatestRequest) -> int:
    return len(request.series)


def _of_list(request: ListRequest) -> int:
    return len(request.prefix) + len(request.after) + LIST_BYTES


def _of_watch(request: WatchRequest) -> int:
    return len(request.prefix)


def _of_lock(request: LockRequest) -> int:
    return len(request.lock) + len(request.claim.info) + len(request.claim.note)


def _of_holder(request: HolderRequest | GiveUpRequest) -> int:
    return len(request.lock)


def _of_change(request: ChangeRequest) -> int:
    texts = sum(len(voter.node) + len(voter.address) for voter in request.voters)
    return texts + len(request.claimant) + len(request.note)


def _of_policy(request: PolicyRequest) -> int:
    return len(request.document) + len(request.claimant) + len(request.note)


def _of_named(request: ActForRequest) -> int:
    return size(request.request) + len(request.identity)


def _values_of_named(request: ActForRequest) -> int:
    weigh = _WEIGHTS.get(type(request.request))
    return weigh(request.request) if weigh is not None else 0


def _of_tenure(request: KeepAliveRequest | EndRequest) -> int:
    return len(request.lease_id.lock)


def _of_decree(message: Accept | Commit | Decreed | PolicyApplied) -> int:
    return len(message.decree.value)


def _of_promise(message: Promise) -> int:
    return len(message.accepted.decree.value) if message.accepted else 0


def _of_scan(message: ScanAnswer) -> int:
    return sum(len(decree.value) for decree in message.learned)


def _of_many(message: AcceptMany | Fetched | ListPage | WatchPage) -> int:
    return sum(len(decree.value) for decree in message.decrees)


def _of_packed(message: PackedPage) -> int:
    return len(message.body)


def _of_state(message: StatePage) -> int:
    return sum(len(proposal.decree.value) for proposal in message.proposals)


# looked up by type: it is done for every message, and most of them carry nothing
_SIZES: dict[type[object], Callable[[Any], int]] = {
    ClaimRequest: _of_whole_claim,
    ClaimNextRequest: _of_whole_claim,
    GetRequest: _of_key,
    WaitRequest: _of_key,
    LatestRequest: _of_series,
    ListRequest: _of_list,
    WatchRequest: _of_watch,
    LockRequest: _of_lock,
    HolderRequest: _of_holder,
    GiveUpRequest: _of_holder,
    KeepAliveRequest: _of_tenure,
    EndRequest: _of_tenure,
    ChangeRequest: _of_change,
    PolicyRequest: _of_policy,
    ActForRequest: _of_named,
}
_WEIGHTS: dict[type[object], Callable[[Any], int]] = {
    ClaimRequest: _of_claim,
    ClaimNextRequest: _of_claim,
    ActForRequest: _values_of_named,
    PassedClaim: _of_passed,
    Accept: _of_decree,
    Commit: _of_decree,
    AcceptMany: _of_many,
    Decreed: _of_decree,
    Fetched: _of_many,
    Promise: _of_promise,
    ScanAnswer: _of_scan,
    StatePage: _of_state,
    ListPage: _of_many,
    PackedPage: _of_packed,
    WatchPage: _of_many,
    PolicyApplied: _of_decree,
}
