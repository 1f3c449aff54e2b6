"""`WriteBatch`: the rows of the records of one write.

Owns how each kind of record becomes rows. It must not know what is stored already, so the deletions of
a new floor are not its part.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from msgspec.structs import replace

from ..registry.disk import (
    AcceptedBatch,
    ClassRecord,
    CursorRecord,
    DirectoryIdentity,
    EpochRecord,
    FeedRecord,
    ForgetRecord,
    FormationRecord,
    InstanceRecord,
    LearnedBatch,
    PeerRecord,
    PeerSeatRecord,
    Record,
    WithheldRecord,
)
from ..registry.locks.restored import Restoration
from ..registry.paxos.instance import Instance
from ..registry.types import Key
from ..registry.unserved import Unserved
from . import layout
from .runs import rows_of
from .withheld import may_be_withheld, withheld

Load = Callable[[Collection[Key]], Mapping[Key, Instance | Unserved]]


@dataclass
class WriteBatch:
    """A batch that is being built.

    Args:
        identity: the node's identity once the batch is written.
        feed_end: the end of the feed once it is written.
        instances: the last instance of each key.
        rows: the values of all other stored keys; None deletes.
        floors: the records of floors.
        accepted, learned: the batches of keys that are written as wholes.
        restoration: how the formation that the node joins was restored.
        withheld: the keys that are withheld from now on, if nothing is learned for them.
    """

    identity: DirectoryIdentity
    feed_end: int
    instances: dict[Key, Instance] = field(default_factory=dict[Key, Instance])
    rows: dict[bytes, object | None] = field(default_factory=dict[bytes, object | None])
    floors: list[ForgetRecord] = field(default_factory=list[ForgetRecord])
    withheld: dict[Key, WithheldRecord] = field(default_factory=dict[Key, WithheldRecord])
    accepted: list[AcceptedBatch] = field(default_factory=list[AcceptedBatch])
    learned: list[LearnedBatch] = field(default_factory=list[LearnedBatch])
    restoration: Restoration | None = None

    def add(self, records: Iterable[Record]) -> None:
        """Add all records; called once. The last record for a place counts."""
        entries: list[FeedRecord] = []
        for record in records:
            # most frequent first: a failed isinstance costs more than one that succeeds
            match record:
                case InstanceRecord():
                    self.instances[record.key] = record.instance
                case AcceptedBatch():
                    self.accepted.append(record)
                case LearnedBatch():
                    self.learned.append(record)
                case FeedRecord():
                    entries.append(record)
                case ForgetRecord():
                    self.floors.append(record)
                case CursorRecord():
                    self.rows[layout.cursor_key(record.node)] = record
                case ClassRecord(promised):
                    self.rows[layout.class_key(promised.ballot.process.node)] = promised
                case PeerRecord():
                    self.rows[layout.peer_key(record.node)] = record
                case EpochRecord():
                    self.rows[layout.EPOCH_KEY] = record
                case WithheldRecord():
                    self.withheld[record.key] = record
                case PeerSeatRecord():
                    self.rows[layout.peer_seat_key(record.node)] = record
                case FormationRecord():
                    self.identity = replace(self.identity, formation=record.formation)
                    self.rows[layout.IDENTITY_KEY] = self.identity
                    self._restore(record.restoration)
                case _:
                    assert_never(record)
        if entries:
            floors = frozenset(floor.entry for floor in self.floors)
            self.rows.update(rows_of(entries, floors))
            self.feed_end = max(self.feed_end, entries[-1].index + len(entries[-1].keys))

    def _restore(self, restoration: Restoration | None) -> None:
        if restoration is not None:
            self.restoration = restoration
            self.rows[layout.RESTORATION_KEY] = restoration

    def withhold(self, load: Load) -> Collection[Key]:
        """Add the rows of the keys that are withheld, and return these keys.

        Called once, after `add`. A key with an instance in this batch is not withheld, nor one that is
        learned or forgotten.
        """
        found = load([key for key in self.withheld if key not in self.instances])
        kept = {key: one for key, one in found.items() if may_be_withheld(one)}
        for key, one in kept.items():
            self.rows[layout.instance_key(key)] = withheld(self.withheld[key], one)
        return kept.keys()
