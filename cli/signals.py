"""Signals: which of them are handled, and how one ends the first process of a container.

This follows from two rules of the system. A signal that was ignored when a program was started stays
ignored, by it and by its children: ``nohup`` uses that, and shells for background jobs. And the first
process of a process namespace, number 1, gets no signal whose handling is the default, so that without
a handler SIGTERM would never end it.

It is loaded before all else, and loads nothing that takes time.
"""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

FIRST_PROCESS = 1
ENDING = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)


def heeded(*numbers: signal.Signals) -> tuple[signal.Signals, ...]:
    """The ones of `numbers` that were not ignored when this process was started."""
    return tuple(x for x in numbers if signal.getsignal(x) is not signal.SIG_IGN)


def end_by(number: int) -> None:
    """Have this signal end the process immediately from now on."""
    first = os.getpid() == FIRST_PROCESS
    signal.signal(number, _exit if first else signal.SIG_DFL)


def end_as_first_process() -> None:
    """If this is process 1, have the usual signals end it; SIGINT does so anyway.

    Output is flushed where it is written, so ending immediately loses nothing.
    """
    if os.getpid() == FIRST_PROCESS:
        for number in heeded(*ENDING):
            end_by(number)


@contextmanager
def restored_for_exec() -> Generator[None]:
    """Restore the signals that Python ignores and other programs do not, around an exec."""
    before = {x: signal.signal(x, signal.SIG_DFL) for x in (signal.SIGPIPE, signal.SIGXFSZ)}
    try:
        yield
    finally:
        for number, handling in before.items():
            signal.signal(number, handling)


def _exit(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)
