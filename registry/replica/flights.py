"""Flights: proposals under the standing promise that travel, are voted on and are counted together.

A claim alone is cheap; what costs is to do everything for it alone. So all that a home proposes in one
step, in its standing ballot, leaves as one flight: one message to each acceptor, one vote of each, one
count, one timer, one commit. Each key stays an instance of its own: what an acceptor refuses leaves
the flight, and goes on with both phases by itself.

Invariants kept here:

* every node in `votes` has durably accepted each decree that is aboard (R19, R20): who refused a key
  has thereby taken it off, before the vote is counted.
* nothing is aboard that the node's own acceptor has not accepted in the step in which it left (R05).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from ..paxos.messages import AcceptedMany, AcceptMany, CommitMany
from ..paxos.proposer import Proposing
from ..types import Ballot, Decree, Key, NodeId
from .acceptors import Acceptors
from .effects import Send
from .events import ResendFlight
from .node import Node
from .turn import Pending, Turn

STANDING_RESENDS = 1
"""So often a proposal that relies on the standing promise is said again; then comes phase 1."""


@dataclass(slots=True, eq=False)
class Flight:
    """What left together.

    Attributes:
        number: of all flights of this life.
        ballot: the standing ballot.
        aboard: what is still proposed, by key.
        votes: who has accepted all of it.
        resends: how often it was said again.
    """

    number: int
    ballot: Ballot
    aboard: dict[Key, Decree]
    votes: set[NodeId] = field(default_factory=set[NodeId])
    resends: int = 0

    def message(self) -> AcceptMany:
        """R18: what goes to every acceptor."""
        return AcceptMany(self.ballot, self.number, tuple(self.aboard.values()))

    def commit(self) -> CommitMany:
        """R20: what everybody is told when all of it is chosen."""
        return CommitMany(self.ballot, tuple(self.aboard))


class Flights:
    """All flights of a node.

    Args:
        node: who we are.
        acceptors: the node's own acceptor, which votes like any other.

    Attributes:
        made: how many there have been in this life, single keys included.
        landed, landed_ms: how many the last flight that landed had aboard, and when that was.
    """

    def __init__(self, node: Node, acceptors: Acceptors) -> None:
        self._node = node
        self._acceptors = acceptors
        self._flights: dict[int, Flight] = {}
        self._lone: set[int] = set()
        self.made = 0
        self.landed = 0
        self.landed_ms = 0.0

    @property
    def under_way(self) -> bool:
        """Whether votes on anything that left are missing."""
        return bool(self._flights or self._lone)

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"flights": self._flights}

    @property
    def numbers(self) -> Collection[int]:
        """Those of the flights that are under way."""
        return self._flights

    def lone(self) -> int:
        """A number for a key that travels by itself, in the plain messages, until it is left."""
        self.made += 1
        self._lone.add(self.made)
        return self.made

    def aboard(self, number: int) -> Iterable[Key]:
        """The keys of a flight that is under way."""
        flight = self._flights.get(number)
        return flight.aboard if flight is not None else ()

    def find(self, number: int | None) -> Flight | None:
        """The flight of a number, if it is under way."""
        return self._flights.get(number) if number is not None else None

    def restore(self, number: int, state: Proposing, resends: int) -> None:
        """Put a flight with one key on board under way, which has come as far as `state`."""
        votes = {NodeId(name) for name in state.votes}
        aboard = {state.key: state.decree}
        self._flights[number] = Flight(number, state.ballot, aboard, votes, resends)

    def depart(self, turn: Turn, decrees: Sequence[Decree]) -> tuple[int, list[Key]]:
        """Propose these in the standing ballot: to our own acceptor first, then to all others.

        Returns:
            The flight's number, and the keys that our own acceptor refused.
        """
        ballot = Ballot.standing(self._node.process)
        refused = self._acceptors.vote(turn, ballot, decrees)
        aboard = {decree.key: decree for decree in decrees if decree.key not in refused}
        self.made += 1
        if aboard:
            flight = self._flights[self.made] = Flight(self.made, ballot, aboard)
            vote = AcceptedMany(ballot, flight.number, ())
            turn.vouch_for_all(aboard, Send(self._node.name, vote))
            turn.broadcast(self._node.others, flight.message())
            self._set_resend(turn, flight)
        return self.made, list(refused)

    def on_accepted(
        self, turn: Turn, sender: NodeId, message: AcceptedMany
    ) -> tuple[list[Key], Flight | None]:
        """R20: a vote on all that is aboard except what it refuses; a quorum of them chooses it.

        Returns:
            The keys that leave the flight, since the vote is not for them, whatever comes of it; and
            the flight, if all that is left aboard is chosen.
        """
        flight = self._flights.get(message.number)
        quorums = self._node.config.quorums
        if flight is None or flight.ballot != message.ballot or sender not in quorums.members:
            return [], None
        refused = [key for key in message.refused if key in flight.aboard]
        for key in refused:
            self.leave(flight.number, key)
        flight.votes.add(sender)
        if not flight.aboard or not quorums.accepted(flight.votes):
            return refused, None
        del self._flights[flight.number]
        self.landed, self.landed_ms = len(flight.aboard), turn.now_ms
        return refused, flight

    def on_resend(self, turn: Turn, timer: ResendFlight) -> list[Key]:
        """Votes are missing: say it again, once (R02).

        Returns:
            The keys on board, if that was done before: each must go on alone.
        """
        flight = self._flights.get(timer.number)
        if flight is None:
            return []
        if flight.resends >= STANDING_RESENDS:
            return list(flight.aboard)
        flight.resends += 1
        missing = [node for node in self._node.others if node not in flight.votes]
        turn.broadcast(missing, flight.message())
        self._set_resend(turn, flight)
        return []

    def leave(self, number: int, key: Key) -> None:
        """The key is not proposed with this flight any more."""
        self._lone.discard(number)
        flight = self._flights.get(number)
        if flight is not None:
            flight.aboard.pop(key, None)
            if not flight.aboard:
                del self._flights[number]

    def clear(self) -> None:
        """Drop everything, since the disk failed."""
        self._flights.clear()
        self._lone.clear()

    def _set_resend(self, turn: Turn, flight: Flight) -> None:
        delay_ms = self._node.config.timing.resend_ms << flight.resends
        turn.timer(ResendFlight(flight.number), delay_ms, delay_ms / 4)
