"""Run simulations by hand: ``python -m tests.simulation --help``."""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from .batch import Summary, run_seeds, run_storm
from .fingerprints import fingerprints
from .load import Load
from .plan import Plan, parse_plan
from .shrink import shrink
from .storms import storm_of
from .trace import print_event

FEW = 40
PROGRESS_S = 10.0


def main() -> int:
    """Run the given seeds or the given scenario; returns 1 if any run failed."""
    arguments = _parser().parse_args()
    first, _, last = arguments.seed.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    drawn = partial(Plan.drawn, governed=arguments.governed)
    if arguments.fingerprints:
        for storm, seed, text in fingerprints(seeds):
            print(storm, seed, text, flush=True)
        return 0
    if arguments.scenario is not None:
        failed = _each([parse_plan(arguments.scenario.read_text())], arguments.trace)
    elif arguments.load:
        failed = [plan for plan in map(Plan, seeds) if not _load(plan)]
    elif arguments.trace or len(seeds) <= FEW:
        failed = _each([drawn(seed) for seed in seeds], arguments.trace)
    else:
        failed = [drawn(seed) for seed in _many(seeds, arguments.jobs, arguments.governed)]
    for plan in failed if arguments.shrink else []:
        _shrink(plan, arguments.keep)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", default="1-100", help="one seed, or FIRST-LAST  [1-100]")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes  [1]")
    parser.add_argument("--scenario", type=Path, help="a plan in a text file, instead of seeds")
    parser.add_argument("--load", action="store_true", help="thousands of claims in fair weather")
    parser.add_argument("--governed", action="store_true", help="nodes obey policies, which change")
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument(
        "--fingerprints", action="store_true", help="a hash of each run, to compare two builds"
    )
    parser.add_argument("--shrink", action="store_true", help="make failing runs small")
    parser.add_argument("--keep", type=Path, help="where to write a shrunk plan")
    return parser


def _each(plans: list[Plan], trace: bool) -> list[Plan]:
    """Run a few plans, with a line for each; returns those that failed."""
    return [plan for plan in plans if not _run(plan, trace)]


def _run(plan: Plan, trace: bool) -> bool:
    storm = storm_of(plan)
    if trace:
        storm.world.trace = print_event
    run = run_storm(storm)
    if run.story:
        print(run.story, file=sys.stderr)
    print(run, flush=True)
    return not run.failure


def _many(seeds: range, jobs: int, governed: bool) -> list[int]:
    """Run many seeds, with a line of progress at times; returns those that failed."""
    summary, told_s = Summary(), time.monotonic()
    for run in run_seeds(seeds, jobs, governed):
        summary.add(run)
        if run.failure:
            print(run, flush=True)
        if time.monotonic() - told_s > PROGRESS_S:
            told_s = time.monotonic()
            print(summary.line(), flush=True)
    print(summary.text())
    return [run.seed for run in summary.failures]


def _load(plan: Plan) -> bool:
    load = Load(plan)
    run = run_storm(load)
    if run.story:
        print(run.story, file=sys.stderr)
    print(
        f"{run}\n    {len(load.world.config.nodes)} nodes, {load.answered} claims answered,"
        f" {load.answered / run.spent_s:.0f} claims/s of processor time",
        flush=True,
    )
    return not run.failure


def _shrink(plan: Plan, keep: Path | None) -> None:
    small = shrink(plan, _fails)
    text = small.text(f"found by seed {plan.seed}: {_reason(small)}")
    print(text)
    if keep is not None:
        keep.write_text(text)


def _fails(plan: Plan) -> bool:
    return bool(_reason(plan))


def _reason(plan: Plan) -> str:
    try:
        storm_of(plan).run()
    except Exception as error:  # noqa: BLE001 - any error is a failure of the run
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return ""


if __name__ == "__main__":
    sys.exit(main())
