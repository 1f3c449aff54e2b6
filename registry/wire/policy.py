"""What nodes ask each other about policies: does anybody know a newer one (S14, S16)?"""

from ..types import Counter, Value

MAX_AGE_MS = 10_000
"""The default of ``policy.max_age_ms``: for how long an answer of a voter is good."""


class AskPolicy(Value, frozen=True, tag=90):
    """S14: which policy do you know?

    Args:
        id: ties the answer to the moment at which this left; never used for another question.
        epoch: the epoch that the sender knows.
        newest: the newest policy that the sender knows durably; 0: none.
    """

    id: Counter
    epoch: Counter
    newest: Counter


class PolicyTold(Value, frozen=True, tag=91):
    """S14, S16: the newest policy that the sender knows durably; only voters of the epoch say so.

    Args:
        id: of the question.
        epoch: the epoch in which the sender votes.
        newest: the number of that policy; 0: none.
        max_age_ms: for how long its answers are good at most, as the sender is set.
    """

    id: Counter
    epoch: Counter
    newest: Counter
    max_age_ms: Counter
