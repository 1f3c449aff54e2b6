"""What can happen to a node. The time comes with each step; the node reads no clock."""

from ...identity import ANONYMOUS, Identity
from ...locks.restored import Restoration
from ...types import Claim, Decree, Key, NodeId, Value
from ...wire.handshake import VERSION, Incarnation, PeerIdentity
from ...wire.marks import FeedMark
from ...wire.peers import PeerMessage
from ...wire.requests import ClaimNextRequest, ClaimRequest, Request
from ...wire.status import CertificateStatus
from .disk_reads import CheckDone, DiskMeasured, FeedDone, ReadFailed, ScanDone, SlotDone

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

    Their names are checked (`validation.named`). The identity is that of the connection (S07).
    """

    connection: Connection
    requests: tuple[Request | Misnamed, ...]
    identity: Identity = ANONYMOUS


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
        version: the protocol version that both sides speak.
    """

    link: Link
    identity: PeerIdentity
    recall: int
    past: Incarnation | None
    version: int = VERSION


class Welcomed(Value, frozen=True, tag=True):
    """A node that we connected to has identified itself and recorded our disk id.

    Args:
        link: the connection.
        identity: its identity.
        past: the incarnation of its directory that our hello asked for.
        signing_key: the public key of its directory.
        restoration: how it says that its formation was restored; None if it was not.
    """

    link: Link
    identity: PeerIdentity
    past: Incarnation | None
    signing_key: bytes
    restoration: Restoration | None = None


class Dialled(Value, frozen=True, tag=True):
    """A node was dialled, and the outcome is news; of a voter only that it is not proven there.

    Args:
        node: the node; this one itself, if nobody dials it though it is linked to others.
        fault: why it was not reached; empty if it was.
    """

    node: NodeId
    fault: str


class LinksSecured(Value, frozen=True, tag=True):
    """How this node's connections are secured is news; for operators alone.

    Args:
        expires_ms: when the first of its certificate and CAs expires, since 1970; None without TLS.
        fault: what is wrong with that; empty if nothing is.
        certificates: its own, of its CAs, and of those that are connected.
    """

    expires_ms: int | None = None
    fault: str = ""
    certificates: tuple[CertificateStatus, ...] = ()


class Left(Value, frozen=True, tag=True):
    """The connection on which a node greeted us has ended; it may have made another one."""

    link: Link
    node: NodeId


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


class ConfirmPolicy(Value, frozen=True, tag=True):
    """S14: ask the voters again whether one of them knows a newer policy."""


class Reconsider(Value, frozen=True, tag=True):
    """Time for the queue of `lock` to act again, if this serial is its newest."""

    lock: str
    serial: int


class ScrubOn(Value, frozen=True, tag=True):
    """Time for the next page of a scrub, if this serial is its newest."""

    serial: int


Timer = (
    Expire
    | Resend
    | Retry
    | ResendBatch
    | SendBatch
    | ResendRead
    | Sweep
    | PullFeeds
    | ConfirmPolicy
    | Reconsider
    | ScrubOn
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


class Confirmed(Value, frozen=True, tag=True):
    """The policy is confirmed: open a request that has waited for that (S15)."""

    origin: "Origin"
    request: Request


class ReadOn(Value, frozen=True, tag=True):
    """Continue the search for the last slot of a series at `key`, for a pending request."""

    origin: "Origin"
    id: int
    key: Key
    latest: Decree | None


class FetchOn(Value, frozen=True, tag=True):
    """Continue to send decrees to a peer."""

    sender: NodeId
    keys: tuple[Key, ...]


class FollowFloor(Value, frozen=True, tag=True):
    """Continue to follow a floor that a peer's feed tells (M16).

    Args:
        last: the last term below the floor.
        unchecked: the terms from this one on and below the floor are learned here.
    """

    last: Key
    unchecked: int


class TryNextTerm(Value, frozen=True, tag=True):
    """Continue with the queue of `lock`; `term` is the latest term known here, 0 if there is none."""

    lock: str
    term: int


class EpochChanged(Value, frozen=True, tag=True):
    """This node has sealed or has become ready: what waits for voters asks again (M10, M12)."""


class TakenOver(Value, frozen=True, tag=True):
    """Enough was shown to be ready for an epoch, but nothing sound for these keys (M18)."""

    keys: tuple[Key, ...]


class Shown(Value, frozen=True, tag=True):
    """Pages may have shown soundly by now what was accepted for these withheld keys (M18)."""

    keys: tuple[Key, ...]


class SeatRecorded(Value, frozen=True, tag=True):
    """A peer's readiness for an epoch is durable here, so its votes in that epoch count (M22).

    Args:
        node: the peer.
        incarnation: of the peer, in which it told that.
        ready: the epoch; -1 if it is ready for none.
    """

    node: NodeId
    incarnation: int
    ready: int


class ChangeMembers(Value, frozen=True, tag=True):
    """Propose a change of members for a request that was judged; the claim is a ``$members@k``'s."""

    origin: "Origin"
    id: int
    claim: Claim


class Seeded(Value, frozen=True, tag=True):
    """Some decrees of a seed: a snapshot from which a node that joins learns.

    Args:
        formation: the formation that it was taken from.
        decrees: the decrees; they are chosen in that formation.
        is_last: whether there are no more.
        count: with the last of them, how many decrees the seed has.
        marks: with the last of them, how far the feeds of voters are in it.
    """

    formation: bytes
    decrees: tuple[Decree, ...]
    is_last: bool
    count: int = 0
    marks: tuple[FeedMark, ...] = ()


class ScrubDue(Value, frozen=True, tag=True):
    """Time to scrub the disk."""


class UnmatchedDecrees(Value, frozen=True, tag=True):
    """A peer has learned these decrees, and this node's disk has shown no such decrees to a scrub."""

    sender: NodeId
    decrees: tuple[Decree, ...]


class Named(Value, frozen=True, tag=True):
    """The node's whole feed was read for these keys, which a scrub has not found learned here."""

    keys: tuple[Key, ...]


Origin = Connection | NodeId
"""The requester: a client's connection, or a node that forwarded a claim."""

ReadOrRest = (
    ScanDone
    | FeedDone
    | SlotDone
    | CheckDone
    | ReadFailed
    | Finish
    | Coordinate
    | Confirmed
    | ReadOn
    | FetchOn
    | FollowFloor
    | TryNextTerm
    | EpochChanged
    | TakenOver
    | Shown
    | SeatRecorded
    | ChangeMembers
    | Seeded
    | ScrubDue
    | UnmatchedDecrees
    | Named
    | DiskMeasured
)
"""Results of the node's disk reads, and work that it left for the next step."""

Event = (
    FromPeer
    | FromClient
    | ClientGone
    | Crowded
    | Greeted
    | Welcomed
    | Left
    | Dialled
    | LinksSecured
    | Reachable
    | WriteFailed
    | Fired
    | ReadOrRest
)
