"""What can happen to a node. Time comes with the step, never from inside."""

from ...disk import FeedEntry, ScanPage
from ...types import Decree, Key, NodeId, Value
from ...wire.handshake import Incarnation, PeerIdentity
from ...wire.peers import PeerMessage
from ...wire.requests import ClaimNextRequest, ClaimRequest, Request

Connection = int
"""A client's connection, numbered by the server; never used twice in a node's life."""

Link = int
"""A connection to or from a peer, numbered by the server; never used twice in a node's life."""


class Moment(Value, frozen=True):
    """The clock reading of a step, taken after its last event arrived.

    Args:
        now_ms: monotonic time, the only one that decides anything.
        wall_ms: milliseconds since 1970, for people to read in decrees.
    """

    now_ms: float
    wall_ms: int


class FromPeer(Value, frozen=True, tag=True):
    """A message came from a member of the cluster, this node included."""

    sender: NodeId
    message: PeerMessage


class Misnamed(Value, frozen=True, tag=True):
    """Stands for a request whose key, series or prefix is none; `message` says why."""

    id: int
    message: str


class FromClient(Value, frozen=True, tag=True):
    """Requests came from a client: those of a frame, or as many of them as were taken.

    Their names have been checked (`names.named`).
    """

    connection: Connection
    requests: tuple[Request | Misnamed, ...]


class ClientGone(Value, frozen=True, tag=True):
    """A client's connection ended; nobody waits for its answers."""

    connection: Connection


class Crowded(Value, frozen=True, tag=True):
    """Too many requests wait, and most of them on this connection: its newest are refused.

    Args:
        connection: whose.
        count: how many of them.
    """

    connection: Connection
    count: int


class Greeted(Value, frozen=True, tag=True):
    """A node connected to us and said who it is.

    Args:
        link: the connection.
        identity: who it is.
        recall: which of our incarnations it remembers; 0 for none.
        past: the incarnation of its own that it was asked for; None if it was not asked yet.
    """

    link: Link
    identity: PeerIdentity
    recall: int
    past: Incarnation | None


class Welcomed(Value, frozen=True, tag=True):
    """A node that we connected to said who it is, and that it has recorded our disk id.

    Args:
        link: the connection.
        identity: who it is.
        past: the incarnation of its own that our hello asked for.
    """

    link: Link
    identity: PeerIdentity
    past: Incarnation | None


class Reachable(Value, frozen=True, tag=True):
    """A peer became reachable, or is suspected. Suspicion may be wrong; that is safe."""

    node: NodeId
    reachable: bool


class WriteFailed(Value, frozen=True, tag=True):
    """The records of the last step could not be made durable; nothing of its `after` left.

    It is the first event of the next step, so that nothing is said on the strength of them.

    Args:
        reason: what the disk said.
        lost: the answers that did not leave; their requests end as unknown.
    """

    reason: str
    lost: tuple[tuple["Origin", int], ...]


class ScanDone(Value, frozen=True, tag=True):
    """The result of a `ReadScan` effect."""

    token: int
    page: ScanPage


class FeedDone(Value, frozen=True, tag=True):
    """The result of a `ReadFeed` effect: entries, and the index behind the last."""

    token: int
    entries: tuple[FeedEntry, ...]
    next_index: int


class SlotDone(Value, frozen=True, tag=True):
    """The result of a `ReadLastSlot` effect."""

    token: int
    slot: int


class ReadFailed(Value, frozen=True, tag=True):
    """A read effect met a damaged record."""

    token: int
    message: str


# -- timers that the node set for itself


class Expire(Value, frozen=True, tag=True):
    """Requests of deadline bucket `bucket` have run out of time."""

    bucket: int


class Resend(Value, frozen=True, tag=True):
    """The attempt with this serial may have lost messages."""

    key: Key
    serial: int


class Retry(Value, frozen=True, tag=True):
    """The attempt with this serial has paused long enough after being preempted."""

    key: Key
    serial: int


class ResendBatch(Value, frozen=True, tag=True):
    """The batch of this number may have lost messages."""

    number: int


class SendBatch(Value, frozen=True, tag=True):
    """Those who wait to be proposed have waited for long enough, if this timer counts."""

    serial: int


class ResendRead(Value, frozen=True, tag=True):
    """The read or list with this token may have lost messages."""

    token: int


class Sweep(Value, frozen=True, tag=True):
    """Look for acceptances whose outcome has been unknown for too long."""


class PullFeeds(Value, frozen=True, tag=True):
    """Look whether a peer's feed has grown."""


class Reconsider(Value, frozen=True, tag=True):
    """The lock queue for `lock` with this serial has waited for long enough."""

    lock: str
    serial: int


Timer = (
    Expire | Resend | Retry | ResendBatch | SendBatch | ResendRead | Sweep | PullFeeds | Reconsider
)


class Fired(Value, frozen=True, tag=True):
    """A timer ran out."""

    timer: Timer


# -- what a step left for the next one, since it needs instances that were not loaded


class Finish(Value, frozen=True, tag=True):
    """Finish the instance of `key`; list `token` wants to know, if there is one."""

    key: Key
    token: int | None


class Coordinate(Value, frozen=True, tag=True):
    """Go on with the claim that is live under `origin` and the request's id.

    Args:
        origin: who asked.
        request: what was asked.
        key: the key to coordinate here; a later slot than asked for, if the series has grown.
        anew: route it once more instead, past the nodes that did not do it.
    """

    origin: "Origin"
    request: ClaimRequest | ClaimNextRequest
    key: Key
    anew: bool


class ReadOn(Value, frozen=True, tag=True):
    """Go on looking for the last slot of a series, at `key`, for the live request."""

    origin: "Origin"
    id: int
    key: Key
    latest: Decree | None


class FetchOn(Value, frozen=True, tag=True):
    """Go on answering a peer's fetch."""

    sender: NodeId
    keys: tuple[Key, ...]


class TryNextTerm(Value, frozen=True, tag=True):
    """Go on with the lock queue for `lock`, in which term `term` is the latest that is known here."""

    lock: str
    term: int


Origin = Connection | NodeId
"""Who asked: a client's connection, or a node that passed a request on."""

ReadOrRest = (
    ScanDone
    | FeedDone
    | SlotDone
    | ReadFailed
    | Finish
    | Coordinate
    | ReadOn
    | FetchOn
    | TryNextTerm
)
"""What the node asked of its disk, and what it left for itself."""

Event = (
    FromPeer
    | FromClient
    | ClientGone
    | Crowded
    | Greeted
    | Welcomed
    | Reachable
    | WriteFailed
    | Fired
    | ReadOrRest
)
