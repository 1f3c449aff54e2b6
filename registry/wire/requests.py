"""The requests of clients, and the answers of nodes.

Every request carries an id that is unique on its connection; answers carry the same id and may come
in any order. `timeout_ms` is how long the node may work at it before it must answer. A node that
forwards a request to another node uses the same messages.
"""

from typing import Annotated

from msgspec import Meta

from ..locks.secret import SecretBytes, Secretive
from ..locks.terms import MAX_LOCK_BYTES, Ending, LeaseId, TermClaim, TtlMs
from ..types import Claim, ClaimIdBytes, Counter, Decree, KeyText, NodeText, Value
from .handshake import IdBytes, Text
from .status import StatusReport

MAX_TIMEOUT_MS = 3_600_000
MAX_PAGE = 1_000

TimeoutMs = Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_MS)]
PageSize = Annotated[int, Meta(ge=1, le=MAX_PAGE)]
PathText = Annotated[str, Meta(max_length=512)]


class ClaimRequest(Value, frozen=True, tag=50):
    """Freeze a key. Answer: `Decreed` with what it is frozen to, or `Failed`.

    Args:
        id: the request's id.
        timeout_ms: how long the node may try.
        here: the node must coordinate itself, and not forward the claim to the key's home.
        claim: what to freeze.
    """

    id: Counter
    timeout_ms: TimeoutMs
    here: bool
    claim: Claim


class ClaimNextRequest(Value, frozen=True, tag=51):
    """Freeze the next free slot of a series. Answer: `Decreed` for that slot, or `Failed`.

    Args:
        id: the request's id.
        timeout_ms: how long the node may try.
        here: the node must coordinate itself.
        claim: what to freeze; its key is the slot at which its caller first tried. A repetition
            carries the same slot, so that the value is never frozen twice.
    """

    id: Counter
    timeout_ms: TimeoutMs
    here: bool
    claim: Claim


class GetRequest(Value, frozen=True, tag=52):
    """Read a key. Answer: `Decreed`, `Undecided` (a quorum was asked), or `Failed`."""

    id: Counter
    timeout_ms: TimeoutMs
    key: KeyText


class WaitRequest(Value, frozen=True, tag=53):
    """Wait for a key. Answer: `Decreed`; `Undecided` after the timeout; or `Failed`."""

    id: Counter
    timeout_ms: TimeoutMs
    key: KeyText


class LatestRequest(Value, frozen=True, tag=54):
    """Find the last decided slot of a series. Answer: `Decreed`, `Undecided` (no slot), `Failed`."""

    id: Counter
    timeout_ms: TimeoutMs
    series: PathText


class ListRequest(Value, frozen=True, tag=55):
    """Read the decrees under a prefix, in key order. Answer: `ListPage` or `Failed`.

    Args:
        id: the request's id.
        timeout_ms: how long the node may try.
        prefix: a path, or empty for all keys.
        after: only keys after this one; empty to begin.
        limit: the most decrees in the page.
    """

    id: Counter
    timeout_ms: TimeoutMs
    prefix: PathText
    after: Annotated[str, Meta(max_length=512)]
    limit: PageSize


class Position(Value, frozen=True):
    """A place in the feed on disk `disk_id` of `node`. Only the node knows what `index` means."""

    node: NodeText
    disk_id: IdBytes
    index: Counter


class WatchRequest(Value, frozen=True, tag=56):
    """Read what the node learned after `since`, waiting for it. Answer: `WatchPage` or `Failed`.

    Args:
        id: the request's id.
        timeout_ms: how long to wait for a decree; after that the answer is an empty page.
        prefix: a path, or empty for all keys.
        since: where to go on; None to get the node's present position immediately.
        limit: the most decrees in the page.
    """

    id: Counter
    timeout_ms: TimeoutMs
    prefix: PathText
    since: Position | None
    limit: PageSize


class StatusRequest(Value, frozen=True, tag=57):
    """Ask a node for its status. Answer: `StatusReport`."""

    id: Counter


class Cancel(Value, frozen=True, tag=58):
    """The client no longer waits for request `id`. If that is pending, it is answered with `Failed`."""

    id: Counter


class ClientPing(Value, frozen=True, tag=59):
    """Asks whether the node is alive. Answer: `ClientPong`. Does not count as a request in flight."""

    id: Counter


class LockRequest(Value, frozen=True, tag=60):
    """Acquire a lock: have its next term decreed to the caller, once the present one is over.

    Answer: `Granted`; `HeldBy` if somebody else holds it and `queue` is false, or if the timeout passed
    before anything was proposed for this request; or `Failed`. The node that is asked coordinates the
    request itself, and keeps the order of its waiters.

    Args:
        id: the request's id.
        timeout_ms: how long to wait for the lock.
        lock: its name.
        queue: whether to wait while somebody else holds it.
        claim: the claim for the term.
    """

    id: Counter
    timeout_ms: TimeoutMs
    lock: PathText
    queue: bool
    claim: TermClaim


