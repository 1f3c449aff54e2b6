"""``python -m tests.chaos.seeded MISTAKE ARGUMENTS…``: ``decreed`` with a mistake seeded into it."""

import sys

from ..catalogue.bug import Bug
from ..catalogue.everything import BUGS
from ..catalogue.seeding import seed


def mistake(name: str) -> Bug:
    """The mistake of that name in the catalogue.

    Raises:
        ValueError: if there is none; the message names those that exist.
    """
    for bug in BUGS:
        if bug.name == name:
            return bug
    raise ValueError(f"no mistake is called {name!r}; there are: {', '.join(b.name for b in BUGS)}")


def main() -> None:
    """Seed the mistake, then run the program."""
    seed(mistake(sys.argv.pop(1)))
    from decreed.cli.main import main as decreed

    decreed()


if __name__ == "__main__":
    main()
