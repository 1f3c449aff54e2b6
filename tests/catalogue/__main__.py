"""Print who catches each seeded bug: ``python -m tests.catalogue [--trace] [WORD …]``.

Each bug is hunted by all hunters that must catch it, in a process for each. With words, only bugs
with one of them in their names are hunted. ``--trace`` prints how the model checker came to each.
The exit code is 1 if a bug was not caught within a budget.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from .bug import ROOT, Bug
from .everything import BUGS
from .hunters import HUNTERS, Finding
from .seeding import seed

PROCESSES = 2
NAME, WHERE, BY, COUNT, BUDGET = 60, 30, 22, 8, 8


def main(arguments: list[str]) -> int:
    """Hunt all bugs, or those with one of the given words in their names."""
    parser = argparse.ArgumentParser(prog="python -m tests.catalogue", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of a bug's name")
    parser.add_argument("--trace", action="store_true", help="tell how each was come to")
    parser.add_argument("--here", metavar="HUNTER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.here:
        return _hunt_here(options.words[0], options.here)
    wanted = [bug for bug in BUGS if not options.words or any(w in bug.name for w in options.words)]
    pairs = [(bug, by) for bug in wanted for by in hunters_of(bug)]
    return _print_all(pairs, options.trace)


def hunters_of(bug: Bug) -> Iterator[str]:
    """The hunters that must catch a bug."""
    return (by for by, hunter in HUNTERS.items() if hunter.budget(bug) is not None)


def hunt_apart(bug: Bug, by: str) -> Finding:
    """Seed a bug in a process of its own and let one hunter look for it."""
    command = [sys.executable, "-m", "tests.catalogue", "--here", by, bug.name]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, f"hunting for {bug.name!r} failed: {ended.stderr}"
    after, seen, trace = json.loads(ended.stdout)
    return Finding(after, seen, tuple(trace))


def _hunt_here(name: str, by: str) -> int:
    """In this process, seed the bug, hunt it, and print the finding for `hunt_apart`."""
    bug = next(bug for bug in BUGS if bug.name == name)
    seed(bug)
    hunter = HUNTERS[by]
    print(json.dumps(list(asdict(hunter.hunt(bug)).values())))
    return 0


def _print_all(pairs: list[tuple[Bug, str]], with_traces: bool) -> int:
    print(_line("bug", "where", "caught by", "after", "budget", "how it was seen"))
    caught: dict[Bug, bool] = {}
    with ThreadPoolExecutor(PROCESSES) as pool:
        findings = pool.map(lambda pair: hunt_apart(*pair), pairs)
        for (bug, by), finding in zip(pairs, findings, strict=True):
            print(_row(bug, by, finding, first=bug not in caught), flush=True)
            caught[bug] = caught.get(bug, True) and bool(finding.seen)
            if with_traces:
                print(*(f"    {step}" for step in finding.trace), sep="\n", end="\n\n")
    print(f"{sum(caught.values())} of {len(caught)} bugs caught by all who must")
    return 0 if all(caught.values()) else 1


def _row(bug: Bug, by: str, finding: Finding, first: bool) -> str:
    hunter = HUNTERS[by]
    name, where = (bug.name, bug.where) if first else ("", "")
    budget = f"{hunter.budget(bug):,}"
    after = f"{finding.after:,}" if finding.seen else "-"
    seen = finding.seen[:100] or "NOT CAUGHT"
    return _line(name, where, f"{hunter.name} ({hunter.unit})", after, budget, seen)


def _line(name: str, where: str, by: str, after: str, budget: str, seen: str) -> str:
    return f"{name:{NAME}} {where:{WHERE}} {by:{BY}} {after:>{COUNT}} {budget:>{BUDGET}}  {seen}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
