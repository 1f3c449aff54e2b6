"""`WriteBatch`: the rows of the records of one write.

Owns how each kind of record becomes rows. It must not know what is stored already, so the deletions of
a new floor are not its part.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from msgspec.structs import replace

from ..registry.disk import (
    ClassRecord,
    CursorRecord,
    FeedRecord,
    ForgetRecord,
    FormationRecord,
    Identity,
    InstanceRecord,
    PeerRecord,
    Record,
)
from ..registry.paxos.instance import Instance
from ..registry.types import Key
from . import layout
from .runs import rows_of


@dataclass
class WriteBatch:
    """A batch that is being built.

    Args:
        identity: the node's identity once the batch is written.
        feed_end: the end of the feed once it is written.
        instances: the last instance of each key.
        rows: the values of all other stored keys; None deletes.
        floors: the records of floors.
    """

    identity: Identity
    feed_end: int
    instances: dict[Key, Instance] = field(default_factory=dict[Key, Instance])
    rows: dict[bytes, object | None] = field(default_factory=dict[bytes, object | None])
    floors: list[ForgetRecord] = field(default_factory=list[ForgetRecord])

    def add(self, records: Iterable[Record]) -> None:
        """Add all records; called once. The last record for a place counts."""
        entries: list[FeedRecord] = []
        for record in records:
            # most frequent first: a failed isinstance costs more than one that succeeds
            match record:
                case InstanceRecord():
                    self.instances[record.key] = record.instance
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
                case FormationRecord():
                    self.identity = replace(self.identity, formation=record.formation)
                    self.rows[layout.IDENTITY_KEY] = self.identity
                case _:
                    assert_never(record)
        if entries:
            self.rows.update(rows_of(entries))
            self.feed_end = max(self.feed_end, entries[-1].index + len(entries[-1].keys))
