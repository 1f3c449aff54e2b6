"""What nodes say to each other: Paxos, reads of a quorum, catching up, and requests passed on."""

from typing import Annotated

from msgspec import Meta

from ..paxos.messages import PaxosMessage
from ..types import Counter, Decree, KeyText, Value
from .handshake import Digest, IdBytes, Refusal
from .requests import (
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    PageSize,
    PathText,
)

MAX_FEED_PAGE = 4_096
MAX_FETCH = 1_024


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


class Scan(Value, frozen=True, tag=32):
    """Which keys under `prefix` and behind `after` have you accepted or learned?"""

    id: Counter
    prefix: PathText
    after: PathText
    limit: PageSize


class ScanAnswer(Value, frozen=True, tag=33):
    """Keys in key order: decrees learned, and keys accepted but not learned.

    `complete` says that nothing lies behind the last key given.
    """

    id: Counter
    learned: tuple[Decree, ...]
    unlearned: tuple[KeyText, ...]
    complete: bool


class FeedEntry(Value, frozen=True):
    """Entry `index` of a feed: a key that the sender learned, and the digest of its decree."""

    index: Counter
    key: KeyText
    digest: Digest


class Pull(Value, frozen=True, tag=34):
    """Send me your feed from entry `start` on, if `disk_id` is still your disk."""

    disk_id: IdBytes
    start: Counter
    limit: Annotated[int, Meta(ge=1, le=MAX_FEED_PAGE)]


class FeedPage(Value, frozen=True, tag=35):
    """Entries `start` and following of the sender's feed, and where its feed ends now.

    `next_start` is where the following page begins: behind the last entry given, or further where
    entries were deleted.
    """

    disk_id: IdBytes
    start: Counter
    next_start: Counter
    end: Counter
    entries: tuple[FeedEntry, ...]


class Fetch(Value, frozen=True, tag=36):
    """Send me a `Commit` for each of these keys that you have learned."""

    keys: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_FETCH)]


class Ping(Value, frozen=True, tag=37):
    """I am alive, my feed ends at `feed_end`, and I may vote if `voting`."""

    feed_end: Counter
    voting: bool


PeerMessage = (
    Refusal
    | PaxosMessage
    | Query
    | QueryAnswer
    | Scan
    | ScanAnswer
    | Pull
    | FeedPage
    | Fetch
    | Ping
    | ClaimRequest
    | ClaimNextRequest
    | Decreed
    | Failed
)
