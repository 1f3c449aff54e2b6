"""How a change of policy meets the freezing of a key, as a model for the checker.

It runs the shipped `Confirmation`, `Rollout`, acceptor and quorums. There is one key. Policy 1 was
decided, and revokes the right of the claimer of "m". That claim is asked for at node c, which is home
to the key, may be cut off, and obeys policy 0 until it learns policy 1. Node a is the other
coordinator. It has a claim "y" of its own, which both policies allow, and finishes what it finds. Any
node learns policy 1 at any time, or never; node c crashes; messages arrive late, or never.

Time is relative: now is always 0, and a tick takes everything that lies in the past one step further
back. No step takes time, and any number of ticks lie between two steps. So a stopped node is in it, and
time never ends.

Once "m" is proposed, clocks and policies matter no more, except to an acceptor that looks at them, as
none may: states that differ in these alone are one.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from math import inf
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from decreed.registry.paxos import acceptor
from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.instance import EMPTY, Instance
from decreed.registry.paxos.messages import Accept, Accepted, Prepare, Promise
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.policy import confirming
from decreed.registry.policy.confirming import Confirmation, Rollout
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, Proposal
from decreed.registry.wire.policy import PolicyTold

from ..support.world import claim

AGREEMENT = "no two values are chosen"
LATE = "no claim is first proposed under the old policy once apply has returned"
FINISH = "what an acceptor holds can be finished, whatever the policies are"
ALWAYS = (AGREEMENT, LATE, FINISH)
OPENED = "the old policy is confirmed, and the claim is opened"
REVOKED = "what was proposed before apply returned is chosen"
RETURNED = "apply returns while node c is cut off"
OTHER = "the other claim is chosen"
SOMETIMES = (OPENED, REVOKED, RETURNED, OTHER)
_BITS = {name: 1 << at for at, name in enumerate((*ALWAYS, *SOMETIMES))}

A, B, C = NODES = NodeId("a"), NodeId("b"), NodeId("c")
EPOCH = Epoch.formed(Quorums.majority(NODES))
T = TypeVar("T")
TICK_MS, MAX_AGE_MS = 1_000.0, 2_000.0
TICKS = 3
"""After this many ticks any wait and any answer is over."""
NOW = 100
"""The number of the question that node c sends between two ticks; the one before is one less."""


class Revocation(NamedTuple):
    """A scenario, with the figures that a test or ``python -m tests.model`` holds."""

    name: str
    races: bool
    states: int
    depth: int
    out_of_reach: frozenset[str] = frozenset()


QUIET = Revocation("a right is revoked", False, 7_678, 14)
RACING = Revocation("a right is revoked, another coordinator races", True, 219_414, 20)


class Waiting(NamedTuple):
    """Policies and clocks, until "m" is proposed."""

    known: tuple[int, ...]
    answers: tuple[int, int]
    confirmation: Confirmation
    rollout: Rollout
    returned: bool
    opened: bool


class State(NamedTuple):
    """All of it.

    Attributes:
        waiting: policies and clocks; once "m" is proposed, what each node knows.
        held: what each acceptor holds.
        promised: who has promised the ballot of node a.
        asks: whether node a has prepared it.
        proposed: the value that node a has proposed; empty: none.
        votes: who has accepted in which ballot; such a vote never vanishes.
        late: whether "m" was proposed after `policy apply` returned.
    """

    waiting: Waiting | tuple[int, ...]
    held: tuple[Instance, ...]
    promised: frozenset[NodeId]
    asks: bool
    proposed: bytes
    votes: frozenset[tuple[int, Ballot]] = frozenset()
    late: bool = False


def _decree(value: bytes, node: NodeId) -> Decree:
    return Decree.of(claim("k", value, value), Ballot.of_home(Process(node, 1)), 0)


M, Y = _decree(b"m", C), _decree(b"y", A)
FIRST, SECOND = Ballot.of_home(Process(C, 1)), Ballot.first(Process(A, 1))
LATER = Ballot.first(Process(B, 1)).above(Process(B, 1))
KEY = Key("k")


class PolicyModel:
    """The model.

    Args:
        checks_at_proposal: whether the right is asked for again when the value is first proposed.
        acceptors_check: whether an acceptor that knows policy 1 refuses what that one forbids, which
            none does.
        races: whether node a may begin before "m" is proposed, too.
    """

    always, sometimes = ALWAYS, SOMETIMES

    def __init__(
        self,
        *,
        checks_at_proposal: bool = True,
        acceptors_check: bool = False,
        races: bool = False,
    ) -> None:
        self._checks_at_proposal, self._races = checks_at_proposal, races
        self._acceptors_check = acceptors_check

    def initial(self) -> State:
        """Policy 1 is decided, and nobody has learned it."""
        waiting = Waiting((0, 0, 0), (0, 0), _started(), confirming.begun(1, EPOCH), False, False)
        return State(waiting, (EMPTY,) * 3, frozenset(), False, b"")

    def successors(self, state: State) -> Iterator[tuple[State, int]]:
        """Every state one step away."""
        if isinstance(state.waiting, Waiting):
            for moved in self._moves(state.waiting):
                yield state._replace(waiting=moved), 0
            yield from ((moved, 0) for moved in self._proposing(state, state.waiting))
        elif self._acceptors_check:
            for place in range(3):
                yield state._replace(waiting=_set(state.waiting, place, 1)), 0
        if self._races or not isinstance(state.waiting, Waiting):
            yield from ((moved, 0) for moved in self._voting(state) if moved != state)

    def judge(self, state: State) -> int:
        """The mark of a state."""
        chosen = set(_chosen(state))
        mark = _BITS[AGREEMENT] * (len(chosen) > 1) | _BITS[LATE] * state.late
        mark |= _BITS[FINISH] * (not self._can_finish(state))
        mark |= _BITS[REVOKED] * (b"m" in chosen) | _BITS[OTHER] * (b"y" in chosen)
        if isinstance(state.waiting, Waiting):
            mark |= _BITS[OPENED] * state.waiting.opened
            cut_off = state.waiting.returned and not state.waiting.known[2]
            mark |= _BITS[RETURNED] * cut_off
        return mark

    def retell(self, path: Sequence[State]) -> list[str]:
        """A path of states, each as it is."""
        return [str(state) for state in path]

    # -- policies and clocks

    def _moves(self, at: Waiting) -> Iterator[Waiting]:
        yield _tick(at)
        for place in range(3):
            if not at.known[place]:
                said = PolicyTold(0, 0, 1, int(MAX_AGE_MS))
                rollout = at.rollout.heard(NODES[place], said, 0.0)
                yield at._replace(known=_set(at.known, place, 1), rollout=rollout)
        for place in (0, 1):
            yield from self._answering(at, place)
        if not at.returned and at.rollout.is_over(0.0, MAX_AGE_MS):
            yield at._replace(returned=True)
        if not at.opened and self._may_begin(at):
            yield at._replace(opened=True)
        yield at._replace(opened=False, confirmation=_started(), answers=(0, 0))  # c starts again

    def _answering(self, at: Waiting, place: int) -> Iterator[Waiting]:
        """Node a or b answers the latest question of node c; node c hears the latest answer."""
        if not at.known[place] and at.answers[place] != NOW:
            answers = (NOW, at.answers[1]) if place == 0 else (at.answers[0], NOW)
            yield at._replace(answers=answers)
        if at.answers[place]:
            said = PolicyTold(at.answers[place], 0, 0, int(MAX_AGE_MS))
            heard = at.confirmation.told(NODES[place], said, at.known[2])
            # all nodes have one age here, so the shortest makes no states of its own
            yield at._replace(confirmation=replace(heard, shortest_ms=inf))

    def _may_begin(self, at: Waiting) -> bool:
        return not at.known[2] and at.confirmation.holds(0.0, C, MAX_AGE_MS)

    # -- Paxos

    def _proposing(self, state: State, at: Waiting) -> Iterator[State]:
        """Node c proposes in the ballot of its home, and accepts it first."""
        may = self._may_begin(at) or not self._checks_at_proposal
        if at.opened and may and state.held[2] == EMPTY:
            known = at.known if self._acceptors_check else (1, 1, 1)
            moved = state._replace(waiting=known, late=at.returned)
            yield _voted(moved, 2, _accepting(EMPTY, FIRST, M), FIRST)

    def _voting(self, state: State) -> Iterator[State]:
        if not isinstance(state.waiting, Waiting):
            yield from self._accepted(state, FIRST, M)
        if not state.asks:
            yield state._replace(asks=True)
            return
        if not state.proposed:
            yield from self._promising(state)
            return
        yield from self._accepted(state, SECOND, M if state.proposed == b"m" else Y)

    def _promising(self, state: State) -> Iterator[State]:
        """Nodes promise the ballot of node a, which proposes with a quorum, adopting what is shown."""
        for place, node in enumerate(NODES):
            promised = _promising(state.held[place], SECOND)
            if promised is not None and node not in state.promised:
                voters = state.promised | {node}
                moved = state._replace(held=_set(state.held, place, promised), promised=voters)
                if EPOCH.quorums.prepared(voters):
                    # what was promised before nothing below it can change any more
                    shown = [moved.held[NODES.index(voter)].accepted for voter in voters]
                    highest = max((p for p in shown if p is not None), key=_ballot, default=None)
                    value = highest.decree.value if highest is not None else Y.value
                    moved = moved._replace(proposed=value)
                yield moved

    def _accepted(self, state: State, ballot: Ballot, decree: Decree) -> Iterator[State]:
        for place in range(3):
            if self._lets_pass(state, place, decree):
                held = _accepting(state.held[place], ballot, decree)
                if held != state.held[place]:
                    yield _voted(state, place, held, ballot)

    def _lets_pass(self, state: State, place: int, decree: Decree) -> bool:
        if not self._acceptors_check or decree is not M:
            return True
        known = state.waiting.known if isinstance(state.waiting, Waiting) else state.waiting
        return not known[place]

    def _can_finish(self, state: State) -> bool:
        """R22: whether any two nodes accept, in a later ballot, the highest that they show."""
        for pair in combinations(range(3), 2):
            shown = [state.held[place].accepted for place in pair]
            highest = max((p for p in shown if p is not None), key=_ballot, default=None)
            if highest is not None:
                decree = highest.decree
                for place in pair:
                    after = _accepting(state.held[place], LATER, decree)
                    passes = self._lets_pass(state, place, decree)
                    if not passes or after.accepted != Proposal(LATER, decree):
                        return False
        return True


def _started() -> Confirmation:
    return Confirmation.begun(EPOCH).asking(NOW, 0.0, MAX_AGE_MS)


def _tick(at: Waiting) -> Waiting:
    """Everything that lies in the past is one tick older, and node c asks again."""
    confirmation = replace(
        at.confirmation,
        asked=tuple((number - 1, sent_ms - TICK_MS) for number, sent_ms in at.confirmation.asked),
        answered=tuple(
            (node, sent_ms - TICK_MS)
            for node, sent_ms in at.confirmation.answered
            if sent_ms > -TICKS * TICK_MS
        ),
    )
    since_ms = at.rollout.since_ms
    if since_ms is not None:
        since_ms = max(since_ms - TICK_MS, -TICKS * TICK_MS)
    first, second = (number - 1 if number > NOW - TICKS else 0 for number in at.answers)
    return at._replace(
        answers=(first, second),
        confirmation=confirmation.asking(NOW, 0.0, MAX_AGE_MS),
        rollout=replace(at.rollout, since_ms=since_ms),
    )


def _set(row: tuple[T, ...], place: int, what: T) -> tuple[T, ...]:
    return (*row[:place], what, *row[place + 1 :])


def _ballot(proposal: Proposal) -> Ballot:
    return proposal.ballot


@cache
def _promising(held: Instance, ballot: Ballot) -> Instance | None:
    """What an acceptor holds after it promised; None if it refuses."""
    after, answer = acceptor.on_prepare(held, Prepare(KEY, ballot))
    return after if isinstance(answer, Promise) else None


@cache
def _accepting(held: Instance, ballot: Ballot, decree: Decree) -> Instance:
    """What an acceptor holds after it was asked to accept."""
    after, answer = acceptor.on_accept(held, Accept(KEY, ballot, decree), class_promise=FIRST)
    return after if isinstance(answer, Accepted) else held


def _voted(state: State, place: int, held: Instance, ballot: Ballot) -> State:
    votes = state.votes | {(place, ballot)}
    return state._replace(held=_set(state.held, place, held), votes=votes)


def _chosen(state: State) -> Iterator[bytes]:
    """The values for which a quorum has voted in one ballot."""
    for ballot, value in ((FIRST, b"m"), (SECOND, state.proposed)):
        voters = [NODES[place] for place, voted in state.votes if voted == ballot]
        if EPOCH.quorums.accepted(voters):
            yield value
