"""Scrubs in storms: no rule of Paxos is broken by a repair, and no fault but damage is an alarm."""

from .batch import run_storm
from .plan import Plan
from .scrubstorm import ChangingScrubStorm, ScrubStorm

SEEDS = range(6, 19)


def test_every_rule_holds_while_nodes_scrub_and_repair() -> None:
    begun = repairs = 0
    for seed in SEEDS:
        storm = ScrubStorm(Plan(seed))
        run = run_storm(storm)
        assert not run.failure, f"{run}\n{run.story}"
        begun += storm.begun
        repairs += storm.world.repairs
    assert begun > 100 and repairs >= 3


def test_every_rule_holds_while_nodes_scrub_and_the_members_change() -> None:
    """A block hides a record that memory has: it is not said to be gone."""
    storm = ChangingScrubStorm(Plan(1081, mood="damaged keys"))
    run = run_storm(storm)
    assert not run.failure, f"{run}\n{run.story}"
    assert storm.begun > 50
