"""Votes: the prepares and accepts of others, answered as an acceptor. A vote waits for the disk here.

A node that may not vote is no acceptor; but what it has learned it says to anybody.
"""

from ...disk import ForgottenInstance
from ...paxos.instance import Instance
from ...paxos.messages import Accept, AcceptedMany, AcceptMany, Prepare
from ...types import NodeId
from ..feed.truncation import tell_forgotten
from ..step.effects import Send
from ..step.node import Node
from ..step.step_builder import StepBuilder
from .acceptor import Acceptors


class Voting:
    """The answers of this node to those who propose, itself included.

    Args:
        node: who we are, and whether we may vote.
        acceptors: decides what to answer.
    """

    def __init__(self, node: Node, acceptors: Acceptors) -> None:
        self._node = node
        self._acceptors = acceptors

    def on_proposal(self, step: StepBuilder, sender: NodeId, message: Prepare | Accept) -> None:
        """As an acceptor: vote if we may, and in any case say what we have learned."""
        instance = step.instances[message.key]
        if isinstance(instance, ForgottenInstance):
            tell_forgotten(step, sender, message.key, instance)
            return
        may_say = isinstance(instance, Instance) and instance.learned is not None
        if not self._node.voting and not may_say:
            return
        answer = self._acceptors.answer(step, message)
        if answer is not None:
            step.send_when_durable(message.key, Send(sender, answer))

    def on_accept_many(self, step: StepBuilder, sender: NodeId, message: AcceptMany) -> None:
        """Vote on each proposal by itself; what is accepted is answered together, behind the rest.

        Without the class promise nothing can be accepted, and to say so of one key is enough.
        """
        if not self._node.voting or not self._acceptors.covers(message.ballot):
            for decree in message.decrees[:1]:
                self.on_proposal(step, sender, Accept(decree.key, message.ballot, decree))
            return
        others = self._acceptors.vote(step, message.ballot, message.decrees)
        for key, answer in others.items():
            if answer is not None:
                step.send_when_durable(key, Send(sender, answer))
        vote = AcceptedMany(message.ballot, message.number, tuple(others))
        step.send_when_all_durable([decree.key for decree in message.decrees], Send(sender, vote))
