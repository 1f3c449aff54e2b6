"""The messages between nodes: Paxos, quorum reads, catching up, and forwarded requests."""

from typing import Annotated

from msgspec import Meta

from ..identity import IdentityText
from ..paxos.decrees import Decrees
from ..paxos.messages import AcceptMany, PaxosMessage
from ..types import (
    DIGEST_BYTES,
    Ballot,
    Counter,
    Decree,
    KeyText,
    NodeText,
    Proposal,
    Value,
)
from .bounds import TimeoutMs
from .codec import travels_packed
from .handshake import DirectoryRefusal, IdBytes, Member, Refusal, Text
from .leases import (
    AskLease,
    EndTerm,
    ForgottenTerms,
    GiveUp,
    GiveUpTaken,
    LeaseAnswer,
    Renew,
    Renewed,
)
from .policy import AskPolicy, PolicyTold
from .requests import (
    MAX_PAGE,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    PageSize,
    PathText,
)

MAX_FEED_PAGE = 4_096
MAX_FETCH = 1_024
MAX_FETCHED = 128
MAX_MEMBERS = 64
MAX_STATE = 128
MAX_QUERIED = 128
"""How many keys a query may name: a peer that has learned them loads all of their values at once."""
FLOOR_DIGEST = bytes(DIGEST_BYTES)
"""The digest in a feed entry that tells a floor: its key is the last term that is forgotten (M16)."""
MAX_WITHIN = 1_024
"""How many prefixes a scan may name: more than the bytes of a key, so that a window always moves on."""
SpanDigest = Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


class AskState(Value, frozen=True, tag=23):
    """M06: asks for what the receiver has accepted and not learned, to be ready for `epoch`.

    Args:
        id: ties the pages to one series; never used for another one.
        epoch: the epoch that the sender takes over for.
        after: the last key that the sender has of the series; None from the beginning.
    """

    id: Counter
    epoch: Counter
    after: KeyText | None


class StatePage(Value, frozen=True, tag=24):
    """M06: a page of what the sender has accepted and not learned, in key order.

    Args:
        id, epoch, after: of the question.
        incarnation: the sender's. A series is of one life of its sender.
        whole: whether the sender is ready for `epoch` itself.
        proposals: what it holds; not one of them is a vote.
        unreadable: keys for which it has accepted something that it cannot show (M18).
        next: the last key of this page; None on the last page.
        feed_end: where the sender's feed ends; counts on the last page.
        withheld: keys that it withholds. It shows what it holds for them itself, as a voter of the
            epoch before, and nothing that others have shown it (M18).
    """

    id: Counter
    epoch: Counter
    after: KeyText | None
    incarnation: Counter
    whole: bool
    proposals: Annotated[tuple[Proposal, ...], Meta(max_length=MAX_STATE)]
    unreadable: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_STATE)]
    next: KeyText | None
    feed_end: Counter
    withheld: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_STATE)] = ()


class SeatTold(Value, frozen=True, tag=25):
    """M22: the seat of the sender. Said once a member has been changed, and never before.

    Args:
        disk_id: of the sender's directory; another one may have its name by the time this arrives.
        incarnation: the sender's; in a later one it never knows less.
        known: it has learned ``$members@known``.
        ready: the latest epoch for which it has taken over, durably; None if there is none.
        base: where its feed ended at that moment.
        since: the incarnation of the sender in which it became ready; 0 in epoch 0.
        withheld: about how many keys it is silent since then (M18).
    """

    disk_id: IdBytes
    incarnation: Counter
    known: Counter
    ready: Counter | None
    base: Counter
    since: Counter = 0
    withheld: Counter = 0


class Query(Value, frozen=True, tag=30):
    """R22 for readers: asks what the receiver holds for each of `keys`, for all reads of one step.

    `id` ties the answers to these reads. A question that is asked again may name fewer keys.
    """

    id: Counter
    keys: Annotated[tuple[KeyText, ...], Meta(min_length=1, max_length=MAX_QUERIED)]


class QueryAnswer(Value, frozen=True, tag=31):
    """What the sender held for the keys asked about, after the query arrived; only voters send it.

    For a key that neither of the two names, it has accepted nothing and learned nothing. What it has
    learned comes before the answer, as a `Commit` of each key.

    Args:
        id: the query's id.
        accepted: it has accepted something for these, and does not know whether that was chosen.
        left_out: the answer says nothing about these: they are learned, disputed, forgotten,
            unreadable, or withheld (M18).
    """

    id: Counter
    accepted: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_QUERIED)] = ()
    left_out: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_QUERIED)] = ()


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
        within: only what is under these prefixes is asked about, and was told in the spans: the caller
            of the list may read no more (S64). Each is below `prefix`, none below another. Empty: all.
    """

    id: Counter
    timeout_ms: TimeoutMs
    prefix: PathText
    after: PathText
    limit: PageSize
    spans: Annotated[tuple[Span, ...], Meta(min_length=1, max_length=MAX_PAGE)]
    within: Annotated[tuple[PathText, ...], Meta(max_length=MAX_WITHIN)] = ()


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
    """Asks for the receiver's feed from entry `start` on, if `disk_id` is still its disk.

    Args:
        decrees: whether the decrees are wanted behind the page, except for terms of locks.
        known_below: entries below this one may be left out, unless their keys are reserved.
    """

    disk_id: IdBytes
    start: Counter
    limit: Annotated[int, Meta(ge=1, le=MAX_FEED_PAGE)]
    decrees: bool = False
    known_below: Counter = 0


class FeedPage(Value, frozen=True, tag=35):
    """Entries of the sender's feed from `start` on, and where its feed ends now.

    `next_start` is where the next page begins: after the last entry given. A page with fewer keys than
    `next_start - start` steps over entries that the reader knows, or that were deleted; the floor that
    deleted them is told by an entry further on, before `end`.

    Args:
        keys: the keys that the sender learned, in order, and the last term below each floor.
        digests: of their decrees, `DIGEST_BYTES` each, in the same order; `FLOOR_DIGEST` for a floor.
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


