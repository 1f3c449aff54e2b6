"""An acceptor's answers to prepare and accept messages.

A node that may not vote is no acceptor. It answers only for keys that it has learned.
"""

from collections.abc import Callable

from ...paxos.decrees import Decrees
from ...paxos.instance import Instance
from ...paxos.messages import Accept, AcceptedMany, AcceptMany, Nack, Prepare
from ...types import EPOCH_BITS, NodeId
from ...unserved import ForgottenInstance
from ..feed.truncation import tell_forgotten
from ..step.effects import Send
from ..step.node import Node
from ..step.step_builder import StepBuilder
from .acceptor import Acceptors

OtherEpoch = Callable[[StepBuilder, NodeId, int], None]
"""Called with who asks, and in which epoch, if it is not the one that this node knows."""


class Voting:
    """The answers of this node to proposers, itself included.

    Args:
        node: who we are, and whether we may vote.
        acceptors: decides what to answer.
        other_epoch: answers who asks in another epoch than ours.
    """

    def __init__(self, node: Node, acceptors: Acceptors, other_epoch: OtherEpoch) -> None:
        self._node = node
        self._acceptors = acceptors
        self._other_epoch = other_epoch

    def on_proposal(self, step: StepBuilder, sender: NodeId, message: Prepare | Accept) -> None:
        """Vote if this node may, and answer with the decree in any case if it is learned."""
        instance = step.instances[message.key]
        if isinstance(instance, ForgottenInstance):
            tell_forgotten(step, sender, message.key, instance)
            return
        may_say = isinstance(instance, Instance) and instance.learned is not None
        if message.ballot.round >> EPOCH_BITS != self._node.epoch.number and not may_say:
            self._other_epoch(step, sender, message.ballot.epoch)
            return
        if not self._node.voting and not may_say:
            return
        answer = self._acceptors.answer(step, message)
        if isinstance(answer, Nack):
            self._node.counts.nacks += 1
        if answer is not None:
            step.send_when_durable(message.key, Send(sender, answer))

    def on_batch(self, step: StepBuilder, sender: NodeId, message: AcceptMany) -> None:
        """Vote on each proposal separately, and answer all that is accepted in one message.

        Refusals of single keys are sent before it. Without the class promise nothing in the batch can
        be accepted, so the answer for the first key speaks for all.
        """
        if not self._node.voting or not self._acceptors.covers(message.ballot):
            for decree in message.decrees[:1]:
                self.on_proposal(step, sender, Accept(decree.key, message.ballot, decree))
            return
        decrees = Decrees.of(message.decrees)
        others = self._acceptors.vote(step, message.ballot, decrees)
        for key, answer in others.items():
            if answer is not None:
                step.send_when_durable(key, Send(sender, answer))
        vote = AcceptedMany(message.ballot, message.number, tuple(others))
        step.send_when_all_durable(decrees.keys, Send(sender, vote))
