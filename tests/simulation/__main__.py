"""Run simulations by hand: ``python -m tests.simulation --help``."""

import argparse
import sys
import time
import traceback
from pathlib import Path

from .plan import Plan, parse_plan
from .shrink import shrink
from .storm import Storm

HOUR_MS = 3_600_000


def main() -> int:
    """Run the seeds or the scenario asked for; 1 if any failed."""
    arguments = _parser().parse_args()
    if arguments.scenario is not None:
        plans = [parse_plan(arguments.scenario.read_text())]
    else:
        first, _, last = arguments.seed.partition("-")
        plans = [Plan(seed) for seed in range(int(first), int(last or first) + 1)]
    failed = [plan for plan in plans if not _run(plan, arguments.trace)]
    for plan in failed if arguments.shrink else []:
        _shrink(plan, arguments.keep)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", default="1-100", help="one seed, or FIRST-LAST  [1-100]")
    parser.add_argument("--scenario", type=Path, help="a plan in a text file, instead of seeds")
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument("--shrink", action="store_true", help="make failing runs small")
    parser.add_argument("--keep", type=Path, help="where to write a shrunk plan")
    return parser


def _run(plan: Plan, trace: bool) -> bool:
    storm = Storm(plan)
    if trace:
        storm.world.trace = _print_event
    began = time.process_time()
    try:
        storm.run()
    except Exception as error:  # noqa: BLE001 - whatever went wrong is what we look for
        traceback.print_exception(error)
        print(f"seed {plan.seed}: FAILED: {error}")
        return False
    spent_s = max(time.process_time() - began, 1e-9)
    hours = storm.world.now_ms / HOUR_MS
    print(
        f"seed {plan.seed}: {len(storm.world.chosen)} decrees, {storm.clients.requests} requests,"
        f" {storm.clients.requests / spent_s:.0f} requests/s,"
        f" {hours / spent_s * 60:.1f} simulated hours a minute",
        flush=True,
    )
    return True


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
        Storm(plan).run()
    except Exception as error:  # noqa: BLE001 - whatever went wrong is what we look for
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return ""


def _print_event(now_ms: float, node: str, kind: str, what: object) -> None:
    print(f"{now_ms:10.1f} {node:3} {kind:8} {what}")


if __name__ == "__main__":
    sys.exit(main())
