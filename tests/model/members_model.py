"""Changing members as a model for the checker: the pure rules that ship, with several epochs.

It runs `registry.paxos` and not the whole `Replica`: the seat, the gathering of pages, adopting, the
acceptor, the proposer and the quorums are the shipped values; that a voter asks its seat first (M04) is
the model's. There is one key. Ballots of every epoch may act at any time, so a late message is one that
is taken later. Everything that a node does is durable at once: what a crash takes is the part of the
tests of the replica.

Taken as one step: `$members@k` is chosen, once enough voters of k - 1 are ready; then each node may
hear of it at any time, and may skip epochs. A node takes over in one step, from any set of sources that
the shipped `Gathering` finds enough, and no smaller one.

A voter that holds nothing says so as soon as something is chosen, and permanently: to say it costs
nothing and hinders nobody. So a quorum of such answers, whenever each was given, is a read that began
after the choice and ends in "undecided".
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from msgspec.structs import replace

from decreed.registry.paxos import acceptor, epochs, proposer
from decreed.registry.paxos.epochs import Epoch, Gathering, Page, Seat
from decreed.registry.paxos.instance import EMPTY, Instance
from decreed.registry.paxos.messages import Accept, Accepted, Prepare, Promise
from decreed.registry.paxos.proposer import Prepared, Preparing, Proposing
from decreed.registry.types import Ballot, Decree, Key, NodeId, Value

from ..support.world import claim
from .members_scenarios import ADOPTED, CARRIED, DIFFERENT, LATER, SOMETIMES, WHOLE, Change

KEY = Key("k")
AGREEMENT = "no two values are chosen"
UNDECIDED = "no quorum says that nothing is there, once something is chosen"
ALWAYS = (AGREEMENT, UNDECIDED)
State = tuple[int, ...]
"""The number of each node's cell; then the proposals, and the last epoch whose voters are chosen."""
_BITS = {name: 1 << at for at, name in enumerate((*ALWAYS, *SOMETIMES))}


class Cell(Value, frozen=True):
    """One node, and what it has said: nothing of that ever vanishes.

    Args:
        seat, instance: durable.
        promised: its promises of ballots that have not proposed yet.
        voted: the ballots whose proposal it accepted.
        blank: the epochs in which it said "nothing here" after something was chosen.
    """

    seat: Seat
    instance: Instance = EMPTY
    promised: frozenset[Promise] = frozenset()
    voted: frozenset[Ballot] = frozenset()
    blank: frozenset[int] = frozenset()


