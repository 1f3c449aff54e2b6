"""Telling a forked process from the one before it, without asking the system at every call."""

import os


class Forks:
    """How many forks lie between this process and the one that loaded this module."""

    def __init__(self) -> None:
        self.count = 0
        register = getattr(os, "register_at_fork", None)
        if register is not None:
            register(after_in_child=self._note)

    def _note(self) -> None:
        self.count += 1


FORKS = Forks()
"""Those of this process; a fork that the interpreter did not make itself is not in it."""
