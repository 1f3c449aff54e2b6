"""``python -m tests.model [--full] [NAME…]``: explore the scenarios and print the figures.

Each line is one scenario: its states, transitions and depth, and its speed. The exit code is 1 if
anything is broken or missing. ``python -m tests.catalogue`` tries seeded mistakes.
"""

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from . import members_scenarios
from .checker import Report, explore
from .members_model import MembersModel
from .members_scenarios import Change
from .paxos_model import PaxosModel
from .policy_model import QUIET, RACING, PolicyModel, Revocation
from .scenarios import DEFAULT, FULL, MORE, Scenario
from .traces import tell_report

AnyScenario = Scenario | Change | Revocation


def main(arguments: list[str]) -> int:
    """Explore and print; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios; all by default")
    parser.add_argument("--full", action="store_true", help="the largest bounds too")
    options = parser.parse_args(arguments)
    of_members = members_scenarios.DEFAULT + members_scenarios.MORE
    usual: tuple[AnyScenario, ...] = (*DEFAULT, *MORE, *of_members, QUIET, RACING)
    known: tuple[AnyScenario, ...] = usual + FULL
    chosen = known if options.full else usual
    if options.names:
        chosen = tuple(s for s in known if s.name in options.names)
        if len(chosen) < len(set(options.names)):
            parser.error("no such scenario; there are: " + "; ".join(s.name for s in known))
    return _explore(chosen)


def _explore(scenarios: Iterable[AnyScenario]) -> int:
    print(f"{'scenario':44} {'states':>10} {'transitions':>12} {'depth':>6} {'states/s':>9}")
    wrong = 0
    for scenario in scenarios:
        report = _report(scenario)
        as_said = not report.broken and scenario.out_of_reach == frozenset(report.missing)
        as_said &= (report.states, report.depth) == (scenario.states, scenario.depth)
        wrong += not as_said
        print(_line(scenario.name, report), "" if as_said else "WRONG", flush=True)
        if not as_said:
            print(tell_report(report))
    return int(wrong > 0)


def _report(scenario: AnyScenario) -> Report[Any]:
    if isinstance(scenario, Change):
        return explore(MembersModel(scenario))
    if isinstance(scenario, Revocation):
        return explore(PolicyModel(races=scenario.races))
    return explore(PaxosModel(scenario))


def _line(name: str, report: Report[Any]) -> str:
    figures = f"{report.states:10,} {report.transitions:12,} {report.depth:6}"
    return f"{name:44} {figures} {report.states_per_second:9,}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
