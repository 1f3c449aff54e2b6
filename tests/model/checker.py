"""Breadth-first search through every state of a model, with a shortest trace to a violation.

This module owns the search, its bounds and its figures, and knows nothing of Paxos. A model names
what must hold in every state and in every step (*always*), and what must be reached at least once
(*sometimes*): a model in which nothing happens breaks no promise, and must still fail.

The result for a state or a step is one integer, a *mark*. Bit i is set if the i-th always-property
is broken; the bits above are set for the sometimes-properties that were seen.
"""

import gc
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

State = TypeVar("State", bound=Hashable)


class Model(Protocol[State]):
    """What the search needs of a model. All states that it hands out are canonical."""

    @property
    def always(self) -> Sequence[str]:
        """The properties that no state and no step may break."""
        ...

    @property
    def sometimes(self) -> Sequence[str]:
        """The properties that some state must have."""
        ...

    def initial(self) -> State:
        """The first state."""
        ...

    def successors(self, state: State, /) -> Iterable[tuple[State, int]]:
        """Every state one step away that differs from `state`, and the mark of the step."""
        ...

    def judge(self, state: State, /) -> int:
        """The mark of a state."""
        ...

    def retell(self, path: Sequence[State], /) -> list[str]:
        """A path of canonical states, as one line for each step."""
        ...


@dataclass(slots=True)
class Report(Generic[State]):
    """What a search found.

    Attributes:
        states, transitions, depth: how many were met, and the distance of the farthest state.
        seconds: how long it took.
        complete: whether all states were met; a search ends early at its bound or a violation.
        broken: the always-properties that the last step of `trace` breaks.
        missing: the sometimes-properties that nothing met had.
        trace: a shortest path to the violation, one line for each step.
    """

    states: int = 0
    transitions: int = 0
    depth: int = 0
    seconds: float = 0.0
    complete: bool = False
    broken: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    trace: list[str] = field(default_factory=list[str])

    @property
    def holds(self) -> bool:
        """Whether the search is complete, nothing is broken and nothing is missing."""
        return self.complete and not self.broken and not self.missing

    @property
    def states_per_second(self) -> int:
        """The speed of the search."""
        return int(self.states / max(self.seconds, 1e-9))


@dataclass(slots=True)
class Search(Generic[State]):
    """One search in progress. `parents` has the first path to each state."""

    model: Model[State]
    parents: dict[State, State | None]
    seen: int = 0
    transitions: int = 0
    depth: int = 0

    @property
    def wrong(self) -> int:
        """The bits of a mark that stand for broken properties."""
        return (1 << len(self.model.always)) - 1

    def expand(self, frontier: list[State], limit: int) -> tuple[list[State], list[State], int]:
        """The next level; or, if a step breaks a property, the path to it and its mark."""
        model, parents, wrong = self.model, self.parents, self.wrong
        level: list[State] = []
        for state in frontier:
            for successor, mark in model.successors(state):
                self.transitions += 1
                if successor not in parents:
                    parents[successor] = state
                    level.append(successor)
                    mark |= model.judge(successor)
                self.seen |= mark
                if mark & wrong:
                    return level, [*self.path(state), successor], mark & wrong
            if len(parents) >= limit:
                break
        return level, [], 0

    def path(self, state: State) -> list[State]:
        """A shortest path from the first state to `state`."""
        path: list[State] = []
        at: State | None = state
        while at is not None:
            path.append(at)
            at = self.parents[at]
        return path[::-1]


def explore(model: Model[State], limit: int = 100_000_000) -> Report[State]:
    """Meet every state of `model`, nearest first, until one is wrong or `limit` are met."""
    began = time.perf_counter()
    # release everything before garbage collection begins again: a pass over it takes long
    with without_garbage_collection():
        report = _explored(model, limit)
        del model
    report.seconds = time.perf_counter() - began
    return report


def _explored(model: Model[State], limit: int) -> Report[State]:
    initial = model.initial()
    search = Search[State](model, {initial: None}, seen=model.judge(initial))
    frontier, path = [initial], [initial]
    mark = search.seen & search.wrong
    while frontier and not mark and len(search.parents) < limit:
        frontier, path, mark = search.expand(frontier, limit)
        search.depth += bool(frontier)
    report = Report[State](len(search.parents), search.transitions, search.depth)
    report.complete = not frontier and not mark
    if mark:
        report.broken = list(_names(model.always, mark))
        report.trace = model.retell(path)
    if report.complete:
        report.missing = list(_names(model.sometimes, ~search.seen >> len(model.always)))
    return report


def _names(names: Sequence[str], mark: int) -> Iterator[str]:
    return (name for index, name in enumerate(names) if mark >> index & 1)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause garbage collection: the search keeps nearly all that it makes, so passes only cost time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
