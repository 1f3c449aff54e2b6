"""Recovery (R22): finishing keys in doubt, so that a chosen value does not stay unknown.

A node that has held an acceptance without its outcome for some time finishes that key itself. A
list has the keys in doubt that it met finished before it answers (design 5 and 6).
"""

from ...errors import Unreachable
from ...members import epoch_of
from ...paxos.instance import Instance
from ...unserved import ForgottenInstance, Unserved
from ..consensus.acceptor import Acceptors
from ..consensus.coordinator import Coordinator
from ..step.events import Finish
from ..step.node import Node, refusal
from ..step.step_builder import StepBuilder
from .lists import Lists
from .reads import being_decided

FINISH_AT_A_TIME = 256


class Finishing:
    """Finishes keys in doubt.

    Args:
        node: who we are.
        acceptors: knows the keys in doubt.
        coordinator: runs Paxos.
        lists: may wait for the outcome.
    """

    def __init__(
        self, node: Node, acceptors: Acceptors, coordinator: Coordinator, lists: Lists
    ) -> None:
        self._node = node
        self._acceptors = acceptors
        self._coordinator = coordinator
        self._lists = lists

    def sweep(self, step: StepBuilder) -> None:
        """In the next step, finish the keys that have been in doubt for too long."""
        if not self._node.voting:
            return
        finish_ms = self._node.config.timing.finish_ms
        before_ms = step.now_ms - finish_ms - self._acceptors.backlog_ms
        for key in self._acceptors.overdue(before_ms, FINISH_AT_A_TIME):
            self._acceptors.postpone(key, step.now_ms)
            step.again(Finish(key, None))

    def finish(self, step: StepBuilder, event: Finish) -> None:
        """Finish one key, whose instance is loaded."""
        if event.token is not None:
            self._finish_for_list(step, event, event.token)
            return
        instance = step.instances[event.key]
        if epoch_of(event.key) is not None:
            return  # a change of members is finished by who asked for it, or not at all (M03)
        if self._node.voting and isinstance(instance, Instance) and instance.learned is None:
            self._coordinator.finish(step, event.key)

    def _finish_for_list(self, step: StepBuilder, event: Finish, token: int) -> None:
        instance = step.instances[event.key]
        if isinstance(instance, ForgottenInstance):
            self._lists.leave_out(step, event)
        elif isinstance(instance, Unserved):
            self._lists.give_up(step, token, instance.error, instance.message)
        elif instance.learned is not None:
            self._lists.settle(step, event, instance.learned)
        elif epoch_of(event.key) is not None:  # nor does a list finish it (M03)
            self._lists.give_up(step, token, Unreachable, being_decided(event.key))
        elif self._node.takes_part:
            self._lists.finish(step, event)
        else:
            self._lists.give_up(step, token, *refusal(self._node))
