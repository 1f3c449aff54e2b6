"""``python -m tests.chaos.seeded MISTAKE ARGUMENTS…``: ``decreed`` with a mistake seeded into it."""

import sys

from ..catalogue.everything import BUGS
from ..catalogue.seeding import seed


def main() -> None:
    """Seed the mistake of that name, then be the program."""
    name = sys.argv.pop(1)
    seed(next(bug for bug in BUGS if bug.name == name))
    from decreed.cli.main import main as decreed

    decreed()


if __name__ == "__main__":
    main()
