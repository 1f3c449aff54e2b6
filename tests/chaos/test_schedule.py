"""A schedule is drawn from its seed, and has every kind of fault."""

import random
from itertools import islice

from .schedule import Deck, deck_after_deck, one_of_each

NODES = ["n1", "n2", "n3"]
KINDS = {
    "clock jump",
    "dead link",
    "dead link to clients",
    "flapping link",
    "full disk",
    "kill all",
    "kill one",
    "kill two",
    "lossy links",
    "one-way cut",
    "partition of one",
    "pause all",
    "pause one",
    "pause two",
    "reset link",
    "slow links",
    "split",
    "stop gracefully",
    "wiped directory",
}


def test_a_short_schedule_has_each_kind_once() -> None:
    names = [planned.fault.name for planned in one_of_each(1, NODES, clocks=True)]
    assert sorted(names) == sorted(KINDS)


def test_clocks_that_cannot_jump_are_left_out() -> None:
    names = {fault.name for fault in Deck(NODES, random.Random(1), clocks=False).deal()}
    assert names == KINDS - {"clock jump"}


def test_the_same_seed_draws_the_same_schedule() -> None:
    drawn = [
        [str(planned) for planned in islice(deck_after_deck(seed, NODES, True), 100)]
        for seed in (7, 7, 8)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {line[:22].strip() for line in drawn[0]} == KINDS | {"two at once"}
