"""The messages of Paxos at a node, led to the acceptor, the coordinator and the standing promise.

A node that may not vote is no acceptor and no coordinator; but what it has learned it says to anybody.
"""

from typing import assert_never

from ..disk import Forgotten
from ..paxos.instance import Instance
from ..paxos.messages import (
    Accept,
    Accepted,
    AcceptedMany,
    AcceptMany,
    Nack,
    Prepare,
    PrepareClass,
    Promise,
    PromiseClass,
)
from ..types import NodeId
from ..wire.peers import Held
from .acceptors import Acceptors
from .coordinator import Coordinator
from .effects import Send
from .forgetting import tell_forgotten
from .node import Node
from .standing import Standing
from .turn import Turn

Answer = Promise | Accepted | AcceptedMany | Nack | Held | PrepareClass | PromiseClass
VotingMessage = Prepare | Accept | AcceptMany | Answer


class Voting:
    """Who is concerned by a message of Paxos.

    Args:
        node: who we are, and whether we may vote.
        acceptors: answers proposals.
        coordinator: counts the answers to ours.
        standing: gives and gets promises for all keys of a home.
    """

    def __init__(
        self, node: Node, acceptors: Acceptors, coordinator: Coordinator, standing: Standing
    ) -> None:
        self._node = node
        self._acceptors = acceptors
        self._coordinator = coordinator
        self._standing = standing

    def on_message(self, turn: Turn, sender: NodeId, message: VotingMessage) -> None:
        """A peer, or this node itself, proposes or answers."""
        match message:
            case AcceptMany():
                self._on_flight(turn, sender, message)
            case Accept() | Prepare():
                self._on_proposal(turn, sender, message)
            case _ if self._node.voting:
                self._on_answer(turn, sender, message)
            case _:
                pass

    def _on_proposal(self, turn: Turn, sender: NodeId, message: Prepare | Accept) -> None:
        """As an acceptor: vote if we may, and in any case say what we have learned."""
        instance = turn.instance(message.key)
        if isinstance(instance, Forgotten):
            tell_forgotten(turn, sender, message.key, instance)
            return
        may_say = isinstance(instance, Instance) and instance.learned is not None
        if not self._node.voting and not may_say:
            return
        answer = self._acceptors.answer(turn, message)
        if answer is not None:
            turn.vouch(message.key, Send(sender, answer))

    def _on_flight(self, turn: Turn, sender: NodeId, message: AcceptMany) -> None:
        """Vote on each proposal by itself; what is accepted is answered together, behind the rest.

        Without the standing promise nothing can be accepted, and to say so of one key is enough.
        """
        if not self._node.voting or not self._acceptors.covers(message.ballot):
            for decree in message.decrees[:1]:
                self._on_proposal(turn, sender, Accept(decree.key, message.ballot, decree))
            return
        others = self._acceptors.vote(turn, message.ballot, message.decrees)
        for key, answer in others.items():
            if answer is not None:
                turn.vouch(key, Send(sender, answer))
        vote = AcceptedMany(message.ballot, message.number, tuple(others))
        turn.vouch_for_all([decree.key for decree in message.decrees], Send(sender, vote))

    def _on_answer(self, turn: Turn, sender: NodeId, message: Answer) -> None:
        match message:
            case AcceptedMany():
                self._coordinator.on_accepted_many(turn, sender, message)
            case Accepted():
                self._coordinator.on_accepted(turn, sender, message)
            case Promise():
                self._coordinator.on_promise(turn, sender, message)
            case Nack():
                self._coordinator.on_nack(turn, sender, message)
            case Held():
                self._coordinator.on_held(turn, message)
            case PrepareClass():
                self._standing.on_prepare_class(turn, sender, message)
            case PromiseClass():
                self._standing.on_promise(turn, sender, message)
            case _:
                assert_never(message)
