"""The first steps of the process, before the parts of the program are loaded.

Loading takes a good part of a second. A SIGTERM in that time is remembered for the node, which then
stops as if it had come later. This module must import nothing that takes time.
"""

import gc
import os
import signal
import sys
from collections.abc import Sequence

from .shell.signals import EARLY, end_as_first_process, keep_interrupts

NEEDED = ("typer", "trio")
"""Packages that come with the extra ``cli`` and not with the library."""
SERVING = ("serve", "dev")
GLOBAL_VALUES = ("--endpoints", "--context", "--claimant", "--timeout", "--ca", "--cert", "--key")
"""Options with a value that may stand before the command."""


def hold_closed_streams() -> None:
    """Reserve the descriptors of closed standard streams, so that no other file gets them.

    A table or a connection with descriptor 1 would receive printed text. Text to a closed standard
    error is dropped.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (to the very end)


def command_words(words: Sequence[str]) -> Sequence[str]:
    """The words from the command on, without the options before it."""
    place = 0
    while place < len(words) and words[place].startswith("-"):
        place += 2 if words[place] in GLOBAL_VALUES else 1
    return words[place:]


def is_complete() -> bool:
    """Whether the command's packages are installed; the library alone installs this script too."""
    return all(any(finder.find_spec(name, None) for finder in sys.meta_path) for name in NEEDED)


def main() -> None:
    """The entry point of the command ``decreed``."""
    end_as_first_process()
    keep_interrupts()
    command = command_words(sys.argv[1:])[:1]
    if command and command[0] in SERVING:
        EARLY.listen()
    if command == ["serve"]:
        # loading makes hardly any garbage, and collecting takes long; `collect_seldom` enables it again
        gc.disable()
    hold_closed_streams()
    if not is_complete():
        from .incomplete import tell

        sys.exit(tell(sys.argv[1:]))
    try:
        from .main import run
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)  # `failures.INTERRUPTED`, which is not loaded yet
    sys.exit(run(sys.argv[1:]))
