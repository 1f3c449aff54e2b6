"""Which records of a node are durable, and which are on its disk but not synced.

It follows what was written and the contract of `Effects` and never asks the disk, so that the two can
be compared.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from decreed.registry.disk import ClassRecord, FeedRecord, InstanceRecord, Record, Recovered
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Ballot, Key, NodeId

Note = Callable[[Record], None]


@dataclass(eq=False)
class Ledger:
    """The records of one incarnation of a node.

    Attributes:
        feed_end: how many entries of its feed are durable.
        classes: the class promise to each home that is durable, by its ballot.
        instances: the durable instances of the keys that this incarnation wrote or looked up.
        unsynced: the records that a crash may take, oldest first.
    """

    feed_end: int
    classes: dict[NodeId, Ballot]
    instances: dict[Key, Instance] = field(default_factory=dict[Key, Instance])
    unsynced: list[Record] = field(default_factory=list[Record])

    @classmethod
    def of(cls, recovered: Recovered) -> "Ledger":
        """The ledger of a node that has just started."""
        classes = {held.ballot.process.node: held.ballot for held in recovered.classes}
        return cls(recovered.feed_end, classes)

    @property
    def doubtful(self) -> set[Key]:
        """The keys whose decree a crash may take."""
        feeds = [record for record in self.unsynced if isinstance(record, FeedRecord)]
        return {key for record in feeds for key in record.keys}

    def write(self, records: Iterable[Record], sync: bool, note: Note) -> None:
        """A batch was written; `note` is called with each record that is durable now."""
        self.unsynced += records
        if not sync:
            return
        for record in self.unsynced:
            self._take(record)
            note(record)
        self.unsynced.clear()

    def _take(self, record: Record) -> None:
        match record:
            case InstanceRecord(key, instance):
                self.instances[key] = instance
            case FeedRecord(index, keys):
                self.feed_end = index + len(keys)
            case ClassRecord(promised):
                self.classes[promised.ballot.process.node] = promised.ballot
            case _:
                pass
