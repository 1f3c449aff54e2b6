"""Linearizability by trying every order: the reference that the judge is compared with.

It knows the registry only as a sequential machine (`_after`). It searches all orders of operations
that respect real time, with each operation of unknown outcome put in or left out. That is exponential,
so it works for a handful of operations only. It shares no rule with the judge.

It makes one assumption, as the judge does: a claim that was refused for its id is a definite failure,
and on a slot of a series says nothing more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from decreed.registry.types import Ballot, Decree

from .operations import Kind, Operation, Result, Wish

Stamp = tuple[int, Ballot] | None
"""The time and ballot of a decree; None if no operation returned it."""

State = frozenset[tuple[str, Wish, Stamp]]


@dataclass(frozen=True, slots=True)
class Step:
    """One action on one key, or on a series.

    Args:
        kind: `CLAIM`, `CLAIM_NEXT` or `GET`.
        subject: the key or series.
        called: it takes effect no earlier than this.
        end: it takes effect no later than this.
        result: how it ended.
        wish: of a claim.
        first: of a claim of the next slot.
        decree: what it returned.
    """

    kind: Kind
    subject: str
    called: float
    end: float
    result: Result
    wish: Wish | None = None
    first: int = 1
    decree: Decree | None = None


def is_right(history: list[Operation]) -> bool:
    """Whether some order explains the history, and lists keep their weaker promise."""
    steps = [step for operation in history for step in _steps(operation)]
    return _lists_are_right(history) and _Search(steps, history).succeeds(0, frozenset())


def _steps(operation: Operation) -> Iterator[Step]:
    """The steps of an operation, key by key; empty if it has no effect."""
    end = float("inf") if operation.result is Result.UNKNOWN else operation.end
    start, result = operation.called, operation.result
    if operation.wish is not None:
        refused = operation.kind is Kind.CLAIM and "@" not in operation.subject
        if result is Result.FAILED or (result is Result.REUSED and not refused):
            return
        first, decree = operation.first_slot or 1, next(iter(operation.decrees), None)
        yield Step(
            operation.kind, operation.subject, start, end, result, operation.wish, first, decree
        )
        return
    for decree in operation.decrees:
        of_list = operation.kind is Kind.LIST
        about = decree.key if operation.kind in (Kind.LIST, Kind.LATEST) else operation.subject
        until = operation.end if of_list else end
        yield Step(Kind.GET, about, start, until, Result.DECREED, decree=decree)
    empty = {Kind.GET: operation.subject, Kind.WAIT: operation.subject}.get(operation.kind)
    if operation.kind is Kind.LATEST:
        count = int(operation.decree.key.partition("@")[2]) if operation.decrees else 0
        empty = f"{operation.subject}@{count + 1}"
    latest = operation.kind is Kind.LATEST and result is Result.DECREED
    if empty is not None and (latest or result is Result.UNDECIDED):
        yield Step(Kind.GET, empty, start, end, Result.UNDECIDED)


class _Search:
    def __init__(self, steps: list[Step], history: list[Operation]) -> None:
        self._steps = steps
        self._needed = sum(
            1 << n for n, step in enumerate(steps) if step.result is not Result.UNKNOWN
        )
        self._failed: set[tuple[int, State]] = set()
        self._stamps: dict[tuple[str, Wish], set[Stamp]] = {}
        for operation in history:
            for decree in operation.decrees:
                seen = self._stamps.setdefault((decree.key, Wish.of(decree)), set())
                seen.add((decree.time_ms, decree.ballot))

    def succeeds(self, done: int, state: State) -> bool:
        """Whether the steps that are not done can follow in some order."""
        if done & self._needed == self._needed:
            return True
        if (done, state) in self._failed:
            return False
        for number, step in enumerate(self._steps):
            if not done & 1 << number and self._may_be_next(done, step):
                for state_after in self._after(step, state):
                    if self.succeeds(done | 1 << number, state_after):
                        return True
        self._failed.add((done, state))
        return False

    def _may_be_next(self, done: int, step: Step) -> bool:
        others = (other for n, other in enumerate(self._steps) if not done & 1 << n)
        return not any(other.end < step.called for other in others)

    def _after(self, step: Step, state: State) -> Iterator[State]:
        """The states that the machine may be in after it gave this step's answer."""
        frozen = {key: (wish, stamp) for key, wish, stamp in state}
        if step.wish is None:
            found = frozen.get(step.subject)
            if step.decree is None:
                yield from [] if found else [state]
            elif found and _is(step.decree, step.subject, *found):
                yield state
            return
        key = step.subject if step.kind is Kind.CLAIM else _slot_for(step, step.wish, frozen)
        if key in frozen:
            yield from [state] if _may_answer(step, step.wish, key, *frozen[key]) else []
        elif key and _is_free(key, frozen) and step.result is not Result.REUSED:
            for stamp in {None, *self._stamps.get((key, step.wish), ())}:
                if _may_answer(step, step.wish, key, step.wish, stamp):
                    yield state | {(key, step.wish, stamp)}


