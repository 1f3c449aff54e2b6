"""How often one thing may be said: lines of a log that others can cause must not fill a disk."""

from msgspec import Struct

BURST = 10
PER_S = 1.0


class Said(Struct):
    """How often something was said.

    Attributes:
        left: how many times it may be said at once.
        at_s: when that was so.
        unsaid: how many times it was not said since it was said last.
    """

    left: float
    at_s: float
    unsaid: int = 0


class Rates:
    """`BURST` times at once, and `PER_S` times a second in the long run, of each thing."""

    def __init__(self) -> None:
        self._said: dict[str, Said] = {}

    def ask(self, thing: str, now_s: float) -> int | None:
        """May it be said now?

        Returns:
            How many times it went unsaid before; None if it may not.
        """
        said = self._said.setdefault(thing, Said(BURST, now_s))
        said.left = min(BURST, said.left + (now_s - said.at_s) * PER_S)
        said.at_s = now_s
        if said.left < 1:
            said.unsaid += 1
            return None
        said.left -= 1
        unsaid, said.unsaid = said.unsaid, 0
        return unsaid
