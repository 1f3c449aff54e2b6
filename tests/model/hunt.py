"""Looking for a mistake: small clusters, one after the other, until one of them shows it."""

from dataclasses import dataclass

from .bugs import Bug
from .checker import Report, explore
from .paxos_model import PaxosModel
from .properties import DUEL, FINISHED, RESTARTED
from .scenarios import Scenario

TRAPS = (
    Scenario("1 proposer, 1 crash", 3, (2,), crashes=1, out_of_reach=frozenset({DUEL, FINISHED})),
    Scenario("2 proposers", 3, (1, 1), out_of_reach=frozenset({DUEL, RESTARTED})),
    Scenario("2 proposers, 2 and 1 ballots", 3, (2, 1), out_of_reach=frozenset({RESTARTED})),
)


@dataclass(frozen=True)
class Catch:
    """What a hunt found.

    Attributes:
        scenario: the cluster that shows the mistake.
        states: how many states were met, in the clusters before as well.
        report: what the search in it found.
    """

    scenario: Scenario
    states: int
    report: Report[tuple[int, ...]]

    @property
    def properties(self) -> list[str]:
        """What is broken, or never happens."""
        return self.report.broken or self.report.missing


def hunt(bug: Bug) -> Catch | None:
    """Seed `bug` and look for it; None if nothing shows it."""
    states = 0
    for scenario in TRAPS:
        with bug.seeded():
            report = explore(PaxosModel(scenario))
        states += report.states
        if report.broken or not scenario.out_of_reach.issuperset(report.missing):
            return Catch(scenario, states, report)
    return None
