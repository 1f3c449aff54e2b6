"""`Batch`: what the records of one write come to, row by row.

Owns how each kind of record becomes rows. It must not know what is stored already; what a new floor
deletes is therefore not its part.
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
class Batch:
    """A batch in the making.

    Args:
        identity: the node's identity once the batch is written.
        feed_end: the end of the feed once it is written.
        instances: the last one of each key.
        rows: what to put at all other stored keys; None deletes.
        floors: the records of floors.
    """

    identity: Identity
    feed_end: int
    instances: dict[Key, Instance] = field(default_factory=dict[Key, Instance])
    rows: dict[bytes, object | None] = field(default_factory=dict[bytes, object | None])
    floors: list[ForgetRecord] = field(default_factory=list[ForgetRecord])

    def add(self, records: Iterable[Record]) -> None:
        """Put all records in, once; the last one for a place stands."""
        entries: list[FeedRecord] = []
        for record in records:
            # by how often they come: to find out that it is not a kind takes longer than that it is
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
