"""What a crash takes of the work on one key: for the storms and the model checker."""

from ..paxos.messages import PromiseClass
from ..types import NodeId, Value
from .consensus.attempt import Progress


class Volatile(Value, frozen=True):
    """The volatile state of the work on one key: what a crash loses.

    Args:
        attempt: the state of the attempt at it; None if there is none.
        told: the class promises that this incarnation has received, with their senders.
        batches: how many batches this incarnation has made.
    """

    attempt: Progress | None
    told: tuple[tuple[NodeId, PromiseClass], ...] = ()
    batches: int = 0
