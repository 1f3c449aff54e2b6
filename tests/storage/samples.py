"""Records for the tests of storage."""

from decreed.registry.disk import FeedRecord, ForgetRecord, InstanceRecord, Record
from decreed.registry.keys import parse_key, slot_key
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, Proposal
from decreed.registry.wire.peers import FLOOR_DIGEST

BALLOT = Ballot(3, Process(NodeId("a"), 1))


def decree(key: str, value: bytes = b"value") -> Decree:
    """A decree for `key`."""
    return Decree(parse_key(key), value, "text/plain", "me", b"id", "note", 1_700_000, BALLOT)


def promised(key: str) -> InstanceRecord:
    """`key`, promised and no more."""
    return InstanceRecord(parse_key(key), Instance(promised=BALLOT))


def accepted(key: str, value: bytes = b"value") -> InstanceRecord:
    """`key`, accepted and not learned."""
    proposal = Proposal(BALLOT, decree(key, value))
    return InstanceRecord(parse_key(key), Instance(promised=BALLOT, accepted=proposal))


def learned(key: str, value: bytes = b"value") -> InstanceRecord:
    """`key`, learned."""
    return InstanceRecord(parse_key(key), Instance(learned=decree(key, value)))


def feed_record(index: int, key: str) -> FeedRecord:
    """An entry of the feed."""
    return FeedRecord(index, (Key(key),), index.to_bytes(16, "big"))


def forget(series: str, floor: int, entry: int) -> list[Record]:
    """A floor, and the entry of the feed that tells it."""
    last = slot_key(series, floor - 1)
    return [FeedRecord(entry, (last,), FLOOR_DIGEST), ForgetRecord(series, floor, entry)]