class KeepAliveRequest(Secretive, frozen=True, tag=61):
    """Renew the leases on a term. Answer: `Kept`, `Superseded`, or `Failed`.

    Args:
        id: the request's id.
        timeout_ms: how long the node may try.
        lease_id: whose leases to renew.
        secret: the holder's; its hash is recorded in the term.
    """

    id: Counter
    timeout_ms: TimeoutMs
    lease_id: LeaseId
    secret: SecretBytes


class EndRequest(Secretive, frozen=True, tag=62):
    """End a term: its holder releases it, or an operator breaks it. Answer: `Ended` or `Failed`.

    Args:
        id: the request's id.
        timeout_ms: how long the node may take to find out about the term.
        lease_id: the hold that is over.
        ending: how it ended.
        secret: the holder's, for a release; None for a break, which needs none.
    """

    id: Counter
    timeout_ms: TimeoutMs
    lease_id: LeaseId
    ending: Ending
    secret: SecretBytes | None


class HolderRequest(Value, frozen=True, tag=63):
    """Asks who holds a lock. Answer: `HeldBy`, `Undecided` if nobody ever held it, or `Failed`."""

    id: Counter
    timeout_ms: TimeoutMs
    lock: PathText


class GiveUpRequest(Secretive, frozen=True, tag=64):
    """Give up a claim of a lock: its sender will never count itself the holder of a term of it.

    Answer: `GivenUp`, once a prepare quorum has accepted it, or `Failed`. A node that accepted it
    starts nothing more for the claim, and ends each term that was or will be decreed to it.

    Args:
        id: the request's id.
        timeout_ms: how long the node may try.
        lock: which lock the claim is for.
        claim_id: of the claim; the claim itself need not have arrived yet.
        ttl_ms: of the claim; the give-up is remembered for this long.
        secret: of the claimer; the give-up is about the claim with this id and this secret's hash only.
    """

    id: Counter
    timeout_ms: TimeoutMs
    lock: Annotated[str, Meta(min_length=1, max_length=MAX_LOCK_BYTES)]
    claim_id: ClaimIdBytes
    ttl_ms: TtlMs
    secret: SecretBytes


class Decreed(Value, frozen=True, tag=70):
    """The key is frozen to this decree."""

    id: Counter
    decree: Decree


class Undecided(Value, frozen=True, tag=71):
    """A prepare quorum answered after the request arrived, and nothing is chosen."""

    id: Counter


class Failed(Value, frozen=True, tag=72):
    """The request failed; `code` is one of `decreed.registry.errors.ERRORS`."""

    id: Counter
    code: Counter
    message: Text


class ListPage(Value, frozen=True, tag=73):
    """Decrees in key order. `next_after` is the `after` of the next page, None at the end."""

    id: Counter
    decrees: tuple[Decree, ...]
    next_after: Annotated[str, Meta(max_length=512)] | None


class WatchPage(Value, frozen=True, tag=74):
    """Decrees in the order in which the node learned them, and the position after them.

    `lost` says that the position asked for is not in this node's feed, since it belongs to another
    node or disk: list first, then go on from `position`.
    """

    id: Counter
    decrees: tuple[Decree, ...]
    position: Position
    lost: bool


class ClientPong(Value, frozen=True, tag=76):
    """The node is alive: its loop runs."""

    id: Counter


class Granted(Value, frozen=True, tag=80):
    """The caller holds the term.

    Args:
        id: the request's id.
        decree: of the term.
        leased: whether enough nodes started a lease when they accepted it, so that validity may count
            from the sending of the request; otherwise it begins with the first keep-alive.
    """

    id: Counter
    decree: Decree
    leased: bool


class HeldBy(Value, frozen=True, tag=81):
    """The state of a lock, as a prepare quorum said after the request arrived.

    Args:
        id: the request's id.
        decree: of the latest term.
        remaining_ms: how long the next term must wait if the holder renews no more; 0 if the lock
            is free.
        ending: how the term ended, if it did.
        waiters: how many wait for it at this node.
    """

    id: Counter
    decree: Decree
    remaining_ms: Counter
    ending: Ending | None
    waiters: Counter


class Kept(Value, frozen=True, tag=82):
    """A prepare quorum has renewed its leases since the request was sent."""

    id: Counter


class Superseded(Value, frozen=True, tag=83):
    """The term is over permanently: the next one is under way or decreed, or this one was ended."""

    id: Counter


class Ended(Value, frozen=True, tag=84):
    """The node has recorded that the term is over, and tells the others."""

    id: Counter


class GivenUp(Value, frozen=True, tag=85):
    """A prepare quorum has accepted the give-up: the claim can hold nothing from now on."""

    id: Counter


Request = (
    ClaimRequest
    | ClaimNextRequest
    | GetRequest
    | WaitRequest
    | LatestRequest
    | ListRequest
    | WatchRequest
    | StatusRequest
    | Cancel
    | ClientPing
    | LockRequest
    | KeepAliveRequest
    | EndRequest
    | HolderRequest
    | GiveUpRequest
)
Answer = (
    Decreed
    | Undecided
    | Failed
    | ListPage
    | WatchPage
    | StatusReport
    | ClientPong
    | Granted
    | HeldBy
    | Kept
    | Superseded
    | Ended
    | GivenUp
)
