"""What nodes say to each other: Paxos, reads of a quorum, catching up, and requests passed on."""

from typing import Annotated

from msgspec import Meta

from ..keys import MAX_SLOT
from ..locks.secret import SecretHash
from ..locks.terms import MAX_LOCK_BYTES, Ending, Tenure, TtlMs
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
"""The length of the digest of a decree, see `decreed.registry.replica.digests`."""
SpanDigest = Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


class Query(Value, frozen=True, tag=30):
    """R22 for readers: what do you hold for `key`? `id` ties the answer to one read."""

    id: Counter
    key: KeyText


class QueryAnswer(Value, frozen=True, tag=31):
    """The sender's state for the key asked about, after the query arrived.

    Args:
        id: the query's id.
        accepted: it has accepted something, and does not know whether that was chosen.
        learned: the decree, if it has learned it.
    """

    id: Counter
    accepted: bool
    learned: Decree | None


class Span(Value, frozen=True):
    """What the sender of a scan has learned in a stretch of keys.

    Args:
        end: its last key; it begins behind the stretch before. None: the prefix ends with it.
        digest: of all decrees that are learned in it, in key order, see
            `decreed.registry.replica.digests.span_digest`.
    """

    end: KeyText | None
    digest: SpanDigest


class Scan(Value, frozen=True, tag=32):
    """What do you hold under `prefix` and behind `after` that I have not learned?

    Args:
        id: ties the answer to one list; never used for another one.
        timeout_ms: after so long nobody waits for the answer.
        prefix, after: where to look.
        limit: about so many keys are wanted in an answer.
        spans: what the sender has learned there, in key order; nothing behind the last is asked about.
    """

    id: Counter
    timeout_ms: TimeoutMs
    prefix: PathText
    after: PathText
    limit: PageSize
    spans: Annotated[tuple[Span, ...], Meta(min_length=1, max_length=MAX_PAGE)]


class ScanAnswer(Value, frozen=True, tag=33):
    """What the sender holds in those spans in which it differs, read after the scan arrived.

    In every other span it has learned just what the asker has, and accepted nothing else.

    Args:
        id: the scan's id.
        learned: decrees, in key order.
        unlearned: keys that it has accepted a proposal for and not learned.
        end: nothing is said of what lies behind this key; None: all that was asked about is answered.
    """

    id: Counter
    learned: tuple[Decree, ...]
    unlearned: tuple[KeyText, ...]
    end: KeyText | None


class CancelScan(Value, frozen=True, tag=39):
    """Nobody waits for the answer to the sender's scan `id` any more."""

    id: Counter


class Pull(Value, frozen=True, tag=34):
    """Send me your feed from entry `start` on, if `disk_id` is still your disk."""

    disk_id: IdBytes
    start: Counter
    limit: Annotated[int, Meta(ge=1, le=MAX_FEED_PAGE)]


class FeedPage(Value, frozen=True, tag=35):
    """Entries `start` and following of the sender's feed, and where its feed ends now.

    `next_start` is where the following page begins: behind the last entry given, or further where
    entries were deleted.

    Args:
        keys: what the sender learned, in order.
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
    """Send me the decrees of those of these keys that you have learned, in `Fetched`."""

    keys: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_FETCH)]


class Ping(Value, frozen=True, tag=37):
    """I am alive.

    Args:
        feed_end: where my feed ends.
        voting: I may vote.
        eager: somebody waits here for what is decided: let commits leave at once.
    """

    feed_end: Counter
    voting: bool
    eager: bool


class Fetched(Value, frozen=True, tag=38):
    """R20: each of these is chosen for its key. A fetch is answered by as many of these as it takes."""

    decrees: Annotated[tuple[Decree, ...], Meta(max_length=MAX_FETCHED)]


class Held(Value, frozen=True, tag=41):
    """The guard of a term: the sender refuses to accept `key` in `ballot` for `remaining_ms` more.

    It is no nack: the ballot is not outbid, and the same accept may be sent again later.
    """

    key: KeyText
    ballot: Ballot
    remaining_ms: Counter


class AskLease(Value, frozen=True, tag=42):
    """Is this term live with you, and do you know more than it? `id` ties the answer to one ask.

    `secret_hash` stands in the term, and tells whether a give-up that the receiver took is about it.
    """

    id: Counter
    tenure: Tenure
    ttl_ms: TtlMs
    secret_hash: SecretHash | None


class LeaseAnswer(Value, frozen=True, tag=43):
    """What the sender knows of the term asked about, after the question arrived.

    Args:
        id: the question's id.
        remaining_ms: for how long it would refuse the next term.
        ending: how the term ended, if it was told.
        accepted: it has accepted something for the next term.
        learned: the decree of the next term, if it has learned it.
    """

    id: Counter
    remaining_ms: Counter
    ending: Ending | None
    accepted: bool
    learned: Decree | None


class Renew(Value, frozen=True, tag=44):
    """Start your lease on this term again; the sender has learned that it is decided, and was shown
    the secret of this hash, which stands in it."""

    id: Counter
    tenure: Tenure
    ttl_ms: TtlMs
    secret_hash: SecretHash | None


class Renewed(Value, frozen=True, tag=45):
    """Whether the sender did so; if not, the next term is under way there, or the term was ended."""

    id: Counter
    kept: bool


class EndTerm(Value, frozen=True, tag=46):
    """The term is over, as its holder or an operator said; its leases are not to be renewed."""

    tenure: Tenure
    ttl_ms: TtlMs
    ending: Ending


class ForgottenTerms(Value, frozen=True, tag=47):
    """The answer to any question about a term that the sender has forgotten.

    All terms of `lock` below `floor` are decided and forgotten here, and so will the receiver forget
    them; the term at `floor` is decided, and the sender still knows what it knew of it.
    """

    lock: Annotated[str, Meta(min_length=1, max_length=MAX_LOCK_BYTES)]
    floor: Annotated[int, Meta(ge=2, le=MAX_SLOT)]


class GiveUp(Value, frozen=True, tag=48):
    """The sender was shown a secret of this hash: the claim of this id and this hash is given up."""

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
"""Everything that is neither Paxos, nor a read of one key, nor a claim passed on."""

PeerMessage = (
    PaxosMessage | Held | Query | QueryAnswer | ClaimRequest | ClaimNextRequest | SupportMessage
)
