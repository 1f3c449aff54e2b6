"""The requests of clients, and the answers of nodes.

Every request carries an id that is unique on its connection; answers carry the same id and may come
in any order. `timeout_ms` is how long the node may work at it before it must answer. A node that
forwards a request to another node uses the same messages.
"""

from typing import Annotated

from msgspec import Meta

from ..keys import MAX_SLOT
from ..locks.secret import SecretBytes, Secretive
from ..locks.terms import MAX_LOCK_BYTES, Ending, LeaseId, TermClaim, TtlMs
from ..policy.document import MAX_POLICY_BYTES
from ..types import (
    MAX_CLAIMANT_CHARS,
    MAX_NOTE_CHARS,
    Claim,
    ClaimIdBytes,
    Counter,
    Decree,
    KeyText,
    NodeText,
    Value,
)
from .bounds import MAX_TIMEOUT_MS as MAX_TIMEOUT_MS
from .bounds import TimeoutMs
from .handshake import Text
from .marks import MarkRequest, MarkTold
from .members import ChangePlan, ChangeRequest, MembersReport, MembersRequest
from .packed import PackedPage
from .positions import Position as Position
from .scrub import ScrubReport, ScrubRequest
from .status import StatusReport

MAX_PAGE = 1_000

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
    """Read the decrees under a prefix, in key order.

    Answer: `ListPage`, or `PackedPage` if it is whole; or `Failed`.

    Args:
        id: the request's id.
        timeout_ms: how long the node may try.
        prefix: a path, or empty for all keys.
        after: only keys after this one; empty to begin.
        limit: the most decrees in the page.
        whole: for a snapshot: refuse, rather than leave out what the caller may not read.
    """

    id: Counter
    timeout_ms: TimeoutMs
    prefix: PathText
    after: Annotated[str, Meta(max_length=512)]
    limit: PageSize
    whole: bool = False


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


class PolicyRequest(Value, frozen=True, tag=68):
    """Have policy `base` followed by this one, and wait until it is in force (S16).

    Answer: `PolicyApplied`; `Decreed`, with another's policy that follows `base`; or `Failed`. A
    repetition takes the same claim id, and goes on waiting at the same node.

    Args:
        id: the request's id.
        timeout_ms: how long to wait.
        base: the number of the policy that the proposer saw; 0: there was none.
        document: the policy; what is decided is its canonical form.
        claimant: who wants it.
        claim_id: names this wish.
        note: free text, kept in the decree.
    """

    id: Counter
    timeout_ms: TimeoutMs
    base: Annotated[int, Meta(ge=0, le=MAX_SLOT - 1)]
    document: Annotated[bytes, Meta(max_length=MAX_POLICY_BYTES)]
    claimant: Annotated[str, Meta(max_length=MAX_CLAIMANT_CHARS)]
    claim_id: ClaimIdBytes
    note: Annotated[str, Meta(max_length=MAX_NOTE_CHARS)]

    def __repr__(self) -> str:
        return f"<PolicyRequest on {self.base}: {len(self.document)} bytes>"


class Decreed(Value, frozen=True, tag=70):
    """The key is frozen to this decree."""

    id: Counter
    decree: Decree


class Undecided(Value, frozen=True, tag=71):
    """A prepare quorum answered after the request arrived, and nothing is chosen."""

    id: Counter


class Failed(Value, frozen=True, tag=72):
    """The request failed, with a code of `ERRORS`; if busy, worth another try after `wait_ms`."""

    id: Counter
    code: Counter
    message: Text
    wait_ms: Counter = 0


class ListPage(Value, frozen=True, tag=73):
    """Decrees in key order. `next_after` is the `after` of the next page, None at the end."""

    id: Counter
    decrees: tuple[Decree, ...]
    next_after: Annotated[str, Meta(max_length=512)] | None


class WatchPage(Value, frozen=True, tag=74):
    """Decrees in the order in which the node learned them, and the position after them.

    `lost` says that the position asked for is not in this node's feed, since it belongs to another
    node or feed: list first, then go on from `position`.
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


class PolicyApplied(Value, frozen=True, tag=89):
    """The policy is decided.

    Args:
        id: the request's id.
        decree: of the policy.
        in_force: whether nobody begins a claim or a lock under an older one any more.
        missing: the voters that are not known to know it.
    """

    id: Counter
    decree: Decree
    in_force: bool
    missing: tuple[NodeText, ...]


Nameable = (
    ClaimRequest
    | ClaimNextRequest
    | GetRequest
    | WaitRequest
    | LatestRequest
    | ListRequest
    | WatchRequest
    | StatusRequest
    | LockRequest
    | KeepAliveRequest
    | EndRequest
    | HolderRequest
    | GiveUpRequest
    | ChangeRequest
    | MembersRequest
    | ScrubRequest
    | PolicyRequest
    | MarkRequest
)
"""The requests that somebody may have sent for another (`gateways`): they are judged by rights."""
Request = Nameable | Cancel | ClientPing
Answer = (
    Decreed
    | Undecided
    | Failed
    | ListPage
    | PackedPage
    | WatchPage
    | StatusReport
    | ClientPong
    | Granted
    | HeldBy
    | Kept
    | Superseded
    | Ended
    | GivenUp
    | ChangePlan
    | MembersReport
    | ScrubReport
    | PolicyApplied
    | MarkTold
)
