"""``python -m tests.history FILE``: judge a file of JSON lines.

Prints the verdict. Exit code 0: right; 1: a rule is broken; 2: the file is no history.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from .judge import judge
from .lines import load
from .operations import HistoryError


def main(arguments: Sequence[str]) -> int:
    """Judge the one file that is named."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        verdict = judge(load(Path(arguments[0])))
    except (OSError, HistoryError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 2
    print(verdict)
    return 0 if verdict.right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
