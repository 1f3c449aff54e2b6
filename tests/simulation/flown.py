"""Flights as they were sent, for whoever holds the answers to them against the rules.

A flight may be said again with fewer keys on board, and a vote answers one of those times. Whichever it
was, the vote speaks for all keys that were on board when it was said last.
"""

from decreed.registry.paxos.messages import AcceptedMany, AcceptMany, Prepare
from decreed.registry.types import Ballot, Key, NodeId

from .sightings import Sightings

At = tuple[Ballot, int]
"""Which flight: its ballot, and its number in it."""


class Flown:
    """All flights of a run.

    Args:
        sightings: what was seen to happen.
    """

    def __init__(self, sightings: Sightings) -> None:
        self._sightings = sightings
        self._aboard: dict[At, tuple[Key, ...]] = {}
        self._told: set[tuple[NodeId, At]] = set()
        self._flights: dict[tuple[Key, Ballot], int] = {}

    def sent(self, to: NodeId, message: AcceptMany) -> None:
        """A flight leaves for a node, for the first time or again."""
        at = (message.ballot, message.number)
        keys = tuple(Key(decree.key) for decree in message.decrees)
        assert len(set(keys)) == len(keys) > 0, "a flight has each key once"
        assert set(keys) <= set(self._aboard.get(at, keys)), "somebody boards what has left"
        for key in keys:
            number = self._flights.setdefault((key, message.ballot), message.number)
            assert number == message.number, f"R05: {key} flies twice in {message.ballot}"
        if (to, at) in self._told:
            self._sightings.saw("a flight was said again")
        self._told.add((to, at))
        self._aboard[at] = keys

    def accepted(self, message: AcceptedMany) -> list[Key]:
        """What a vote says to be accepted; nothing of a flight that went to nobody else."""
        if message.refused:
            self._sightings.saw("a key of a flight was refused")
        aboard = self._aboard.get((message.ballot, message.number), ())
        return [key for key in aboard if key not in message.refused]

    def prepared(self, message: Prepare) -> None:
        """A node begins an attempt at one key alone."""
        if (message.key, Ballot.standing(message.ballot.process)) in self._flights:
            self._sightings.saw("a key left its flight")
