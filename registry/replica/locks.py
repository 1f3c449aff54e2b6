"""Locks at a node: leads requests and messages about them to those who wait and those who hold."""

from collections.abc import Iterable, Sequence
from typing import assert_never

from ..disk import Forgotten
from ..types import Decree, Key, NodeId
from ..wire.peers import (
    AskLease,
    EndTerm,
    ForgottenTerms,
    GiveUp,
    GiveUpTaken,
    LeaseAnswer,
    LockMessage,
    Renew,
    Renewed,
)
from ..wire.requests import (
    EndRequest,
    GiveUpRequest,
    HolderRequest,
    KeepAliveRequest,
    LockRequest,
)
from .contests import Contests
from .forgetting import Forgetting
from .giving_up import GivingUp
from .renewals import Renewals
from .requests import Live
from .turn import Turn

AnyLockRequest = LockRequest | HolderRequest | KeepAliveRequest | EndRequest | GiveUpRequest


class Locks:
    """What a node does for locks, besides voting on their terms.

    Args:
        contests: those who wait.
        renewals: those who hold.
        giving_up: those who want it no more.
        forgetting: what is forgotten of terms that are long past.
    """

    def __init__(
        self,
        contests: Contests,
        renewals: Renewals,
        giving_up: GivingUp,
        forgetting: Forgetting,
    ) -> None:
        self._forgetting = forgetting
        self.giving_up = giving_up
        self.contests = contests
        self.renewals = renewals

    def needs(self, message: LockMessage) -> Iterable[Key]:
        """The instances that a message is about."""
        match message:
            case AskLease() | Renew():
                return (message.tenure.next_key,)
            case LeaseAnswer():
                return self.contests.asking.needs(message)
            case ForgottenTerms():
                return self._forgetting.needs(message)
            case EndTerm():
                return self.contests.latest.needs(message.tenure.lock)
            case GiveUp():
                return self.contests.latest.needs(message.lock)
            case Renewed() | GiveUpTaken():
                return ()

    def begin(self, turn: Turn, live: Live, request: AnyLockRequest) -> None:
        """A request has arrived."""
        match request:
            case LockRequest() if self.giving_up.refuses(turn, live, request):
                pass
            case LockRequest() | HolderRequest():
                self.contests.begin(turn, live, request)
            case KeepAliveRequest():
                self.renewals.keep(turn, live, request)
            case EndRequest():
                self.renewals.end(turn, live, request)
            case GiveUpRequest():
                self.giving_up.begin(turn, live, request)
            case _:
                assert_never(request)

    def on_message(self, turn: Turn, sender: NodeId, message: LockMessage) -> None:
        """A peer, or this node itself, has something to say."""
        match message:
            case AskLease():
                self.renewals.tell(turn, sender, message)
            case LeaseAnswer():
                self.contests.on_answer(turn, sender, message)
            case Renew():
                self.renewals.on_renew(turn, sender, message)
            case Renewed():
                self.renewals.on_renewed(turn, sender, message)
            case EndTerm():
                self.renewals.on_end(turn, message)
            case GiveUp():
                self.giving_up.on_give_up(turn, sender, message)
            case GiveUpTaken():
                self.giving_up.on_taken(turn, sender, message)
            case ForgottenTerms():
                self._forgetting.on_told(turn, message)
            case _:
                assert_never(message)

    def on_learned(self, turn: Turn, decrees: Sequence[Decree]) -> None:
        """Terms are decided."""
        for decree in decrees:
            self.giving_up.on_learned(turn, decree)  # first: whoever is next looks at how it ended
            self.contests.on_learned(turn, decree)

    def on_forgotten(self, turn: Turn, gone: Forgotten) -> None:
        """Terms of a lock are forgotten."""
        self.contests.on_forgotten(turn, gone)
        self.renewals.on_forgotten(turn, gone)

    def prune(self) -> None:
        """Forget what nobody waits for any more."""
        self.contests.asking.prune()
        self.renewals.prune()
        self.giving_up.prune()

    def abandon(self) -> None:
        """The disk failed; the requests themselves are failed by whoever says so."""
        self.contests.abandon()
        self.renewals.abandon()
        self.giving_up.abandon()
