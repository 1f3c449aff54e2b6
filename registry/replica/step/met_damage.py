"""Damage that reads have met on this node's disk since its start: each logged once, and all counted.

A damaged block is met again by each reader that needs it, such as every node that joins. Its line in
the log says the same each time.
"""

from .step_builder import StepBuilder

MOST = 1_000
"""How many texts are remembered; those beyond are logged each time that they are met."""


class MetDamage:
    """What was met.

    Attributes:
        count: how often damage was met.
        first: what was met first, in words; empty if nothing was.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first = ""
        self._said: set[str] = set()

    def note(self, step: StepBuilder, text: str) -> None:
        """Count damage, and log it if this text was not logged before."""
        self.count += 1
        self.first = self.first or text
        if text in self._said:
            return
        if len(self._said) < MOST:
            self._said.add(text)
        step.alarm(text)
