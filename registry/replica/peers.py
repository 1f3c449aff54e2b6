"""What peers say, led to the part of the node that it belongs to."""

from typing import assert_never

from ..paxos.messages import (
    Accept,
    Accepted,
    AcceptedMany,
    AcceptMany,
    Commit,
    CommitMany,
    Nack,
    Prepare,
    PrepareClass,
    Promise,
    PromiseClass,
)
from ..types import NodeId
from ..wire.handshake import Refusal
from ..wire.peers import (
    AskLease,
    CancelScan,
    EndTerm,
    FeedPage,
    Fetch,
    Fetched,
    ForgottenTerms,
    GiveUp,
    GiveUpTaken,
    Held,
    LeaseAnswer,
    PeerMessage,
    Ping,
    Pull,
    Query,
    QueryAnswer,
    Renew,
    Renewed,
    Scan,
    ScanAnswer,
    SupportMessage,
)
from ..wire.requests import ClaimNextRequest, ClaimRequest, Decreed, Failed
from .catchup import CatchUp
from .claims import Claims
from .intake import Intake
from .knowledge import Knowledge
from .lists import Lists
from .locks import Locks
from .reads import Reads
from .scan_service import ScanService
from .turn import Turn
from .voting import Voting


class Peers:
    """The messages between nodes.

    Args:
        voting, knowledge, reads, claims, intake, lists, catchup, locks, scan_service: who is
            concerned by them.
    """

    def __init__(
        self,
        voting: Voting,
        knowledge: Knowledge,
        reads: Reads,
        claims: Claims,
        intake: Intake,
        lists: Lists,
        catchup: CatchUp,
        locks: Locks,
        scan_service: ScanService,
    ) -> None:
        self._voting = voting
        self._knowledge = knowledge
        self._reads = reads
        self._claims = claims
        self._intake = intake
        self._lists = lists
        self._catchup = catchup
        self._locks = locks
        self._scan_service = scan_service

    def on_message(self, turn: Turn, sender: NodeId, message: PeerMessage) -> None:
        """A message of a peer, or of this node to itself."""
        match message:
            case Accepted() | Accept() | Prepare() | Promise() | Nack() | Held():
                self._voting.on_message(turn, sender, message)
            case Commit():
                self._knowledge.learn(turn, (message.decree,))
            case CommitMany():
                self._knowledge.learn_flight(turn, message)
            case AcceptMany() | AcceptedMany() | PrepareClass() | PromiseClass():
                self._voting.on_message(turn, sender, message)
            case Query():
                self._reads.tell(turn, sender, message)
            case QueryAnswer():
                self._reads.on_answer(turn, sender, message)
            case ClaimRequest() | ClaimNextRequest():
                self._intake.open(turn, sender, message)
            case _:
                self._on_support(turn, sender, message)

    def _on_support(self, turn: Turn, sender: NodeId, message: SupportMessage) -> None:
        match message:
            case Scan():
                self._scan_service.serve(turn, sender, message)
            case CancelScan():
                self._scan_service.cancel(sender, message)
            case ScanAnswer():
                self._lists.on_answer(turn, sender, message)
            case Pull():
                self._catchup.serve(turn, sender, message)
            case FeedPage():
                self._catchup.on_page(turn, sender, message)
            case Fetch(keys):
                self._catchup.serve_fetch(turn, sender, keys)
            case Fetched(decrees):
                self._knowledge.learn_fetched(turn, decrees)
            case Ping():
                self._catchup.on_ping(turn, sender, message)
            case Decreed():
                self._claims.on_decreed(turn, sender, message)
            case Failed():
                self._claims.on_failed(turn, sender, message)
            case Refusal():
                pass  # the server ends the process over it, or the link
            case AskLease() | LeaseAnswer() | Renew() | Renewed() | EndTerm() | ForgottenTerms():
                self._locks.on_message(turn, sender, message)
            case GiveUp() | GiveUpTaken():
                self._locks.on_message(turn, sender, message)
            case _:
                assert_never(message)
