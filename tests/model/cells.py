"""Cells: the state of one node together with its lane of the network, as numbers.

States are tuples of these numbers, so that millions of them fit into memory and compare fast.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from decreed.registry.paxos.messages import PromiseClass
from decreed.registry.paxos.proposer import Preparing
from decreed.registry.types import NodeId

from .network import Lanes
from .node import Local
from .properties import Facts, facts_of


class Cells:
    """Numbers cells, and caches what is computed for each of them.

    Args:
        lanes: the network.
        proposers: the nodes that propose.
        alike: the nodes that differ only in their names.

    Attributes:
        held: for each cell, the number of the node's state, and its lane.
        heard: for each cell, what was heard of each of the nodes that are alike; see `canonical`.
        judged_by: for each cell, the number of the facts that a state is judged by.
        answers: for each proposer, the answers to it in the lane of each cell.
        locals, facts: the values behind the numbers.
    """

    def __init__(
        self, lanes: Lanes, proposers: Sequence[NodeId], alike: tuple[NodeId, ...]
    ) -> None:
        self._lanes = lanes
        self._proposers = proposers
        self._alike = alike
        self.answers: tuple[list[int], ...] = tuple([] for _ in proposers)
        self.held: list[tuple[int, int]] = []
        self.heard: list[tuple[int, ...]] = []
        self._told: dict[PromiseClass, int] = {}
        self._numbers: dict[tuple[int, int], int] = {}
        self.locals: list[Local] = []
        self._local_numbers: dict[Local, int] = {}
        self._grown: dict[int, dict[int, int]] = {}
        self._facts: dict[Facts, int] = {}
        self.facts: list[Facts] = []
        self.judged_by: list[int] = []
        self._renamed: dict[tuple[int, tuple[int, ...]], int] = {}

    def number(self, local: Local, lane: int) -> int:
        """The number of a cell."""
        return self.numbered(self.local_number(local), lane)

    def local_number(self, local: Local) -> int:
        """The number of a node's state."""
        number = self._local_numbers.get(local)
        if number is None:
            number = self._local_numbers[local] = len(self.locals)
            self.locals.append(local)
        return number

    def local(self, cell: int) -> Local:
        """The node's state."""
        return self.locals[self.held[cell][0]]

    def lane(self, cell: int) -> int:
        """The node's lane of the network."""
        return self.held[cell][1]

    def growing(self, bits: int) -> dict[int, int]:
        """For each cell computed so far, the cell with these messages added; see `grown`."""
        return self._grown.setdefault(bits, {})

    def grown(self, cell: int, bits: int) -> int:
        """The cell with more messages in its lane."""
        growing = self.growing(bits)
        grown = growing.get(cell)
        if grown is None:
            local, lane = self.held[cell]
            grown = growing[cell] = self.numbered(local, lane | bits)
        return grown

    def numbered(self, local: int, lane: int) -> int:
        """The number of a cell, given the number of the node's state."""
        number = self._numbers.get((local, lane))
        if number is None:
            number = self._numbers[local, lane] = len(self.held)
            self.held.append((local, lane))
            self.heard.append(self._heard(self.locals[local]))
            self.judged_by.append(self._fact(local, lane))
            for name, answers in zip(self._proposers, self.answers, strict=True):
                answers.append(lane & self._lanes.answers_to.get(name, 0))
        return number

    def _fact(self, local: int, lane: int) -> int:
        facts = facts_of(self.locals[local], self._lanes.read(lane))
        number = self._facts.setdefault(facts, len(self.facts))
        if number == len(self.facts):
            self.facts.append(facts)
        return number

    # -- which acceptors have answered an attempt, or given their class promise

    def _heard(self, local: Local) -> tuple[int, ...]:
        """For each of the nodes that are alike, a number for what was heard of it."""
        names, told = _answered(local), dict(local.told)
        return tuple((name in names) + 2 * self._number(told.get(name)) for name in self._alike)

    def _number(self, told: PromiseClass | None) -> int:
        return 0 if told is None else self._told.setdefault(told, len(self._told) + 1)

    def renamed(self, cell: int, order: tuple[int, ...]) -> int:
        """The cell when the nodes that are alike change places: the i-th was the `order[i]`-th."""
        number = self._renamed.get((cell, order))
        if number is None:
            places = {self._alike[old]: self._alike[new] for new, old in enumerate(order)}
            number = self.number(_rename(self.local(cell), places), self.lane(cell))
            self._renamed[cell, order] = number
        return number


def _answered(local: Local) -> frozenset[str]:
    if local.volatile is None or local.volatile.state is None:
        return frozenset()
    state = local.volatile.state
    return state.promises if isinstance(state, Preparing) else state.votes


def _rename(local: Local, places: Mapping[NodeId, NodeId]) -> Local:
    """The same node, with the answers that it counted coming from others."""
    told = frozenset((places.get(name, name), promise) for name, promise in local.told)
    local = local if told == local.told else replace(local, told=told)
    names = frozenset(places.get(NodeId(name), name) for name in _answered(local))
    if local.volatile is None or local.volatile.state is None or names == _answered(local):
        return local
    state = local.volatile.state
    field = "promises" if isinstance(state, Preparing) else "votes"
    renamed = replace(state, **{field: names})
    return replace(local, volatile=replace(local.volatile, state=renamed))