class FeedUnread(Value, frozen=True, tag=40):
    """Answers a `Pull`: the sender cannot read its feed from `start` on, since its disk is damaged."""

    disk_id: IdBytes
    start: Counter
    reason: Text


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


class MemberAddresses(Value, frozen=True, tag=27):
    """Where members are: the sender's own address, and those that members have told it.

    It is the first message on a link, and it comes again when an address has changed.

    Args:
        members: each with its address.
        observes: whether the sender has no vote and waits for none: clients may read from it.
    """

    members: Annotated[tuple[Member, ...], Meta(max_length=MAX_MEMBERS)]
    observes: bool = False


class Fetched(Value, frozen=True, tag=38):
    """R20: each of these is chosen for its key. One fetch may be answered by several messages.

    Args:
        decrees: what the sender has learned.
        unreadable: keys that it has learned, or may have learned, and cannot read, or withholds (M18).
    """

    decrees: Annotated[tuple[Decree, ...], Meta(max_length=MAX_FETCHED)]
    unreadable: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_FETCHED)] = ()


class TermRefused(Value, frozen=True, tag=41):
    """The lease check: the sender refuses to accept the term `key` in `ballot` for `remaining_ms` more.

    It is not a nack: the ballot is not preempted, and the same accept may be sent again later.
    """

    key: KeyText
    ballot: Ballot
    remaining_ms: Counter


class PassedClaim(Value, frozen=True, tag=21):
    """A claim that the sender passes on to the home of its key; answered with `Decreed` or `Failed`.

    Args:
        request: the claim, with a token of the sender as its id.
        identity: whose claim it is, as the sender has proven it (S08); empty if it has not.
        policy: the number of the policy under which the sender has admitted it; 0: none.
        gateway: who has named `identity`, as the sender has proven it; empty: nobody has.
    """

    request: ClaimRequest | ClaimNextRequest
    identity: IdentityText = ""
    policy: Counter = 0
    gateway: IdentityText = ""


Question = Query | Scan | AskLease | Renew


class AskedIn(Value, frozen=True, tag=26):
    """M12: a question that only voters of `epoch` may answer. Without it a question is of epoch 0."""

    epoch: Counter
    question: Question


class AskStanding(Value, frozen=True, tag=28):
    """Asks any node that was admitted how it is, before a change of members or for an operator.

    Args:
        id: the question's id.
        feed_end: where the sender's feed ends.
    """

    id: Counter
    feed_end: Counter


class Standing(Value, frozen=True, tag=29):
    """How the sender is, after the question arrived. It is no vote.

    Args:
        id: the question's id.
        version: the highest protocol version that it speaks.
        disk_id: of its directory.
        address: where it says that others reach it; empty if it does not know.
        known, ready: the epochs that it knows and is ready for.
        votes: whether it votes.
        behind: how many entries of the feed that it has read furthest it has not read yet.
        withheld: about how many keys it is silent, since nobody could show them (M18).
        trouble: why it may stay behind, in words; empty if it knows of nothing.
        told_left: the voters of the epoch before that left, and that have told it that they know.
    """

    id: Counter
    version: Counter
    disk_id: IdBytes
    address: Annotated[str, Meta(max_length=300)]
    known: Counter
    ready: Counter | None
    votes: bool
    behind: Counter
    withheld: Counter = 0
    trouble: Text = ""
    told_left: Annotated[tuple[NodeText, ...], Meta(max_length=MAX_MEMBERS)] = ()


MembersMessage = AskState | StatePage | SeatTold | AskedIn | AskStanding | Standing
LockMessage = (
    AskLease | LeaseAnswer | Renew | Renewed | EndTerm | ForgottenTerms | GiveUp | GiveUpTaken
)
FeedMessage = Pull | FeedPage | FeedUnread | Fetch | Fetched | Ping | MemberAddresses
PolicyMessage = AskPolicy | PolicyTold
ScanMessage = Scan | ScanAnswer | CancelScan
RefusalMessage = Refusal | DirectoryRefusal
SupportMessage = (
    ScanMessage
    | FeedMessage
    | Decreed
    | Failed
    | RefusalMessage
    | LockMessage
    | MembersMessage
    | PolicyMessage
)
"""Everything except Paxos, reads of one key, and forwarded claims."""

PeerMessage = PaxosMessage | TermRefused | Query | QueryAnswer | PassedClaim | SupportMessage


def _packed(message: AcceptMany) -> object:
    packed = Decrees.of(message.decrees).packed
    return (AcceptMany.__struct_config__.tag, message.ballot, message.number, packed)


travels_packed(Decrees, Decrees.read, AcceptMany, _packed)
