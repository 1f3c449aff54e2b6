"""``python -m tests.chaos``: faults on real processes for a chosen time, and the judge's verdict.

The same seed draws the same schedule. Exit code 0: no fault was found; 1: one was, and the folder that
is named at the end has the history and the nodes' logs. With ``--seeded MISTAKE`` all nodes run with
that mistake from the catalogue, only wires fail, and 0 means that it was caught.
"""

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import trio

from .recovery import table
from .run import Report, Settings, run
from .schedule import deck_after_deck, wires_alone


def main(arguments: Sequence[str]) -> int:
    """Read the command line, run, and print the report."""
    given = _parser().parse_args(arguments)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="decreed-chaos-"))
    draw = functools.partial(wires_alone if given.seeded else deck_after_deck, given.seed)
    settings = Settings(
        folder,
        draw,
        given.seconds,
        given.nodes,
        given.clients,
        given.rate,
        given.seed,
        given.seeded,
    )
    print(f"seed {given.seed}, {given.seconds:.0f} s, in {folder}", flush=True)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    report = trio.run(run, settings, say)
    _print(report, folder)
    return 0 if report.right != bool(given.seeded) else 1


def _print(report: Report, folder: Path) -> None:
    print("seconds, median / worst; claims count that were told that they won")
    print(table(report.recoveries))
    print(f"{report.won} claims won, {report.impossible} of them while there was no quorum")
    print(f"the judge: {report.verdict}")
    if report.decrees is None:
        print(f"WRONG: {report.complaint}")
    else:
        print(f"every node, asked alone, has the same {report.decrees} decrees")
    print(f"kept in {folder}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3_600.0, help="[3600]")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule and the luck  [1]")
    parser.add_argument("--nodes", type=int, choices=(3, 5, 7), default=3, help="[3]")
    parser.add_argument("--clients", type=int, default=40, help="[40]")
    parser.add_argument("--rate", type=float, default=200.0, help="operations a second  [200]")
    parser.add_argument("--folder", type=Path, help="where everything is kept  [a new one]")
    parser.add_argument("--seeded", default="", help="a mistake from the catalogue")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
