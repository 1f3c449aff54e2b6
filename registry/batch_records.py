"""The records of whole batches: what a node accepts, or learns, of many keys in one step."""

from collections.abc import Mapping

from .paxos.decrees import Decrees
from .paxos.instance import Instance
from .types import Ballot, Key, Value


class AcceptedBatch(Value, frozen=True, tag=11):
    """R14 for a batch of keys of which nothing was known: all of them accepted this, in one ballot.

    Args:
        ballot: the home ballot.
        decrees: one for each key.
        instances: the same, as the instance of each key.
    """

    ballot: Ballot
    decrees: Decrees
    instances: Mapping[Key, Instance]


class LearnedBatch(Value, frozen=True, tag=12):
    """R20 for a batch: the decrees of keys that had none; a `FeedRecord` has their entries.

    Args:
        decrees: one for each key.
        instances: the same, as the instance of each key.
    """

    decrees: Decrees
    instances: Mapping[Key, Instance]
