"""Storms in which nodes obey policies, and each step is judged by these.

`DECREED_SEEDS=17-17 pytest tests/simulation -k polic` runs one seed again, and
`python -m tests.simulation --governed --seed 1-1000` runs many.
"""

import random

import pytest

from decreed.registry.errors import BadRequest
from decreed.registry.policy.document import Right
from decreed.registry.policy.parsing import parse
from decreed.registry.policy.rights import Allowed, Rights

from ..support.world import EPOCH_MS
from .drawn_policies import PREFIXES, drawn_policy, last_policy, wrong_policy
from .governed_clients import EVERYBODY
from .governed_storm import governed_storm_of
from .plan import Plan
from .policy_rules import Rules, covers
from .seeds import Seeds

SEEDS = Seeds("1-26", block=13)
SEEN = (
    "a policy was applied",
    "a policy is in force",
    "a policy is in force before all voters know it",
    "a value was first proposed under a policy",
    "an unconfirmed node answered a read",
    "a node was cut off for long",
    "a node was stopped for long",
    "denied: ClaimRequest",
    "denied: ClaimNextRequest",
    "denied: GetRequest",
    "denied: WaitRequest",
    "denied: LatestRequest",
    "denied: LockRequest",
    "denied: KeepAliveRequest",
    "denied: EndRequest",
    "denied: HolderRequest",
    "denied: MembersRequest",
    "denied: ScrubRequest",
    "denied: PolicyRequest",
)


@pytest.mark.parametrize("first", SEEDS.blocks)
def test_whatever_happens_no_policy_is_passed_by(first: int) -> None:
    SEEDS.run(first, lambda plan: governed_storm_of(Plan.drawn(plan.seed, governed=True)))


def test_everything_that_matters_to_policies_has_happened() -> None:
    assert not SEEDS.missing(SEEN)


def test_the_judge_and_the_node_read_a_policy_alike() -> None:
    """They share no code; where they differed, one of them would be wrong."""
    for seed in range(20):
        chance = random.Random(seed)
        document = drawn_policy(chance)
        rights, rules = Rights(parse(document)), Rules(document)
        for who in EVERYBODY:
            for right in Right:
                for name in (*dict.fromkeys(PREFIXES), "p/c1@3", "$locks/l@2", "$status"):
                    wall_ms = EPOCH_MS + chance.choice([0, 500, 3_000])
                    allowed = rights.may(who, right, name, wall_ms)
                    says = rules.allows(who.recorded, (right.value, name), wall_ms)
                    assert isinstance(allowed, Allowed) == says, (who, right, name)


def test_prefixes_are_whole_segments_to_the_judge_too() -> None:
    assert covers("a/b", "a/b/c@3") and covers("a/b", "a/b") and covers("", "a")
    assert not covers("a/b", "a/bc") and not covers("a", "a1") and not covers("", "$locks/a")


def test_wrong_policies_are_wrong_and_the_last_one_is_right() -> None:
    assert parse(last_policy())
    for seed in range(9):
        with pytest.raises(BadRequest):
            parse(wrong_policy(random.Random(seed)))