class MembersModel:
    """The model of one change of members.

    Args:
        change: the epochs and the bounds.
    """

    always = ALWAYS
    sometimes = SOMETIMES

    def __init__(self, change: Change) -> None:
        self._change = change
        self._names = change.names
        self._epochs = [change.epoch(number) for number in range(len(change.epochs))]
        self._ballots = change.proposals()
        self._numbers: dict[object, int] = {}
        self._values: list[object] = []
        self._moved: dict[tuple[int, ...], list[int]] = {}

    def initial(self) -> State:
        """Epoch 0, in which its voters are ready and nothing was proposed."""
        cells = [Cell(Seat(0, 0 if n in self._epochs[0].nodes else None)) for n in self._names]
        return self._canonical([self._number(cell) for cell in cells], self._number(()), 0)

    def successors(self, state: State) -> Iterator[tuple[State, int]]:
        """Every state one step away, and the mark of the step."""
        *cells, proposals, chain = state
        for place in range(len(cells)):
            for moved in self._moves_of(place, cells[place], proposals, chain):
                yield self._with(cells, place, moved, proposals, chain), 0
            for moved, mark in self._taking_over(place, cells):
                yield self._with(cells, place, moved, proposals, chain), mark
        for ballot, proposed in self._proposed(cells, proposals):
            kept = [self._number(_without_promises(self._cell(cell), ballot)) for cell in cells]
            yield self._canonical(kept, proposed, chain), 0
        if chain + 1 < len(self._epochs) and self._may_change(cells, chain):
            yield (*cells, proposals, chain + 1), 0

    def judge(self, state: State) -> int:
        """The mark of a state."""
        chosen = self._chosen(state)
        mark = _BITS[AGREEMENT] * (len({decree.value for _, decree in chosen}) > 1)
        for epoch in self._epochs:
            said = [n for n, cell in self._named(state) if epoch.number in cell.blank]
            mark |= _BITS[UNDECIDED] * epoch.quorums.prepared(said)
        return mark | self._seen(state, {ballot.epoch for ballot, _ in chosen})

    def retell(self, path: Sequence[State]) -> list[str]:
        """A path of states, each by what is in it."""
        return [self._told(state) for state in path]

    # -- cells

    def _number(self, value: object) -> int:
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self._values)
            self._values.append(value)
        return number

    def _cell(self, number: int) -> Cell:
        cell = self._values[number]
        assert isinstance(cell, Cell)
        return cell

    def _accepts(self, number: int) -> tuple[Accept, ...]:
        accepts = self._values[number]
        assert isinstance(accepts, tuple)
        return accepts

    def _named(self, state: Iterable[int]) -> list[tuple[NodeId, Cell]]:
        return [(n, self._cell(c)) for n, c in zip(self._names, state, strict=False)]

    def _with(self, cells: list[int], place: int, moved: int, proposals: int, chain: int) -> State:
        return self._canonical([*cells[:place], moved, *cells[place + 1 :]], proposals, chain)

    def _canonical(self, cells: list[int], proposals: int, chain: int) -> State:
        """The state that stands for all that differ only in the names of nodes that are alike."""
        if self._chosen((*cells, proposals, chain)):
            cells = [self._saying(place, cell) for place, cell in enumerate(cells)]
        for first, behind in self._change.alike:
            if behind - first > 1:
                cells[first:behind] = sorted(cells[first:behind])
        return (*cells, proposals, chain)

    def _saying(self, place: int, number: int) -> int:
        """The cell of a node that says "nothing here", if it votes and holds nothing."""
        cell, epoch = self._cell(number), self._cell(number).seat.known
        if cell.instance.accepted is not None or not self._votes(self._names[place], cell, epoch):
            return number
        return self._number(replace(cell, blank=cell.blank | {epoch}))

    # -- what a node does by itself

    def _moves_of(self, *key: int) -> list[int]:
        moved = self._moved.get(key)
        if moved is None:
            place, cell, proposals, chain = key
            found = self._moves(self._names[place], self._cell(cell), proposals, chain)
            moved = self._moved[key] = [self._number(one) for one in found]
        return moved

    def _moves(self, name: NodeId, cell: Cell, proposals: int, chain: int) -> Iterator[Cell]:
        accepts = self._accepts(proposals)
        for ballot in self._ballots:
            # a promise of a ballot that has proposed only refuses lower ones: it is like a lost message
            is_open = all(accept.ballot != ballot for accept in accepts)
            if is_open and self._votes(name, cell, ballot.epoch):
                yield from _promised(cell, ballot)
        for accept in accepts:
            if self._votes(name, cell, accept.ballot.epoch):
                yield from _voted(cell, accept)
        for known in range(cell.seat.known + 1, chain + 1):
            yield replace(cell, seat=cell.seat.sealed(known))

    def _votes(self, name: NodeId, cell: Cell, epoch: int) -> bool:
        """M04, which a replica checks before each answer."""
        return cell.seat.votes_in(epoch) and name in self._epochs[epoch].nodes

    # -- what a node does with what others hold

    def _taking_over(self, place: int, cells: list[int]) -> Iterator[tuple[int, int]]:
        name, cell = self._names[place], self._cell(cells[place])
        known = cell.seat.known
        if cell.seat.ready == known or not known:
            return
        of = self._epochs[known - 1]
        if name not in (*of.nodes, *self._epochs[known].nodes):
            return
        own = Gathering(of)
        if name in of.nodes:
            own = own.with_own(name, 1)
        shown = [one for at, one in enumerate(self._named(cells)) if at != place]
        sources = [one for one in shown if _is_source(*one, of, known)]
        for gathering, pages in _enough(own, sources, known):
            instance = cell.instance
            for _, source in pages:
                if source.instance.accepted is not None:
                    instance = epochs.adopt(instance, source.instance.accepted)
            ready = replace(cell, seat=cell.seat.taken(), instance=instance)
            whole = any(series.whole for _, series in gathering.sources)
            yield self._number(ready), _BITS[WHOLE] * whole

    def _proposed(self, cells: list[int], proposals: int) -> Iterator[tuple[Ballot, int]]:
        held = self._accepts(proposals)
        for ballot in self._ballots:
            if all(accept.ballot != ballot for accept in held):
                for accept in self._proposals_in(ballot, cells):
                    found = sorted((*held, accept), key=lambda accept: accept.ballot)
                    yield ballot, self._number(tuple(found))

    def _proposals_in(self, ballot: Ballot, cells: list[int]) -> set[Accept]:
        """What each prepare quorum of a ballot leads to."""
        quorums = self._epochs[ballot.epoch].quorums
        promises = [
            (name, promise)
            for name, cell in self._named(cells)
            for promise in cell.promised
            if promise.ballot == ballot and name in quorums.members
        ]
        own = Decree.of(claim(KEY, str(ballot).encode(), str(ballot).encode()), ballot, 0)
        found: set[Accept] = set()
        for quorum in combinations(promises, quorums.prepare):
            state: Preparing | Prepared = Preparing(KEY, ballot)
            for name, promise in quorum:
                if isinstance(state, Preparing):
                    state = proposer.on_promise(state, name, promise, quorums)
            proposing = proposer.propose(state, own) if isinstance(state, Prepared) else None
            if isinstance(proposing, Proposing):
                found.add(proposing.message())
        return found

    def _may_change(self, cells: list[int], chain: int) -> bool:
        epoch = self._epochs[chain]
        voting = [n for n, cell in self._named(cells) if self._votes(n, cell, chain)]
        return epoch.quorums.prepared(voting) and epoch.quorums.accepted(voting)

    # -- what a state is judged by

    def _chosen(self, state: State) -> list[tuple[Ballot, Decree]]:
        named = self._named(state[:-2])
        return [
            (accept.ballot, accept.decree)
            for accept in self._accepts(state[-2])
            if self._epochs[accept.ballot.epoch].quorums.accepted(
                [name for name, cell in named if accept.ballot in cell.voted]
            )
        ]

    def _seen(self, state: State, chosen_in: set[int]) -> int:
        last = len(self._epochs) - 1
        held = [
            cell.instance.accepted
            for name, cell in self._named(state[:-2])
            if self._votes(name, cell, last) and cell.instance.accepted is not None
        ]
        seen = {
            LATER: last in chosen_in,
            CARRIED: bool(chosen_in - {last}),
            ADOPTED: any(proposal.ballot.epoch < last for proposal in held),
            DIFFERENT: len({proposal.decree.value for proposal in held}) > 1,
        }
        return sum(_BITS[name] for name, is_so in seen.items() if is_so)

    def _told(self, state: State) -> str:
        nodes = [f"{name}: {_told_of(cell)}" for name, cell in self._named(state[:-2])]
        said = [f"{a.ballot} = {a.decree.value.decode()}" for a in self._accepts(state[-2])]
        return f"epoch {state[-1]}; proposed {said}; " + "; ".join(nodes)


