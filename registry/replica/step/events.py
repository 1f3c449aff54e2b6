"""What can happen to a node. The time comes with each step; the node reads no clock."""

from ...disk import FeedEntry, ScanPage
from ...types import Decree, Key, NodeId, Value
from ...wire.handshake import Incarnation, PeerIdentity
from ...wire.peers import PeerMessage
from ...wire.requests import ClaimNextRequest, ClaimRequest, Request

Connection = int
"""The server's number for a client's connection; used once in an incarnation of the node."""

Link = int
"""The server's number for a connection to or from a peer; used once in an incarnation."""


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
    """Replaces a request with an invalid key, series or prefix; `message` has the reason."""

    id: int
    message: str


class FromClient(Value, frozen=True, tag=True):
    """Requests came from a client: all of one frame, or the part of it that this turn takes.

    Their names are checked (`validation.named`).
    """

    connection: Connection
    requests: tuple[Request | Misnamed, ...]


class ClientGone(Value, frozen=True, tag=True):
    """A client's connection ended; its pending requests end too."""

    connection: Connection


class Crowded(Value, frozen=True, tag=True):
    """Too many requests are pending, most of them on this connection: refuse its newest ones.

    Args:
        connection: the connection.
        count: how many to refuse.
    """

    connection: Connection
    count: int


class Greeted(Value, frozen=True, tag=True):
    """A node connected to us and identified itself.

    Args:
        link: the connection.
        identity: its identity.
        recall: which of our incarnations it remembers; 0 if it remembers none.
        past: the incarnation of its directory that we asked it for; None if we have not asked yet.
    """

    link: Link
    identity: PeerIdentity
    recall: int
    past: Incarnation | None


class Welcomed(Value, frozen=True, tag=True):
    """A node that we connected to has identified itself and recorded our disk id.

    Args:
        link: the connection.
        identity: its identity.
        past: the incarnation of its directory that our hello asked for.
    """

    link: Link
    identity: PeerIdentity
    past: Incarnation | None


class Reachable(Value, frozen=True, tag=True):
    """A peer became reachable, or is suspected. A wrong suspicion is safe."""

    node: NodeId
    reachable: bool


class WriteFailed(Value, frozen=True, tag=True):
    """The records of the last step could not be made durable; nothing of its `after` left.

    It is the first event of the next step, so that no message relies on those records.

    Args:
        reason: the disk's error.
        lost: the requests with an answer that did not leave; their outcome is unknown.
    """

    reason: str
    lost: tuple[tuple["Origin", int], ...]


class ScanDone(Value, frozen=True, tag=True):
    """The result of a `ReadScan` effect."""

    token: int
    page: ScanPage


class FeedDone(Value, frozen=True, tag=True):
    """The result of a `ReadFeed` effect: entries, and the index after the last one."""

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


# -- timers of the node


class Expire(Value, frozen=True, tag=True):
    """The deadline of the requests in this bucket has passed."""

    bucket: int


class Resend(Value, frozen=True, tag=True):
    """Time to send the message of an attempt again, if this serial is its newest."""

    key: Key
    serial: int


class Retry(Value, frozen=True, tag=True):
    """The pause of an attempt is over, if this serial is its newest."""

    key: Key
    serial: int


class ResendBatch(Value, frozen=True, tag=True):
    """Time to send the batch of this number again, if votes are missing."""

    number: int


class SendBatch(Value, frozen=True, tag=True):
    """Time to propose what waits in the batch queue, if this serial is its newest."""

    serial: int


class ResendRead(Value, frozen=True, tag=True):
    """Time to ask the question with this token again, if answers are missing."""

    token: int


class Sweep(Value, frozen=True, tag=True):
    """Look for acceptances whose outcome has been unknown for too long."""


class PullFeeds(Value, frozen=True, tag=True):
    """Check whether a peer's feed has grown."""


class Reconsider(Value, frozen=True, tag=True):
    """Time for the queue of `lock` to act again, if this serial is its newest."""

    lock: str
    serial: int


Timer = (
    Expire | Resend | Retry | ResendBatch | SendBatch | ResendRead | Sweep | PullFeeds | Reconsider
)


class Fired(Value, frozen=True, tag=True):
    """A timer ran out."""

    timer: Timer


# -- work left for the next step, since it needs instances that were not loaded


class Finish(Value, frozen=True, tag=True):
    """Finish the instance of `key`, for the list with `token` if there is one."""

    key: Key
    token: int | None


class Coordinate(Value, frozen=True, tag=True):
    """Continue the claim that is pending for `origin` under the request's id.

    Args:
        origin: the requester.
        request: the claim.
        key: the key to coordinate here; a later slot than the request names if the series has
            grown.
        reroute: send the claim to the next node instead, past those that refused it.
    """

    origin: "Origin"
    request: ClaimRequest | ClaimNextRequest
    key: Key
    reroute: bool


class ReadOn(Value, frozen=True, tag=True):
    """Continue the search for the last slot of a series at `key`, for a pending request."""

    origin: "Origin"
    id: int
    key: Key
    latest: Decree | None


class FetchOn(Value, frozen=True, tag=True):
    """Continue to answer a peer's fetch."""

    sender: NodeId
    keys: tuple[Key, ...]


class TryNextTerm(Value, frozen=True, tag=True):
    """Continue with the queue of `lock`; `term` is the latest term known here, 0 if there is none."""

    lock: str
    term: int


Origin = Connection | NodeId
"""The requester: a client's connection, or a node that forwarded a claim."""

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
"""Results of the node's disk reads, and work that it left for the next step."""

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
