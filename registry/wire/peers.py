"""The messages between nodes: Paxos, quorum reads, catching up, and forwarded requests."""

from typing import Annotated

from msgspec import Meta

from ..keys import MAX_SLOT
from ..locks.secret import SecretHash
from ..locks.terms import MAX_LOCK_BYTES, Ending, LeaseId, TtlMs
from ..paxos.messages import PaxosMessage
from ..types import Ballot, ClaimIdBytes, Counter, Decree, KeyText, Value
from .handshake import IdBytes, Refusal
from .requests import (
    MAX_PAGE,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    PageSize,
    PathText,
    TimeoutMs,
)

MAX_FEED_PAGE = 4_096
MAX_FETCH = 1_024
MAX_FETCHED = 128
DIGEST_BYTES = 16
"""The length of the digest of a decree, see `decreed.registry.replica.requests.spans`."""
SpanDigest = Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


class Query(Value, frozen=True, tag=30):
    """R22 for readers: asks what the receiver holds for `key`. `id` ties the answer to one read."""

    id: Counter
    key: KeyText


class QueryAnswer(Value, frozen=True, tag=31):
    """The sender's state for the key asked about, after the query arrived.

    Args:
        id: the query's id.
        accepted: whether it has accepted something and does not know whether that was chosen.
        learned: the decree, if it has learned it.
    """

    id: Counter
    accepted: bool
    learned: Decree | None


class Span(Value, frozen=True):
    """What the sender of a scan has learned in a range of keys.

    Args:
        end: its last key; it begins after the span before. None: it goes to the end of the prefix.
        digest: of all decrees that are learned in it, in key order, see
            `decreed.registry.replica.requests.spans.span_digest`.
    """

    end: KeyText | None
    digest: SpanDigest


class Scan(Value, frozen=True, tag=32):
    """Asks what the receiver holds under `prefix` and after `after` that the sender has not learned.

    Args:
        id: ties the answer to one list; never used for another one.
        timeout_ms: how long the sender waits for the answer.
        prefix, after: where to look.
        limit: the approximate number of keys wanted in an answer.
        spans: what the sender has learned there, in key order; keys after the last are not asked about.
    """

    id: Counter
    timeout_ms: TimeoutMs
    prefix: PathText
    after: PathText
    limit: PageSize
    spans: Annotated[tuple[Span, ...], Meta(min_length=1, max_length=MAX_PAGE)]


class ScanAnswer(Value, frozen=True, tag=33):
    """What the sender holds in the spans in which it differs, read after the scan arrived.

    In every other span it has learned exactly what the receiver has, and accepted nothing else.

    Args:
        id: the scan's id.
        learned: decrees, in key order.
        unlearned: keys for which it has accepted a proposal and learned no decree.
        end: the answer ends at this key; None: it covers all that was asked about.
    """

    id: Counter
    learned: tuple[Decree, ...]
    unlearned: tuple[KeyText, ...]
    end: KeyText | None


class CancelScan(Value, frozen=True, tag=39):
    """The sender no longer waits for the answer to its scan `id`."""

    id: Counter


class Pull(Value, frozen=True, tag=34):
    """Asks for the receiver's feed from entry `start` on, if `disk_id` is still its disk."""

    disk_id: IdBytes
    start: Counter
    limit: Annotated[int, Meta(ge=1, le=MAX_FEED_PAGE)]


class FeedPage(Value, frozen=True, tag=35):
    """Entries of the sender's feed from `start` on, and where its feed ends now.

    `next_start` is where the next page begins: after the last entry given, or further on if entries
    were deleted.

    Args:
        keys: the keys that the sender learned, in order.
        digests: of their decrees, `DIGEST_BYTES` each, in the same order.
    """

    disk_id: IdBytes
    start: Counter
    next_start: Counter
    end: Counter
    keys: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_FEED_PAGE)]
    digests: bytes

    def __post_init__(self) -> None:
        if len(self.digests) != len(self.keys) * DIGEST_BYTES:
            raise ValueError("as many digests as keys")


class Fetch(Value, frozen=True, tag=36):
    """Asks for the decrees of these keys, as far as the receiver has learned them, in `Fetched`."""

    keys: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_FETCH)]


