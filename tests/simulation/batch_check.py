"""Batches as they were sent, so that the votes on them can be checked against the rules.

A batch may be sent again with fewer keys. Whichever copy a vote answers, it counts for all keys that
were in the batch when it was sent last.
"""

from decreed.registry.paxos.messages import AcceptedMany, AcceptMany, Prepare
from decreed.registry.types import Ballot, Key, NodeId

from .event_counts import EventCounts

At = tuple[Ballot, int]
"""Identifies a batch: its ballot, and its number in that ballot."""


class BatchCheck:
    """All batches of a run.

    Args:
        event_counts: counts what happens.
    """

    def __init__(self, event_counts: EventCounts) -> None:
        self._event_counts = event_counts
        self._entries: dict[At, tuple[Key, ...]] = {}
        self._told: set[tuple[NodeId, At]] = set()
        self._batches: dict[tuple[Key, Ballot], int] = {}

    def sent(self, to: NodeId, message: AcceptMany) -> None:
        """A batch is sent to a node, for the first time or again."""
        at = (message.ballot, message.number)
        keys = tuple(Key(decree.key) for decree in message.decrees)
        assert len(set(keys)) == len(keys) > 0, "a batch has each key once"
        assert set(keys) <= set(self._entries.get(at, keys)), "a key joined a batch that was sent"
        for key in keys:
            number = self._batches.setdefault((key, message.ballot), message.number)
            assert number == message.number, f"R05: {key} is in two batches of {message.ballot}"
        if (to, at) in self._told:
            self._event_counts.saw("a batch was sent again")
        self._told.add((to, at))
        self._entries[at] = keys

    def accepted(self, message: AcceptedMany) -> list[Key]:
        """The keys that a vote accepts; no key if the batch was sent to no other node."""
        if message.refused:
            self._event_counts.saw("a key of a batch was refused")
        entries = self._entries.get((message.ballot, message.number), ())
        return [key for key in entries if key not in message.refused]

    def prepared(self, message: Prepare) -> None:
        """A node begins an attempt at one key alone."""
        if (message.key, Ballot.of_home(message.ballot.process)) in self._batches:
            self._event_counts.saw("a key left its batch")
