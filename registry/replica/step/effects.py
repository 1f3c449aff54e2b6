"""What a step asks of the world, sorted by what it must wait for.

The contract, which the server, the simulator and the tests keep alike:

1. `at_once` may leave at any time: it promises nothing that a crash could take back.
2. `records` are written, all in one batch, and synced with all batches before if `sync` says so. What
   is written without a sync may be lost in a crash, but only together with all that came behind it.
3. `after` leaves only when that batch is durable; `sync` is set whenever there is any. If the batch
   failed, nothing of it ever leaves, and the node is told with `WriteFailed`.
4. `reads` look at durable state, after 2; their results come back as events. Those that are
   `called_off` need not be done; if one is, its result is passed over.
5. `again` goes into the next step, with the instances that it needs.

So an answer that is not yet on disk cannot be sent early: it has no other list to stand in.
"""

from msgspec import Struct

from ...disk import Record
from ...types import NodeId, Value
from ...wire.handshake import PeerRecall, PeerWelcome, Refusal
from ...wire.peers import PeerMessage
from ...wire.requests import Answer, Decreed, Failed
from .events import Connection, Event, Link, Origin, Timer


class Send(Value, frozen=True, tag=True):
    """Send a message to a member; to this node itself, it is an event of the next step."""

    to: NodeId
    message: PeerMessage


class Reply(Value, frozen=True, tag=True):
    """Answer a client."""

    to: Connection
    answer: Answer


class Welcome(Value, frozen=True, tag=True):
    """Tell the node on this incoming link that it is recorded, and use the link."""

    link: Link
    node: NodeId
    message: PeerWelcome


class UseLink(Value, frozen=True, tag=True):
    """Use this outgoing link to send to `node`."""

    link: Link
    node: NodeId


class Reject(Value, frozen=True, tag=True):
    """Tell the node on this link why it may not take part, and close the link."""

    link: Link
    node: NodeId
    refusal: Refusal


class AskPast(Value, frozen=True, tag=True):
    """Ask the node on this link for an incarnation of its directory, before it is judged.

    On an incoming link the message is sent and the next hello awaited; an outgoing one is dialled
    again, since a hello asks by itself.
    """

    link: Link
    node: NodeId
    message: PeerRecall


Outgoing = Send | Reply | Welcome | UseLink | Reject | AskPast


class SetTimer(Value, frozen=True):
    """Fire `timer` after `delay_ms` and a random part of `spread_ms` more."""

    timer: Timer
    delay_ms: float
    spread_ms: float = 0.0


class ReadScan(Value, frozen=True, tag=True):
    """Read instances under a prefix, none behind `until` if it is given; comes back as `ScanDone`."""

    token: int
    prefix: str
    after: str
    limit: int
    max_bytes: int
    until: str = ""


class ReadFeed(Value, frozen=True, tag=True):
    """Read the node's own feed, for somebody; comes back as `FeedDone`."""

    token: int
    start: int
    limit: int
    requester: Origin | None = None


class ReadLastSlot(Value, frozen=True, tag=True):
    """Find the last learned slot of a series, for somebody; comes back as `SlotDone`."""

    token: int
    series: str
    requester: Origin | None = None


Read = ReadScan | ReadFeed | ReadLastSlot


class Effects(Struct):
    """Everything that one step wants done. See the module for the order."""

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

    def unanswered(self) -> tuple[tuple[Origin, int], ...]:
        """Who waits for an answer in `after`: what `WriteFailed` must name if it never leaves."""
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
