"""Rate limits for log events: lines that others can cause must not fill a disk."""

from msgspec import Struct

BURST = 10
PER_S = 1.0
MOST_THINGS = 1_000
"""How many events are remembered; beyond that the oldest is dropped."""


class Said(Struct):
    """The rate of one event.

    Attributes:
        left: how many times it may be logged at `at_s`.
        at_s: the time of `left`.
        unsaid: how many times it was suppressed since it was last logged.
    """

    left: float
    at_s: float
    unsaid: int = 0


class Rates:
    """Allows a number of each event at once, and a number a second in the long run.

    Args:
        burst: how many at once.
        per_s: how many a second.
    """

    def __init__(self, burst: int = BURST, per_s: float = PER_S) -> None:
        self._burst, self._per_s = burst, per_s
        self._said: dict[str, Said] = {}

    def ask(self, thing: str, now_s: float) -> int | None:
        """Ask whether an event may be logged now.

        Returns:
            How many times it was suppressed before; None if it may not be logged.
        """
        if thing not in self._said and len(self._said) >= MOST_THINGS:
            del self._said[next(iter(self._said))]
        said = self._said.setdefault(thing, Said(self._burst, now_s))
        said.left = min(self._burst, said.left + (now_s - said.at_s) * self._per_s)
        said.at_s = now_s
        if said.left < 1:
            said.unsaid += 1
            return None
        said.left -= 1
        unsaid, said.unsaid = said.unsaid, 0
        return unsaid
