"""Locks in storms: two validities never overlap, and a client that waits gets the lock in time.

`DECREED_SEEDS=17-17 pytest tests/simulation` runs one seed again.
"""

import pytest

from .changing_locks import lock_storm_of
from .seeds import Seeds

SEEDS = Seeds("1-30", block=10)
SEEN = (
    "granted",
    "the lock was held",
    "a holder released",
    "a holder was superseded",
    "a validity lapsed",
    "a claim was its own first keep-alive",
    "a keep-alive was sent twice",
    "a loser released",
    "an operator broke a term",
    "a term ended: RELEASED",
    "a term ended: EXPIRED",
    "a term ended: BROKEN",
    "a contender paused while holding",
    "a contender was cut off while holding",
    "a contender died while confirming",
    "a contender gave up while asking",
    "a contender gave up while confirming",
    "a contender gave up while holding",
    "a contender's links broke while giving up",
    "a quorum took a give-up",
    "a thief showed a secret of his own",
    "the members changed",
)


@pytest.mark.parametrize("first", SEEDS.blocks)
def test_whatever_happens_two_holders_never_overlap(first: int) -> None:
    SEEDS.run(first, lock_storm_of)


def test_everything_that_matters_to_locks_has_happened() -> None:
    assert not SEEDS.missing(SEEN)