def _promised(cell: Cell, ballot: Ballot) -> Iterator[Cell]:
    instance, answer = acceptor.on_prepare(cell.instance, Prepare(KEY, ballot))
    if isinstance(answer, Promise):
        yield replace(cell, instance=instance, promised=cell.promised | {answer})


def _without_promises(cell: Cell, ballot: Ballot) -> Cell:
    """The cell when its promises of a ballot matter no more, since that has proposed."""
    left = frozenset(promise for promise in cell.promised if promise.ballot != ballot)
    return cell if left == cell.promised else replace(cell, promised=left)


def _voted(cell: Cell, accept: Accept) -> Iterator[Cell]:
    instance, answer = acceptor.on_accept(cell.instance, accept)
    if isinstance(answer, Accepted):
        yield replace(cell, instance=instance, voted=cell.voted | {answer.ballot})


def _is_source(name: NodeId, cell: Cell, of: Epoch, known: int) -> bool:
    """M06: whether a node shows what it holds for the epoch `known`."""
    return cell.seat.known == known and (name in of.nodes or cell.seat.ready == known)


def _enough(
    own: Gathering, sources: list[tuple[NodeId, Cell]], known: int
) -> Iterator[tuple[Gathering, tuple[tuple[NodeId, Cell], ...]]]:
    """Every set of sources that is enough, and none that has more than another of them."""
    found: list[set[NodeId]] = []
    for count in range(len(sources) + 1):
        for pages in combinations(sources, count):
            names = {name for name, _ in pages}
            gathering = own
            for name, cell in pages:
                page = Page(None, cell.seat.ready == known, None, 0)
                gathering = gathering.with_page(name, 1, page)
            if gathering.is_ready({}) and not any(fewer <= names for fewer in found):
                found.append(names)
                yield gathering, pages


def _told_of(cell: Cell) -> str:
    held = cell.instance.accepted
    accepted = f" holds {held.decree.value.decode()} in {held.ballot}" if held else ""
    blank = f" said nothing in {sorted(cell.blank)}" if cell.blank else ""
    return f"knows {cell.seat.known}, ready for {cell.seat.ready}{accepted}{blank}"