class Ping(Value, frozen=True, tag=37):
    """The sender is alive.

    Args:
        feed_end: where its feed ends.
        voting: whether it may vote.
        wants_commits: whether requests wait there for decisions, so that commits should be sent
            immediately.
    """

    feed_end: Counter
    voting: bool
    wants_commits: bool


class Fetched(Value, frozen=True, tag=38):
    """R20: each of these is chosen for its key. One fetch may be answered by several messages."""

    decrees: Annotated[tuple[Decree, ...], Meta(max_length=MAX_FETCHED)]


class TermRefused(Value, frozen=True, tag=41):
    """The lease check: the sender refuses to accept the term `key` in `ballot` for `remaining_ms` more.

    It is not a nack: the ballot is not preempted, and the same accept may be sent again later.
    """

    key: KeyText
    ballot: Ballot
    remaining_ms: Counter


class AskLease(Value, frozen=True, tag=42):
    """Asks whether the receiver's lease on this term runs, and whether it knows a later term.

    `id` ties the answer to one question. `secret_hash` is recorded in the term; by it the receiver
    knows whether a give-up that it accepted is about this term.
    """

    id: Counter
    lease_id: LeaseId
    ttl_ms: TtlMs
    secret_hash: SecretHash | None


class LeaseAnswer(Value, frozen=True, tag=43):
    """What the sender knows of the term asked about, after the question arrived.

    Args:
        id: the question's id.
        remaining_ms: how long it would still refuse the next term.
        ending: how the term ended, if it was told.
        accepted: whether it has accepted something for the next term.
        learned: the decree of the next term, if it has learned it.
    """

    id: Counter
    remaining_ms: Counter
    ending: Ending | None
    accepted: bool
    learned: Decree | None


class Renew(Value, frozen=True, tag=44):
    """Asks the receiver to start its lease on this term again. The sender has learned that the term is
    decided, and was shown the secret whose hash is recorded in it."""

    id: Counter
    lease_id: LeaseId
    ttl_ms: TtlMs
    secret_hash: SecretHash | None


class Renewed(Value, frozen=True, tag=45):
    """Whether the sender renewed its lease; if not, it knows the next term, or the term was ended."""

    id: Counter
    kept: bool


class EndTerm(Value, frozen=True, tag=46):
    """The holder released the term, or an operator broke it; its leases must not be renewed."""

    lease_id: LeaseId
    ttl_ms: TtlMs
    ending: Ending


class ForgottenTerms(Value, frozen=True, tag=47):
    """The answer to any question about a term that the sender has forgotten.

    All terms of `lock` below `floor` are decided and forgotten at the sender, and the receiver will
    forget them too. The term at `floor` is decided; the sender still has all that it knew of it.
    """

    lock: Annotated[str, Meta(min_length=1, max_length=MAX_LOCK_BYTES)]
    floor: Annotated[int, Meta(ge=2, le=MAX_SLOT)]


class GiveUp(Value, frozen=True, tag=48):
    """The sender was shown the secret of this hash: the claim with this id and hash is given up."""

    id: Counter
    lock: Annotated[str, Meta(min_length=1, max_length=MAX_LOCK_BYTES)]
    claim_id: ClaimIdBytes
    ttl_ms: TtlMs
    secret_hash: SecretHash


class GiveUpTaken(Value, frozen=True, tag=49):
    """The sender remembers the give-up for a ttl, and keeps no lease for the claim."""

    id: Counter


LockMessage = (
    AskLease | LeaseAnswer | Renew | Renewed | EndTerm | ForgottenTerms | GiveUp | GiveUpTaken
)
FeedMessage = Pull | FeedPage | Fetch | Fetched | Ping
ScanMessage = Scan | ScanAnswer | CancelScan
SupportMessage = ScanMessage | FeedMessage | Decreed | Failed | Refusal | LockMessage
"""Everything except Paxos, reads of one key, and forwarded claims."""

PeerMessage = (
    PaxosMessage
    | TermRefused
    | Query
    | QueryAnswer
    | ClaimRequest
    | ClaimNextRequest
    | SupportMessage
)
