"""Telling a forked process from the one before it, and letting go there of what the two share.

A fork copies the memory of a process, but of its threads only the one that forked, and of its
connections only the descriptors: what a child writes to one of them, the node hears from its parent.
So a child uses nothing that its parent opened. It lets go of it here, right behind the fork, and
opens its own when it needs one.
"""

import os
from typing import Protocol
from weakref import WeakSet


class Inherited(Protocol):
    """Something that a forked process has of its parent, and must not use."""

    def let_go(self) -> None:
        """Give up what is shared with the parent, which keeps it."""


class Forks:
    """How many forks lie between this process and the one that loaded this module."""

    def __init__(self) -> None:
        self.count = 0
        self._shared: WeakSet[Inherited] = WeakSet()
        register = getattr(os, "register_at_fork", None)
        if register is not None:
            register(after_in_child=self._note)

    def share(self, thing: Inherited) -> None:
        """Have `thing` told in every process that is forked from this one."""
        self._shared.add(thing)

    def _note(self) -> None:
        self.count += 1
        shared, self._shared = list(self._shared), WeakSet()
        for thing in shared:
            thing.let_go()


FORKS = Forks()
"""Those of this process; a fork that the interpreter did not make itself is not in it."""


def this_process() -> tuple[int, int]:
    """What tells this process from its parent and its children, also if one that has ended gave
    its number to another, or a server forked without a word to the interpreter."""
    return os.getpid(), FORKS.count
