"""Whole clusters in storms of faults, chosen by seeds.

A failure names its seed: `DECREED_SEEDS=17-17 pytest tests/simulation` runs that one
again, and `DECREED_SEEDS=1-5000` runs many; `python -m tests.simulation` traces and shrinks.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .batch import Summary, run_seed
from .changing_storm import ChangingStorm
from .fingerprints import fingerprint
from .load import Load
from .plan import Plan, parse_plan
from .shrink import shrink
from .storm import Storm
from .storms import storm_of

SEEDS = os.environ.get("DECREED_SEEDS", "301-400")
FIRST, LAST = (int(part) for part in SEEDS.split("-"))
BLOCK = 10
ENOUGH = 90
ROOT = Path(__file__).parent.parent.parent
SCENARIOS = ROOT / "tests" / "scenarios"


@pytest.fixture(scope="module")
def summary() -> Summary:
    """The results of the storms below."""
    return Summary()


@pytest.mark.parametrize("first", range(FIRST, LAST + 1, BLOCK))
def test_every_rule_holds_whatever_network_disks_and_nodes_do(first: int, summary: Summary) -> None:
    for seed in range(first, min(first + BLOCK, LAST + 1)):
        run = run_seed(seed)
        summary.add(run)
        assert not run.failure, f"{run}\nDECREED_SEEDS={seed}-{seed}\n{run.story}"


def test_everything_that_can_happen_has_happened_in_these_storms(summary: Summary) -> None:
    """A storm in which nothing happens breaks no rule, so it proves nothing."""
    if summary.seeds < ENOUGH:
        pytest.skip("these are too few storms to see everything")
    assert not summary.event_counts.missing()
    assert not summary.event_counts.unknown()
    assert summary.decrees > 5 * summary.seeds
    assert summary.claims > 30 * summary.seeds


def test_nodes_that_join_in_a_storm_learn_from_a_snapshot_saved_in_it() -> None:
    storm = storm_of(Plan.drawn(20))
    assert isinstance(storm, ChangingStorm) and storm.seeded is not None
    storm.run()
    assert storm.seeded.learned > 1


def test_thousands_of_claims_of_many_clients_are_decided_and_judged() -> None:
    load = Load(Plan(3), clients=64, claims=400)
    load.run()
    assert load.answered > 300
    assert len(load.world.chosen) > 200


@pytest.mark.parametrize("scenario", sorted(SCENARIOS.glob("*.txt")), ids=lambda path: path.stem)
def test_a_scenario_that_failed_once_passes(scenario: Path) -> None:
    storm_of(parse_plan(scenario.read_text())).run()


def test_a_seed_gives_the_same_trace_in_each_process() -> None:
    """Another process hashes strings differently and prints the same trace."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", "7", "--trace"]
    told = [
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(number)},
            capture_output=True,
            check=True,
        ).stdout.rpartition(b"seed 7:")[0]
        for number in (1, 2)
    ]
    assert told[0] == told[1]
    assert told[0].count(b"\n") > 1_000


def test_a_plan_is_read_back_as_it_was_written() -> None:
    for sound, mood in ((False, ""), (True, "one source left")):
        plan = Plan(17, 45, frozenset({3, 9, 10, 11}), frozenset(range(40)), sound, mood, sound)
        assert parse_plan(plan.text("a reason")) == plan
    with pytest.raises(ValueError, match="no part of a plan"):
        parse_plan("sead 17")


def test_a_failing_run_is_shrunk_to_what_it_needs() -> None:
    def fails(plan: Plan) -> bool:
        """As if the run failed when tick 5 is unlucky and tick 9 asks something."""
        return plan.ticks > 9 and 5 not in plan.calm and 9 not in plan.silent

    small = shrink(Plan(1), fails)
    assert small.ticks == 10
    assert small.sound
    assert small.calm == frozenset(range(10)) - {5}
    assert small.silent == frozenset(range(10)) - {9}


def test_equal_runs_have_equal_fingerprints_and_other_runs_others() -> None:
    """Comparing the fingerprints of two builds shows that a rename changed no behaviour."""
    assert fingerprint(Storm(Plan(5))) == fingerprint(Storm(Plan(5)))
    assert fingerprint(Storm(Plan(5))) != fingerprint(Storm(Plan(6)))
