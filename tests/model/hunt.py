"""The search for a mistake: small clusters, one after the other, until one of them shows it.

The mistake is seeded in the shipped code before it is imported; see `tests/catalogue`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from .checker import explore
from .paxos_model import PaxosModel
from .properties import ADOPTED, AGREEMENT, ALWAYS, DUEL, FINISHED, HANDED_DOWN, LEFT, RESTARTED
from .scenarios import ALONE, PLAIN, Scenario

TRAPS = (
    Scenario(
        "1 proposer, 1 crash", 3, (2,), crashes=1, out_of_reach=frozenset({DUEL, FINISHED}) | PLAIN
    ),
    Scenario("2 proposers", 3, (1, 1), out_of_reach=frozenset({DUEL, RESTARTED}) | PLAIN),
    Scenario(
        "2 proposers, quorums 3 and 1",
        3,
        (1, 1),
        prepare=3,
        accept=1,
        out_of_reach=frozenset({DUEL, RESTARTED}) | PLAIN,
    ),
    Scenario(
        "2 proposers, quorums 1 and 3",
        3,
        (1, 1),
        prepare=1,
        accept=3,
        out_of_reach=frozenset({DUEL, RESTARTED}) | PLAIN,
    ),
    Scenario(
        "2 proposers, 2 and 1 ballots", 3, (2, 1), out_of_reach=frozenset({RESTARTED}) | PLAIN
    ),
)
"""For mistakes that need no class promise."""

CLASS_PROMISE_TRAPS = (
    Scenario(
        "a home that sends one batch and dies",
        3,
        (1,),
        identity=True,
        batches=True,
        crashes=1,
        out_of_reach=frozenset({DUEL, ADOPTED, FINISHED, RESTARTED, HANDED_DOWN, LEFT}),
    ),
    Scenario(
        "a home that sends batches and gives up",
        3,
        (2,),
        identity=True,
        batches=True,
        gives_up=True,
        out_of_reach=frozenset({DUEL, FINISHED, RESTARTED, HANDED_DOWN}),
    ),
    Scenario(
        "a home that gives up",
        3,
        (2,),
        identity=True,
        gives_up=True,
        out_of_reach=frozenset({DUEL, FINISHED, RESTARTED, HANDED_DOWN}) | ALONE,
    ),
    Scenario(
        "a home that sends batches and a proposer",
        3,
        (1, 1),
        identity=True,
        batches=True,
        out_of_reach=frozenset({DUEL, RESTARTED, HANDED_DOWN, LEFT}),
    ),
    Scenario(
        "a home that sends batches and restarts, quorums 3 and 1",
        3,
        (2,),
        prepare=3,
        accept=1,
        identity=True,
        batches=True,
        crashes=1,
        spared=True,
        out_of_reach=frozenset({DUEL, FINISHED}),
    ),
    Scenario(
        "a home that sends batches and a proposer, quorums 3 and 1",
        3,
        (2, 1),
        prepare=3,
        accept=1,
        identity=True,
        batches=True,
        out_of_reach=frozenset({RESTARTED, HANDED_DOWN}),
    ),
    Scenario(
        "a home that sends batches and restarts",
        3,
        (2,),
        identity=True,
        batches=True,
        crashes=1,
        out_of_reach=frozenset({DUEL, FINISHED}),
    ),
)
"""For mistakes that need one."""


class Catch(NamedTuple):
    """The result of a hunt.

    Attributes:
        states: how many states were met, in earlier clusters too.
        properties: what is broken or never happens; empty if nothing shows the mistake.
        trace: the path to it, one line for each step.
    """

    states: int
    properties: tuple[str, ...]
    trace: tuple[str, ...]


def hunt(budget: int) -> Catch:
    """Look for any violation, in at most `budget` states."""
    return _hunt(TRAPS, ALWAYS, budget)


def hunt_at_home(budget: int) -> Catch:
    """Look for any violation with class promises, in at most `budget` states."""
    return _hunt(CLASS_PROMISE_TRAPS, ALWAYS, budget)


def hunt_for_two_decrees(budget: int) -> Catch:
    """Look only for two decrees of one key, in at most `budget` states."""
    return _hunt((Scenario("two claims", 3, (1, 1)),), (AGREEMENT,), budget)


def _hunt(traps: Iterable[Scenario], judged: Iterable[str], budget: int) -> Catch:
    states = 0
    for scenario in traps:
        report = explore(PaxosModel(scenario, judged=judged), budget - states)
        states += report.states
        missing = set(report.missing) - scenario.out_of_reach if judged is ALWAYS else set()
        found = (*report.broken, *(f"never: {name}" for name in sorted(missing)))
        if found:
            return Catch(states, found, (f"-- {scenario.name}", *report.trace))
        if states >= budget:
            break
    return Catch(states, (), ())