def _slot_for(step: Step, wish: Wish, frozen: dict[str, tuple[Wish, Stamp]]) -> str:
    """The slot in the answer to a claim of the next slot; empty if the claim must fail."""
    count = 0
    while (key := f"{step.subject}@{count + 1}") in frozen:
        count += 1
        if count >= step.first and frozen[key][0].claim_id == wish.claim_id:
            return key
    return key if count + 1 >= step.first else ""


def _is_free(key: str, frozen: dict[str, tuple[Wish, Stamp]]) -> bool:
    """Whether a key that is not frozen may be frozen; a slot only after the slot before it."""
    series, at, slot = key.partition("@")
    return not at or slot == "1" or f"{series}@{int(slot) - 1}" in frozen


def _is(decree: Decree, key: str, wish: Wish, stamp: Stamp) -> bool:
    made = (decree.key, Wish.of(decree), (decree.time_ms, decree.ballot))
    return made == (key, wish, stamp)


def _may_answer(step: Step, own: Wish, key: str, wish: Wish, stamp: Stamp) -> bool:
    """Whether a claim may get the answer that it got if the key is frozen to `wish`."""
    if step.result is Result.UNKNOWN:
        return True
    if own.claim_id == wish.claim_id:
        fitting = Result.WON if own == wish else Result.REUSED
    else:
        same = (own.value, own.content_type) == (wish.value, wish.content_type)
        fitting = Result.SAME if same else Result.LOST
    if step.result is Result.REUSED or fitting is Result.REUSED:
        return step.result is fitting
    right = step.decree is not None and _is(step.decree, key, wish, stamp)
    return right and step.result in (fitting, Result.DECREED)


def _lists_are_right(history: list[Operation]) -> bool:
    return all(
        _list_is_right(operation, history) for operation in history if operation.kind is Kind.LIST
    )


def _list_is_right(operation: Operation, history: list[Operation]) -> bool:
    keys = [decree.key for decree in operation.decrees]
    acknowledged = {
        decree.key
        for other in history
        if other.end < operation.called
        for decree in other.decrees
        if _matches(operation.subject, decree.key)
    }
    if not all(_matches(operation.subject, key) for key in keys):
        return False
    if operation.result is not Result.LISTED:
        return True
    in_order = all(_stands_before(one, other) for one, other in combinations(keys, 2))
    return in_order and acknowledged <= set(keys)


def _matches(prefix: str, key: str) -> bool:
    path = key.split("@")[0]
    return not prefix or f"{path}/".startswith(f"{prefix}/")


def _stands_before(one: str, other: str) -> bool:
    head, tail = one.split("@"), other.split("@")
    if len(head) == len(tail) == 2 and head[0] == tail[0]:
        return int(head[1]) < int(tail[1])
    return one.replace("@", "@\0").encode() < other.replace("@", "@\0").encode()
