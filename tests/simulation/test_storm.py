"""Whole clusters in storms of faults, chosen by seeds.

A failure names its seed: `DECREED_SEEDS=17-17 pytest tests/simulation` runs that one
again, and `DECREED_SEEDS=1-5000` runs many.
"""

import os

import pytest

from .storm import Storm

SEEDS = os.environ.get("DECREED_SEEDS", "1-50")
FIRST, LAST = (int(part) for part in SEEDS.split("-"))
BLOCK = 10


@pytest.mark.parametrize("first", range(FIRST, LAST + 1, BLOCK))
def test_whatever_the_network_the_disks_and_the_nodes_do_every_rule_holds(first: int) -> None:
    for seed in range(first, min(first + BLOCK, LAST + 1)):
        try:
            Storm(seed).run()
        except BaseException as error:
            error.add_note(f"seed {seed}: DECREED_SEEDS={seed}-{seed}")
            raise
