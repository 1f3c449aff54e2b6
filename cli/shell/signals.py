"""Signals: which of them are handled, and how one ends the first process of a container.

This follows from two rules of the system. A signal that was ignored when a program was started stays
ignored, by it and by its children: ``nohup`` uses that, and shells for background jobs. And the first
process of a process namespace, number 1, gets no signal whose handling is the default, so that without
a handler SIGTERM would never end it.

A third is Python's: an interrupt is an exception that is raised wherever the program happens to be,
and in places that can let no exception out (finalizers, callbacks of the collector, some checks inside
libraries in C and Rust) it is reported as ignored and lost. Here it is sent again instead.

It is loaded before all else, and loads nothing that takes time.
"""

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

FIRST_PROCESS = 1
ENDING = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)
AGAIN_S = 0.001
"""So soon an interrupt that was lost comes again, and again if it is lost once more."""


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


def keep_interrupts() -> None:
    """From now on no interrupt is lost where an exception cannot be let out: it comes again."""
    signal.signal(signal.SIGALRM, _interrupt_again)
    sys.unraisablehook = _send_again


def _send_again(lost: "UnraisableHookArgs") -> None:
    if issubclass(lost.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
    else:
        sys.__unraisablehook__(lost)


def _interrupt_again(number: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


class EarlyStop:
    """Whether SIGTERM came before the node could handle it; a second one ends the process."""

    def __init__(self) -> None:
        self.asked = False

    def listen(self) -> None:
        """Remember a SIGTERM from now on."""
        signal.signal(signal.SIGTERM, self._keep)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        end_by(number)


EARLY = EarlyStop()


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
