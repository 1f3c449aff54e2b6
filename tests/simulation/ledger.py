"""What of a node's records is durable: what was synced, and what stands on its disk without that.

Kept by what was written and by the words of `Effects`, never by asking the disk, so that the two can be
held against each other.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from decreed.registry.disk import ClassRecord, FeedRecord, InstanceRecord, Record, Recovered
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Ballot, Key, NodeId

Note = Callable[[Record], None]


@dataclass(eq=False)
class Ledger:
    """One life of a node.

    Attributes:
        feed_end: how many entries of its feed are durable.
        classes: the standing ballot that it has promised each home, durably.
        instances: what it holds durably, for keys that were written or asked for in this life.
        unsynced: what may be lost in a crash, oldest first.
    """

    feed_end: int
    classes: dict[NodeId, Ballot]
    instances: dict[Key, Instance] = field(default_factory=dict[Key, Instance])
    unsynced: list[Record] = field(default_factory=list[Record])

    @classmethod
    def of(cls, recovered: Recovered) -> "Ledger":
        """What a node found on its disk."""
        classes = {held.ballot.process.node: held.ballot for held in recovered.classes}
        return cls(recovered.feed_end, classes)

    @property
    def doubtful(self) -> set[Key]:
        """The keys of which a crash may take the decree."""
        feeds = [record for record in self.unsynced if isinstance(record, FeedRecord)]
        return {key for record in feeds for key in record.keys}

    def write(self, records: Iterable[Record], sync: bool, note: Note) -> None:
        """A batch was written; `note` is told of each record that is durable now."""
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
