"""What each caller may read below a prefix, by the policy that is obeyed now.

Lists and watches ask it whenever they read and whenever they tell (S18), since a policy may be learned
between the two. Without a policy it says at once that all may be read.
"""

from collections.abc import Callable

from ...policy.needs import FOR_ADMINISTRATORS
from ...policy.rights import Prefixes, Readable, Rights
from ...types import Key
from .pending import PendingRequest
from .step_builder import StepBuilder

Within = Prefixes | None
"""What may be read of a prefix: None for all of it, otherwise these prefixes below it, perhaps none."""

_NOTHING = Prefixes()


class ReadRights:
    """The callers, as those who read.

    Attributes:
        rights: gives what the policy that is obeyed allows; None: everything.
    """

    def __init__(self) -> None:
        self.rights: Callable[[], Rights | None] = lambda: None

    def within(self, step: StepBuilder, pending: PendingRequest, prefix: str) -> Within:
        """What the caller of a request may read below a prefix.

        A request about what is for administrators goes on only as long as its caller is one (S18).
        """
        rights = self.rights()
        if rights is None or prefix in FOR_ADMINISTRATORS:
            return None
        found = rights.readable(pending.identity, prefix, step.moment.wall_ms)
        return found.within if isinstance(found, Readable) else _NOTHING


def is_within(within: Within, key: Key) -> bool:
    """Whether a key that is under a prefix may be read."""
    return within is None or within.cover(key)
