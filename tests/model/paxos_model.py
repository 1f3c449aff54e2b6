"""A cluster of shipped nodes as a model for the checker: states, steps, and equivalent states.

A state has one *cell* for each node, which is the node's state and its lane of the network, and the
number of crashes so far. In one step one node does one thing: it takes a message, begins an attempt
or drops one for another, repeats a message, or crashes and restarts.

Why a step is one step, though a node sends some of its messages before its records are on disk: a
message that has left need not arrive yet. So whatever other nodes do between the sending and the
sync they can also do after it. Only a crash of the node in between is different, and that is a step
of its own (see `moves`). A crash before anything left is a plain crash. A node that stays down for
a while is one that gets no messages.

Acceptors that do not propose are alike: states that differ only in their names are one state.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import and_
from typing import NamedTuple

from .cells import Cells
from .moves import Grows, Move, Moves
from .network import Lanes
from .node import Local
from .properties import ALWAYS, SOMETIMES, judge, mark_of
from .scenarios import Scenario
from .traces import tell, tell_crash

State = tuple[int, ...]
"""The number of each node's cell, then the number of crashes."""
Growth = tuple[tuple[int, int, dict[int, int]], ...]
"""`Grows`, each with the grown cells computed so far."""
_QUIET: tuple[int, Growth] = (0, ())
"""The echoes of a node that has none."""


class Plan(NamedTuple):
    """A move, prepared for use in very many states.

    Attributes:
        cell, growth, crashes, mark: as in `move`; the mark of what is judged.
        move: the move.
    """

    cell: int
    growth: Growth
    crashes: int
    mark: int
    move: Move


class PaxosModel:
    """The model of one scenario. Everything computed is kept for the lifetime of the model.

    Args:
        scenario: the cluster and the bounds.
        reduced: whether to leave out steps that the reductions of `moves` make unnecessary.
        judged: the always-properties that are checked.
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
        self._claims = [
            claim for claims in scenario.claims_by_proposer().values() for claim in claims
        ]
        self._lanes = Lanes()
        alike = scenario.names[self._proposers :]
        self._cells = Cells(self._lanes, scenario.proposers, alike)
        self._moves = Moves(scenario, self._lanes, self._cells, reduced)
        self._known: list[dict[tuple[int, ...], list[Plan]]]
        self._known = [{} for _ in scenario.names]
        self._echoes: list[dict[int, tuple[int, Growth]]] = [{} for _ in scenario.names]
        self._marks: dict[tuple[int, ...], int] = {}
        self._names = scenario.names

    def initial(self) -> State:
        """The state in which nothing has happened except the first echoes."""
        state = [*[self._cells.number(Local(), 0)] * self._size, 0]
        for place in range(self._size):
            self._echo(place, state)
        return self.canonical(tuple(state))

    def successors(self, state: State) -> list[tuple[State, int]]:
        """Every state one step away, and what the step breaks."""
        found: list[tuple[State, int]] = []
        for place in range(self._size):
            for plan in self._plans_of(place, state):
                after = self._after(place, state, plan)
                if after is not None:
                    found.append((self.canonical(after), plan.mark))
        return found

    def judge(self, state: State) -> int:
        """The mark of a state."""
        key = tuple(map(self._cells.judged_by.__getitem__, state[:-1]))
        mark = self._marks.get(key)
        if mark is None:
            facts = [self._cells.facts[number] for number in key]
            mark = judge(facts, self._quorums, self._claims) & self._judged
            self._marks[key] = mark
        return mark

    def on_disk(self, state: State) -> tuple[object, ...]:
        """The disks of the nodes; those of alike nodes in no order."""
        disks = [self._cells.local(cell).disk for cell in state[:-1]]
        first = self._proposers
        return (*disks[:first], frozenset(Counter(disks[first:]).items()))

    def canonical(self, state: State) -> State:
        """The state that stands for all that differ only in the names of alike acceptors."""
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
        """A path of canonical states as one line for each step, in which nodes keep their names."""
        told: list[str] = []
        at = path[0]
        for wanted in path[1:]:
            at, move, place = next(
                (after, plan.move, place)
                for place in range(self._size)
                for plan in self._plans_of(place, at)
                if (after := self._after(place, at, plan)) and self.canonical(after) == wanted
            )
            told += [tell(step) for step in move.steps]
            told += [tell_crash(self._names[place])] * move.crashes
        return told

    def _plans_of(self, place: int, state: State) -> list[Plan]:
        cell = state[place]
        key: tuple[int, ...] = (cell,)
        if place < self._proposers:
            answers = map(self._cells.answers[place].__getitem__, state)
            key = (cell, *map(and_, self._moves.awake(place, cell), answers))
        known = self._known[place]
        plans = known.get(key)
        if plans is None:
            plans = known[key] = list(map(self._plan, self._moves.of(place, cell, key[1:])))
        return plans

    def _plan(self, move: Move) -> Plan:
        growth = self._growth(move.grows)
        return Plan(move.cell, growth, move.crashes, move.mark & self._judged, move)

    def _growth(self, grows: Grows) -> Growth:
        return tuple((other, bits, self._cells.growing(bits)) for other, bits in grows)

    def _after(self, place: int, state: State, plan: Plan) -> State | None:
        """The state after a move; None if it is out of bounds or changes nothing."""
        cell, growth, crashes, _, _ = plan
        if crashes and state[-1] == self._crashes:
            return None
        after = list(state)
        after[place] = cell
        after[-1] += crashes
        changed = [place]
        for other, bits, growing in growth:
            before = after[other]
            grown = growing.get(before)
            if grown is None:
                grown = self._cells.grown(before, bits)
            if grown != before:
                after[other] = grown
                changed.append(other)
        if len(changed) == 1 and cell == state[place]:
            return None
        for other in changed:
            if self._echoes[other].get(after[other]) is not _QUIET:
                self._echo(other, after)
        return tuple(after)

    def _echo(self, place: int, after: list[int]) -> None:
        """Add the echoes of a node whose cell has changed."""
        cell = after[place]
        own, growth = self._echoes[place].get(cell) or self._echoes_of(place, cell)
        if own:
            after[place] = self._cells.grown(cell, own)
        for other, bits, growing in growth:
            before = after[other]
            grown = growing.get(before)
            if grown is None:
                grown = self._cells.grown(before, bits)
            if grown != before:
                after[other] = grown
                self._echo(other, after)

    def _echoes_of(self, place: int, cell: int) -> tuple[int, Growth]:
        own, grows = self._moves.echoes(place, cell)
        echoes = (own, self._growth(grows)) if own or grows else _QUIET
        self._echoes[place][cell] = echoes
        return echoes
