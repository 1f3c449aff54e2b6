"""`Union`: everything that some directories have decided, key by key.

What any node has learned is decided. For a key that nobody has learned, the proposal with the highest
ballot is taken *as decided*: it may have been, and its claimant may have been told. If anything was
chosen that the directories can show, it is that (R12, R17).

Invariant: no key has two decrees. Where the directories contradict each other, the key is on
`conflicts`, and nothing is taken for it.
"""

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby

from ...registry.errors import ProtocolError
from ...registry.locks.restored import RESTORER
from ...registry.locks.terms import (
    CONTENT_TYPE,
    MIN_TTL_MS,
    TERMS,
    Term,
    is_term,
    lock_of,
    term_key,
    term_of,
)
from ...registry.members import SLOTS, MembersChange, change_of
from ...registry.paxos.instance import Instance
from ...registry.types import Ballot, Decree, Key, NodeId, Process, Proposal, Value
from ...registry.wire.codec import encode
from .. import layout
from .old_directory import OldDirectory

Row = tuple[bytes, int, Instance | Decree]
"""A stored key; which directory has it; and its instance, or the term that a floor stands for."""


class HalfDone(Value, frozen=True):
    """A decree that was accepted, and of which nobody learned that it was chosen.

    Args:
        decree: the one with the highest ballot.
        ballot: that ballot.
        holders: the nodes that hold it as accepted, each with its ballot.
        others: the nodes that hold another decree, in a lower ballot.
    """

    decree: Decree
    ballot: Ballot
    holders: tuple[tuple[NodeId, Ballot], ...]
    others: tuple[tuple[NodeId, Ballot], ...]


class Conflict(Value, frozen=True):
    """A key for which directories have different decrees: a corrupt disk, or a broken rule.

    Args:
        key: the key.
        decrees: what is said to be decided, with the node that says so.
    """

    key: Key
    decrees: tuple[tuple[NodeId, Decree], ...]


class Union:
    """The union of some directories.

    Args:
        directories: those that are read.

    Attributes:
        half_done: what is taken as decided, and may not have been; complete after a pass.
        conflicts: the keys for which nothing is taken; complete after a pass.
        change: the last change of members that may have been decided; known after a pass.
        ttl_ms: the longest ttl of any term that was met.
    """

    def __init__(self, directories: Sequence[OldDirectory]) -> None:
        self._directories = directories
        self._reset()

    def _reset(self) -> None:
        self.half_done: list[HalfDone] = []
        self.conflicts: list[Conflict] = []
        self.change: MembersChange | None = None
        self.ttl_ms = 0

    def decrees(self) -> Iterator[Decree]:
        """One pass over everything, in order of key, without the changes of members."""
        self._reset()
        for _, rows in groupby(merge(*self._streams()), key=_stored):
            decree = self._judge([(at, found) for _, at, found in rows])
            if decree is None:
                continue
            if decree.key.startswith(SLOTS):
                self.change = change_of(decree)
                continue
            if is_term(decree.key):
                self.ttl_ms = max(self.ttl_ms, _ttl_ms(decree))
            yield decree

    def _judge(self, found: Sequence[tuple[int, Instance | Decree]]) -> Decree | None:
        held = [(self._directories[at].node, one) for at, one in found if isinstance(one, Instance)]
        learned = [
            (node, decree)
            for node, one in held
            for decree in (one.learned, one.disputed)
            if decree is not None
        ]
        if learned:
            return self._agreed(learned)
        proposals = [(node, one.accepted) for node, one in held if one.accepted is not None]
        if proposals:
            return self._highest(proposals)
        return next((one for _, one in found if isinstance(one, Decree)), None)

    def _agreed(self, learned: Sequence[tuple[NodeId, Decree]]) -> Decree | None:
        first = learned[0][1]
        if all(decree == first for _, decree in learned):
            return first
        self.conflicts.append(Conflict(first.key, tuple(dict.fromkeys(learned))))
        return None

    def _highest(self, proposals: Sequence[tuple[NodeId, Proposal]]) -> Decree | None:
        ballot = max(proposal.ballot for _, proposal in proposals)
        highest = [(node, each.decree) for node, each in proposals if each.ballot == ballot]
        decree = self._agreed(highest)
        if decree is None:
            return None
        held = {n: p for n, p in proposals if p.decree == decree}
        holders = tuple((node, each.ballot) for node, each in held.items())
        others = tuple((node, each.ballot) for node, each in proposals if node not in held)
        self.half_done.append(HalfDone(decree, ballot, holders, others))
        return decree

    def _streams(self) -> Iterator[Iterator[Row]]:
        yield self._floors()
        for at, directory in enumerate(self._directories):
            yield _numbered(at, directory)

    def _floors(self) -> Iterator[Row]:
        """The term at the floor of each lock is decided, also where no directory has it."""
        floors: dict[str, int] = {}
        for directory in self._directories:
            for series, floor in directory.floors.items():
                if series.startswith(TERMS):
                    floors[series] = max(floor, floors.get(series, 0))
        keys = [term_key(lock_of(series), floor) for series, floor in floors.items()]
        for stored, key in sorted((layout.instance_key(key), key) for key in keys):
            yield stored, -1, _unknown_term(key)


def _numbered(at: int, directory: OldDirectory) -> Iterator[Row]:
    for stored, instance in directory.instances():
        yield stored, at, instance


def _stored(row: Row) -> bytes:
    return row[0]


def _unknown_term(key: Key) -> Decree:
    """Stands for a term that was given, and that no directory has."""
    value = encode(Term(MIN_TTL_MS))
    ballot = Ballot(1, Process(RESTORER, 0))
    return Decree(key, value, CONTENT_TYPE, "somebody", b"unknown", "", 0, ballot)


def _ttl_ms(decree: Decree) -> int:
    try:
        return term_of(decree).ttl_ms
    except ProtocolError:
        return 0
