"""What a step wants done, sorted by what each effect must wait for.

The server, the simulator and the tests all keep this contract:

1. `at_once` may leave at any time: it promises nothing that a crash could take back.
2. `records` are written in one batch. If `sync` is set, this batch and all earlier ones are synced.
   Otherwise it rides with the next synced batch, at most `DEFERRED_MS` later, and every read of the
   node sees it from now on. A crash, of the machine or of the process alone, may lose what was written
   without a sync, but only together with everything written later: rows of learned decrees, entries
   of the feed and cursors are lost so, and learned again; nothing that was promised is.
3. `after` leaves only when that batch is durable; `sync` is set whenever `after` has an entry. If
   the batch fails, nothing of `after` ever leaves, and the node gets a `WriteFailed` event.
4. `reads` read durable state, after 2. Their results come back as events. A read that is
   `called_off` need not be done; if it is, its result is ignored.
5. `audit` is written to the audit log before anything else leaves: no answer without its line (S22).
6. `again` goes into the next step, with the instances that it needs.

So an answer cannot leave before its record is on disk: `after` is the only list that it may be put
in.
"""

from msgspec import Struct

from ...audit import AuditRecord
from ...disk import Record
from ...policy.document import Policy
from ...types import NodeId, Value
from ...wire.handshake import DirectoryRefusal, PeerRecall, PeerWelcome, Refusal
from ...wire.peers import PeerMessage
from ...wire.requests import Answer, Decreed, Failed
from .events import Connection, Event, Link, Origin, Timer

DEFERRED_MS = 20.0
"""For how long a batch without a sync may wait for the next synced one."""


class Send(Value, frozen=True, tag=True):
    """Send a message to a member; to this node itself, it is an event of the next step."""

    to: NodeId
    message: PeerMessage


class Reply(Value, frozen=True, tag=True):
    """Answer a client."""

    to: Connection
    answer: Answer


class Welcome(Value, frozen=True, tag=True):
    """Answer the node on this incoming link that it is recorded, and use the link."""

    link: Link
    node: NodeId
    message: PeerWelcome


class UseLink(Value, frozen=True, tag=True):
    """Use this outgoing link to send to `node`."""

    link: Link
    node: NodeId


class Reject(Value, frozen=True, tag=True):
    """Send the node on this link the reason for its refusal, and close the link."""

    link: Link
    node: NodeId
    refusal: Refusal | DirectoryRefusal


class AskPast(Value, frozen=True, tag=True):
    """Ask the node on this link for an earlier incarnation of its directory, before admitting it.

    On an incoming link the message is sent, and the next hello must answer it. An outgoing link is
    dialled again, since our hello carries the question.
    """

    link: Link
    node: NodeId
    message: PeerRecall


class Announce(Value, frozen=True, tag=True):
    """The members or their addresses have changed: keep links to those that are needed now.

    Args:
        moved: these have told other addresses, and are dialled there at once.
    """

    moved: tuple[NodeId, ...]


class PolicyObeyed(Value, frozen=True, tag=True):
    """This node obeys another policy from this step on: what the server keeps of it is to change too.

    The policy that a node knows when it starts is told by no effect: it is `Policies.enforced`.

    Args:
        number: of the policy.
        policy: what it says.
    """

    number: int
    policy: Policy


Outgoing = Send | Reply | Welcome | UseLink | Reject | AskPast | Announce | PolicyObeyed


class SetTimer(Value, frozen=True):
    """Fire `timer` after `delay_ms` and a random part of `spread_ms` more."""

    timer: Timer
    delay_ms: float
    spread_ms: float = 0.0


class ReadScan(Value, frozen=True, tag=True):
    """Read instances under a prefix, up to `until` if it is given. The result is a `ScanDone`.

    If `within` is given, only what is under one of these prefixes is read; each is below `prefix`.
    """

    token: int
    prefix: str
    after: str
    limit: int
    max_bytes: int
    until: str = ""
    within: tuple[str, ...] = ()


class ReadFeed(Value, frozen=True, tag=True):
    """Read the node's own feed, for a requester or for the node itself. The result is a `FeedDone`.

    Of the entries below `known_below`, those of reserved keys are enough.
    """

    token: int
    start: int
    limit: int
    requester: Origin | None = None
    known_below: int = 0


class ReadLastSlot(Value, frozen=True, tag=True):
    """Find the last learned slot of a series. The result is a `SlotDone`."""

    token: int
    series: str
    requester: Origin | None = None


class ReadChecked(Value, frozen=True, tag=True):
    """Check what lies on the disk from `position` on. The result is a `CheckDone`."""

    token: int
    position: bytes
    max_bytes: int


Read = ReadScan | ReadFeed | ReadLastSlot | ReadChecked


class Effects(Struct):
    """Everything that one step wants done; the module has the order.

    `notices` and `alarms` are log lines for the operator.
    """

    at_once: list[Outgoing] = []
    records: list[Record] = []
    sync: bool = False
    after: list[Outgoing] = []
    reads: list[Read] = []
    called_off: list[int] = []
    timers: list[SetTimer] = []
    again: list[Event] = []
    notices: list[str] = []
    alarms: list[str] = []
    audit: list[AuditRecord] = []

    def unanswered(self) -> tuple[tuple[Origin, int], ...]:
        """The requests with an answer in `after`; `WriteFailed` names them if the batch fails."""
        waiting: list[tuple[Origin, int]] = []
        for item in self.after:
            match item:
                case Reply(connection, answer):
                    waiting.append((connection, answer.id))
                case Send(node, Decreed() | Failed() as answer):
                    waiting.append((node, answer.id))
                case _:
                    pass
        return tuple(waiting)
