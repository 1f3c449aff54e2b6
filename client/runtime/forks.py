"""Telling a forked process from its parent, and giving up there what the two share.

A fork copies the memory of a process, but only one thread of it. Of its connections it copies only the
descriptors: a node takes what a child writes to one of them for the parent's bytes. So a child uses
nothing that its parent opened. It gives all of it up right after the fork, and opens its own when it
needs one.

A thread that is in the middle of SQLite when its process forks leaves SQLite's own locks held in the
child, with nobody to release them. So a fork waits until no thread is inside `FORKS.held_off`.
"""

import os
import threading
from typing import Protocol
from weakref import WeakSet


class Inherited(Protocol):
    """Something that a forked process inherits from its parent and must not use."""

    def let_go(self) -> None:
        """Give up what is shared with the parent; the parent keeps it."""


class Forks:
    """Counts the forks between the process that loaded this module and this process.

    Attributes:
        count: how many there were.
        held_off: no fork happens while a thread holds this lock. Hold it for moments only.
    """

    def __init__(self) -> None:
        self.count = 0
        self.held_off = threading.RLock()
        self._shared: WeakSet[Inherited] = WeakSet()
        register = getattr(os, "register_at_fork", None)
        if register is not None:
            release = self.held_off.release
            register(before=self.held_off.acquire, after_in_parent=release, after_in_child=release)
            register(after_in_child=self._note)

    def share(self, thing: Inherited) -> None:
        """Have `thing.let_go` called in every process that is forked from this one."""
        self._shared.add(thing)

    def _note(self) -> None:
        self.count += 1
        shared, self._shared = list(self._shared), WeakSet()
        for thing in shared:
            thing.let_go()


FORKS = Forks()
"""The forks of this process; forks that the interpreter did not make itself are not counted."""


def this_process() -> tuple[int, int]:
    """What tells this process from its parent and its children: the pid, for forks that bypass the
    interpreter, and the number of forks, for pids that are used again."""
    return os.getpid(), FORKS.count
