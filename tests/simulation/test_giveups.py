"""A contender that gives up, at any point, makes no other wait for a lease.

`DECREED_SEEDS=17-17 pytest tests/simulation` runs one seed again.
"""

import pytest

from .giveups import GiveUpStorm
from .seeds import Seeds

SEEDS = Seeds("1-40", block=20)
SEEN = (
    "a contender gave up while asking",
    "a contender gave up while confirming",
    "a contender gave up while holding",
    "a contender's links broke while giving up",
    "a contender was cut off while giving up",
    "a quorum took a give-up",
)


@pytest.mark.parametrize("first", SEEDS.blocks)
def test_a_lock_that_was_given_up_is_had_by_another_at_once(first: int) -> None:
    SEEDS.run(first, GiveUpStorm)


def test_everything_that_matters_to_give_ups_has_happened() -> None:
    assert not SEEDS.missing(SEEN)
