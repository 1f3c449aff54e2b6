"""Print which seeded bug was caught after how many seeds: ``python -m tests.catalogue [NAME …]``.

Each bug runs in a process of its own. The exit code is 1 if one was not caught within its budget.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from .bugs import BUGS, Bug
from .seeding import seed

PROCESSES = 2


def main() -> int:
    """Hunt all bugs, or those whose names hold one of the words given."""
    words = sys.argv[1:]
    if words[:1] == ["--one"]:
        return hunt(next(bug for bug in BUGS if bug.name == words[1]))
    wanted = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    print(f"{'seeds':>6}  {'budget':>6}  bug, and how it was seen")
    with ThreadPoolExecutor(PROCESSES) as pool:
        caught = list(pool.map(_hunt_apart, wanted))
    print(f"{sum(caught)} of {len(caught)} caught")
    return 0 if all(caught) else 1


def hunt(bug: Bug) -> int:
    """In this process: run storms with the bug in the code until one fails."""
    seed(bug)
    from ..simulation.plan import Plan
    from ..simulation.storm import Storm

    for number in range(1, bug.budget + 1):
        try:
            Storm(Plan(number)).run()
        except Exception as error:  # noqa: BLE001 - whatever the bug makes go wrong
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            print(f"{number:6}  {bug.budget:6}  {bug.name}: {reason[:90]}")
            return 0
    print(f"     -  {bug.budget:6}  {bug.name}: NOT CAUGHT")
    return 1


def _hunt_apart(bug: Bug) -> bool:
    command = [sys.executable, "-m", "tests.catalogue", "--one", bug.name]
    ended = subprocess.run(command, capture_output=True, text=True)
    print(ended.stdout.rstrip() or ended.stderr.rstrip(), flush=True)
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
