"""How long to rest before a command is run again that ended by itself.

One that fails at once would otherwise begin a new term of its lock each second, and each term is kept.
No clock is read here.
"""

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0
STEADY_SECONDS = 10.0
"""A command that ran for so long is no longer one that ends at once."""


class Backoff:
    """The pauses between runs: each twice the one before, until a run was long enough."""

    def __init__(self) -> None:
        self._next = FIRST_SECONDS

    def pause_after(self, ran_seconds: float) -> float:
        """Seconds to rest behind a run that took `ran_seconds`."""
        if ran_seconds >= STEADY_SECONDS:
            self._next = FIRST_SECONDS
        pause = self._next
        self._next = min(2 * pause, LONGEST_SECONDS)
        return pause
