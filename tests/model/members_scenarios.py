"""The changes of members that are explored, with their bounds and the figures that tests hold."""

from msgspec.structs import force_setattr

from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import Ballot, NodeId, Process, Value

LATER = "a value is chosen in the last epoch"
CARRIED = "a value is chosen in an epoch before the last"
ADOPTED = "a voter of the last epoch holds what it has adopted"
DIFFERENT = "voters of the last epoch hold different half-done proposals"
WHOLE = "a node becomes ready by one whole series"
SOMETIMES = (LATER, CARRIED, ADOPTED, DIFFERENT, WHOLE)


class Voters(Value, frozen=True):
    """An epoch of a scenario: the voters' names, one letter each; size 0 means a majority."""

    names: str
    prepare: int = 0
    accept: int = 0


class Change(Value, frozen=True):
    """Epochs one after the other, and how many ballots there may be in each.

    Args:
        name: for tables and tests.
        epochs: the voters.
        ballots: for each epoch, how many processes propose in it, one ballot and one value each.
        out_of_reach: the sometimes-properties that cannot occur within these bounds.
        states, depth: how many states there are, and the distance of the farthest; a test holds them.
    """

    name: str
    epochs: tuple[Voters, ...]
    ballots: tuple[int, ...]
    out_of_reach: frozenset[str] = frozenset()
    states: int = 0
    depth: int = 0

    @property
    def names(self) -> tuple[NodeId, ...]:
        """All nodes; those that vote in the same epochs are next to each other."""
        every = sorted({name for voters in self.epochs for name in voters.names})
        pattern = {name: [name in voters.names for voters in self.epochs] for name in every}
        return tuple(NodeId(name) for name in sorted(every, key=lambda n: (pattern[n], n)))

    @property
    def alike(self) -> tuple[tuple[int, int], ...]:
        """The stretches of nodes that differ only in their names: first, and the one behind."""
        kinds = [tuple(name in voters.names for voters in self.epochs) for name in self.names]
        starts = [at for at, kind in enumerate(kinds) if not at or kind != kinds[at - 1]]
        return tuple(zip(starts, [*starts[1:], len(kinds)], strict=True))

    def epoch(self, number: int) -> Epoch:
        """An epoch; its quorums are not checked, so that those that need not meet can be tried."""
        voters = self.epochs[number]
        members = tuple(NodeId(name) for name in sorted(voters.names))
        quorums = Quorums.majority(members)
        force_setattr(quorums, "prepare", voters.prepare or quorums.prepare)
        force_setattr(quorums, "accept", voters.accept or quorums.accept)
        return Epoch(number, quorums, tuple(name.encode() * 16 for name in members))

    def proposals(self) -> tuple[Ballot, ...]:
        """Every ballot, each of a process of its own."""
        return tuple(
            Ballot.first(Process(NodeId(f"p{number}"), 1), epoch)
            for epoch, count in enumerate(self.ballots)
            for number in range(count)
        )


THREE, REPLACED = Voters("abc"), Voters("abd")
READS, READS_REPLACED = Voters("abc", 1, 3), Voters("abd", 1, 3)
WRITES, WRITES_REPLACED = Voters("abc", 3, 1), Voters("abd", 3, 1)
_ALIKE = frozenset({DIFFERENT})
"""Out of reach where one voter is enough, in one of the epochs, to be shown all that there is."""

DEFAULT = (
    Change("3, one replaced", (THREE, REPLACED), (1, 1), states=7_462, depth=21),
    Change("3 to 1", (THREE, Voters("a")), (1, 1), _ALIKE, 1_169, 16),
    Change("1 to 3", (Voters("a"), THREE), (1, 2), states=2_701, depth=22),
    Change("P=1 A=3, one replaced", (READS, READS_REPLACED), (1, 1), _ALIKE, 4_090, 19),
    Change("P=3 A=1, one replaced", (WRITES, WRITES_REPLACED), (1, 1), _ALIKE, 2_132, 23),
    Change(
        "majority to P=3 A=1, one replaced", (THREE, WRITES_REPLACED), (1, 1), _ALIKE, 4_265, 22
    ),
    Change(
        "majority to P=1 A=3, one replaced",
        (THREE, READS_REPLACED),
        (1, 1),
        states=11_275,
        depth=20,
    ),
    Change("3 to 1 to 3", (THREE, Voters("a"), THREE), (1, 1, 1), states=23_927, depth=26),
)

MORE = (
    Change("3, all replaced", (THREE, Voters("def")), (1, 1), states=13_079, depth=25),
    Change("P=3 A=1 to majority, one replaced", (WRITES, REPLACED), (1, 1), _ALIKE, 4_064, 22),
    Change("P=1 A=3 to P=3 A=1, the same three", (READS, WRITES), (1, 1), _ALIKE, 267, 19),
    Change("3 to 1, two ballots in the first", (THREE, Voters("a")), (2, 1), _ALIKE, 25_467, 22),
    Change(
        "3, one replaced, two ballots in the last",
        (THREE, REPLACED),
        (1, 2),
        states=112_336,
        depth=27,
    ),
    Change(
        "1 to 3 to another 1",
        (Voters("a"), THREE, Voters("b")),
        (1, 1, 1),
        _ALIKE,
        states=12_727,
        depth=26,
    ),
)
