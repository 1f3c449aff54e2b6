"""A cluster of shipped nodes as a model for the checker: states, steps, and which states are alike.

A state holds one *cell* a node, which is what the node holds and its lane of the network, and the
number of crashes so far. In one step one node does one thing: it takes a message, begins an attempt
or gives one up for another, says something again, or crashes and restarts.

Why a step is one step, though a node sends some of its messages before its records are on disk: a
message that has left need not arrive yet, so whatever others do between the sending and the sync
they can also do behind it. What they cannot do is make the node crash in between, and that is a step
of its own (see `moves`). A crash before anything left is a plain crash. A node that stays down for a
while is one to which nothing is delivered.

Acceptors that do not propose are alike: states that differ only in which of them is which are one.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from .cells import Cells
from .moves import Grows, Move, Moves
from .network import Lanes
from .node import Local
from .properties import ALWAYS, SOMETIMES, judge, mark_of
from .scenarios import Scenario
from .traces import tell, tell_crash

State = tuple[int, ...]
"""The number of each node's cell, then how many crashes there have been."""


class PaxosModel:
    """The model of one scenario. Everything that is worked out is kept for the model's lifetime.

    Args:
        scenario: the cluster and the bounds.
        reduced: whether to leave out steps that change nothing that counts; see `moves`.
        judged: the always-properties that are looked at.
    """

    always = ALWAYS
    sometimes = SOMETIMES

    def __init__(
        self, scenario: Scenario, reduced: bool = True, judged: Iterable[str] = ALWAYS
    ) -> None:
        self._judged = mark_of((*judged, *SOMETIMES))
        self._size = scenario.nodes
        self._proposers = len(scenario.proposers)
        self._crashes = scenario.crashes
        self._quorums = scenario.config.quorums
        self._claims = [claim for claims in scenario.wishes().values() for claim in claims]
        self._lanes = Lanes()
        self._cells = Cells(self._lanes, scenario.names[self._proposers :])
        self._moves = Moves(scenario, self._lanes, self._cells, reduced)
        self._known: list[dict[tuple[int, ...], list[Move]]]
        self._known = [{} for _ in scenario.names]
        self._answers: list[dict[int, int]] = [{} for _ in scenario.proposers]
        self._echoes: list[dict[int, tuple[int, Grows]]] = [{} for _ in scenario.names]
        self._marks: dict[tuple[int, ...], int] = {}
        self._names = scenario.names

    def initial(self) -> State:
        """Nothing has happened, but for what is said of itself."""
        state = [*[self._cells.number(Local(), 0)] * self._size, 0]
        for place in range(self._size):
            self._echo(place, state)
        return self.canonical(tuple(state))

    def successors(self, state: State) -> list[tuple[State, int]]:
        """Every state one step away, and what the step breaks."""
        found: list[tuple[State, int]] = []
        for place in range(self._size):
            for move in self._moves_of(place, state):
                after = self._after(place, state, move)
                if after is not None:
                    found.append((self.canonical(after), move.mark & self._judged))
        return found

    def judge(self, state: State) -> int:
        """The mark of a state."""
        judged_by = self._cells.judged_by
        key = tuple([judged_by[cell] for cell in state[:-1]])
        mark = self._marks.get(key)
        if mark is None:
            facts = [self._cells.facts[number] for number in key]
            mark = judge(facts, self._quorums, self._claims) & self._judged
            self._marks[key] = mark
        return mark

    def on_disk(self, state: State) -> tuple[object, ...]:
        """What the nodes' disks hold; for those that are alike, in no order."""
        disks = [self._cells.local(cell).disk for cell in state[:-1]]
        first = self._proposers
        return (*disks[:first], frozenset(Counter(disks[first:]).items()))

    def canonical(self, state: State) -> State:
        """The state that stands for all that differ in the names of acceptors that are alike."""
        first = self._proposers
        if self._size - first < 2:
            return state
        heard = [self._cells.heard[cell] for cell in state[:first]]
        keys = [
            (cell, *[of_each[place] for of_each in heard])
            for place, cell in enumerate(state[first:-1])
        ]
        if all(one <= other for one, other in pairwise(keys)):
            return state
        order = tuple(sorted(range(len(keys)), key=keys.__getitem__))
        proposers = [self._cells.renamed(cell, order) for cell in state[:first]]
        return (*proposers, *[keys[old][0] for old in order], state[-1])

    def retell(self, path: Sequence[State]) -> list[str]:
        """A path of canonical states as one line a step, the nodes keeping their names."""
        told: list[str] = []
        at = path[0]
        for wanted in path[1:]:
            at, move, place = next(
                (after, move, place)
                for place in range(self._size)
                for move in self._moves_of(place, at)
                if (after := self._after(place, at, move)) and self.canonical(after) == wanted
            )
            told += [tell(step) for step in move.steps]
            told += [tell_crash(self._names[place])] * move.crashes
        return told

    def _moves_of(self, place: int, state: State) -> list[Move]:
        cell = state[place]
        key = [cell]
        if place < self._proposers:
            told = self._answers[place]
            asleep = self._moves.asleep(place, cell)
            for other, idle in zip(state, asleep, strict=False):
                bits = told.get(other, -1)
                key.append((self._answers_to(place, other) if bits < 0 else bits) & ~idle)
        known = self._known[place]
        moves = known.get(tuple(key))
        if moves is None:
            moves = known[tuple(key)] = self._moves.of(place, cell, key[1:])
        return moves

    def _answers_to(self, place: int, cell: int) -> int:
        """The answers to a proposer in the lane of another node."""
        bits = self._cells.lane(cell) & self._lanes.answers_to.get(self._names[place], 0)
        self._answers[place][cell] = bits
        return bits

    def _after(self, place: int, state: State, move: Move) -> State | None:
        """The state behind a move; None if it is out of bounds or changes nothing."""
        if move.crashes and state[-1] == self._crashes:
            return None
        after = list(state)
        after[place] = move.cell
        changed = [place]
        for other, bits in move.grows:
            cell = after[other]
            grown = after[other] = self._cells.grown(cell, bits)
            if grown != cell:
                changed.append(other)
        if len(changed) == 1 and move.cell == state[place]:
            return None
        for other in changed:
            self._echo(other, after)
        after[-1] += move.crashes
        return tuple(after)

    def _echo(self, place: int, after: list[int]) -> None:
        """Let a node whose cell has changed say what takes nothing away from anybody."""
        cell = after[place]
        echoes = self._echoes[place].get(cell)
        if echoes is None:
            echoes = self._echoes[place][cell] = self._moves.echoes(place, cell)
        own, grows = echoes
        if own:
            after[place] = self._cells.grown(cell, own)
        for other, bits in grows:
            before = after[other]
            after[other] = self._cells.grown(before, bits)
            if after[other] != before:
                self._echo(other, after)
