"""Checks class promises against the proposals that rely on them."""

from collections.abc import Callable, Iterable

from decreed.registry.paxos.messages import PromiseClass
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import Ballot, Decree, Key, NodeId

from .event_counts import EventCounts
from .ledger import Ledger

QuorumsOf = Callable[[Ballot], Quorums]


class PromiseCheck:
    """All class promises of a run.

    Args:
        quorums: gives how many promises a home needs for a ballot.
        event_counts: counts what happens.
    """

    def __init__(self, quorums: QuorumsOf, event_counts: EventCounts) -> None:
        self._quorums = quorums
        self._event_counts = event_counts
        self._told: dict[Ballot, set[NodeId]] = {}
        self._highest: dict[tuple[NodeId, NodeId], Ballot] = {}
        self._proposed: dict[NodeId, dict[Key, Ballot]] = {}
        self._orphans: set[tuple[Key, Ballot]] = set()

    def told(
        self, node: NodeId, message: PromiseClass, ledger: Ledger, unknown: Iterable[Key]
    ) -> None:
        """R12, R13: a node sends its class promise.

        Args:
            node: the node.
            message: the promise that it sends.
            ledger: what is on its disk.
            unknown: the keys of the class that it has accepted and not learned.
        """
        ballot = message.ballot
        home = ballot.process.node
        held = ledger.classes.get(home)
        assert held is not None and held >= ballot, "R13: a class promise is not on disk"
        assert message.feed_end <= ledger.feed_end, "R13: a position of the feed is not on disk"
        hidden = set(unknown).difference(message.unlearned)
        assert not hidden, f"R12: {node} does not tell {home} of {hidden}"
        self._told.setdefault(ballot, set()).add(node)
        self._highest[node, home] = max(self._highest.get((node, home), ballot), ballot)
        if node != home and ballot.process.incarnation > 1:
            self._event_counts.saw("a class promise was sent to a home that restarted")

    def accepted(self, node: NodeId, ballot: Ballot, home: NodeId, ledger: Ledger) -> None:
        """R11, R19: a node answers that it has accepted in a home ballot."""
        assert ballot.process.node == home, f"{ballot} for a key of {home}"
        held = ledger.classes.get(home)
        assert held is not None and held >= ballot, "R19: accepted without the class promise"
        highest = self._highest.get((node, home))
        assert highest is None or highest <= ballot, "R11: a class promise was broken"

    def proposed(self, key: Key, ballot: Ballot) -> None:
        """R15: a home has the promises of a quorum for what it proposes."""
        backers = self._told.get(ballot, set())
        assert self._quorums(ballot).prepared(backers), (
            f"R15: {ballot} was promised by {backers} alone"
        )
        self._proposed.setdefault(ballot.process.node, {})[key] = ballot

    def replaced(self, node: NodeId) -> None:
        """Another disk is in the machine of a node: it is not bound by what the one before promised."""
        for pair in [pair for pair in self._highest if pair[0] == node]:
            del self._highest[pair]

    def died(self, node: NodeId, voted: set[Key], chosen: dict[Key, Decree]) -> None:
        """A home has died: proposals that it has not written itself may still be chosen."""
        for key, ballot in self._proposed.pop(node, {}).items():
            if key not in voted:
                self._orphans.add((key, ballot))
                if key in chosen:
                    self.chosen(key, chosen[key])

    def chosen(self, key: Key, decree: Decree) -> None:
        """A decree is chosen, or was chosen before its home died."""
        if (key, decree.ballot) in self._orphans:
            self._orphans.discard((key, decree.ballot))
            self._event_counts.saw("what a home proposed and never wrote was chosen")

    def count(self, ballot: Ballot) -> None:
        """Count a decree that is chosen in this ballot."""
        if ballot.is_of_home:
            self._event_counts.saw("a decree was chosen in a home ballot")
