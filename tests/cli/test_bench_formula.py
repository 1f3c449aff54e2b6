"""The formula of `decreed bench`: its parts, its bounds, and what it is given."""

import pytest

from decreed.cli.bench import processor
from decreed.cli.bench.disk import DiskReport
from decreed.cli.bench.expectation import Here, expected
from decreed.cli.bench.figures import CLAIMS, Figures, Latencies
from decreed.cli.bench.formula import (
    REFERENCE_CPU_US,
    Conditions,
    claims_per_s,
    cores_at_work,
    homes_at_work,
    reference_cpu_us,
    round_s,
    syncs_in_a_row,
)
from decreed.cli.bench.view import expectation_lines

HERE = Here(cores=2, slowness=1.5)
LOCAL = ("127.0.0.1:1", "127.0.0.1:2", "[::1]:3")
REMOTE = ("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1")


def disk(sync_s: float) -> DiskReport:
    syncs = Latencies()
    syncs.add(sync_s)
    return DiskReport(".", syncs)


def claims(count: int, seconds: float, cpu_seconds: float) -> Figures:
    figures = Figures(CLAIMS, seconds, cpu_seconds)
    for _ in range(count):
        figures.latencies.add(0.01)
    return figures


def test_one_claim_waits_for_its_own_work_and_one_sync() -> None:
    at = Conditions(nodes=3, cores=1, sync_ms=8.0, cpu_us=2_000, outstanding=1)
    assert syncs_in_a_row(3, 1) == pytest.approx(1.0)
    assert round_s(at) == pytest.approx(0.010)
    assert claims_per_s(at) == pytest.approx(100)


def test_many_claims_wait_for_the_syncs_of_all_homes_and_share_the_cores() -> None:
    at = Conditions(nodes=3, cores=2, sync_ms=2.0, cpu_us=100, outstanding=256)
    assert homes_at_work(3, 256) == pytest.approx(3)
    assert syncs_in_a_row(3, 256) == pytest.approx(2.7)
    assert claims_per_s(at) == pytest.approx(256 / (256 * 100e-6 / 2 + 2.7 * 2e-3))


@pytest.mark.parametrize(
    ("nodes", "cores", "outstanding", "at_work"),
    [(3, 2, 1, 1.03125), (3, 2, 64, 2), (3, 8, 256, 3), (3, 1, 1, 1), (1, 4, 64, 1)],
)
def test_cores_at_work_are_bounded_by_cores_nodes_and_the_load(
    nodes: int, cores: int, outstanding: int, at_work: float
) -> None:
    assert cores_at_work(Conditions(nodes, cores, 1.0, 1.0, outstanding)) == at_work


def test_a_single_node_syncs_once_a_round() -> None:
    assert syncs_in_a_row(1, 256) == 1.0


def test_a_client_is_one_process_and_bounds_the_rate() -> None:
    at = Conditions(nodes=3, cores=24, sync_ms=0.1, cpu_us=10, outstanding=256, client_us=100)
    assert claims_per_s(at) == 10_000


def test_the_processor_time_is_that_of_the_page_and_between_its_figures_falls() -> None:
    for outstanding, cpu_us in REFERENCE_CPU_US.items():
        assert reference_cpu_us(outstanding) == cpu_us
    found = [reference_cpu_us(outstanding) for outstanding in range(1, 400)]
    assert found == sorted(found, reverse=True)
    assert reference_cpu_us(4096) == min(REFERENCE_CPU_US.values())


def test_nodes_on_this_machine_share_its_cores_with_the_client() -> None:
    found = expected(claims(1_000, 1.0, 0.1), disk(2e-3), LOCAL, HERE, 64)
    assert found is not None and found.shared and found.seen_per_s == 1_000
    assert (found.at.nodes, found.at.cores) == (3, 2)
    assert found.at.sync_ms == pytest.approx(2, rel=0.03)
    assert found.at.client_us == pytest.approx(100)
    assert found.at.cpu_us == pytest.approx(REFERENCE_CPU_US[64] * 1.5 + 100)
    assert "3 nodes share this machine's 2 cores" in expectation_lines(found)[0]


def test_nodes_elsewhere_are_taken_to_be_like_this_machine() -> None:
    found = expected(claims(1_000, 1.0, 0.1), disk(2e-3), REMOTE, HERE, 64)
    assert found is not None and not found.shared
    assert (found.at.cores, found.at.cpu_us) == (6, REFERENCE_CPU_US[64] * 1.5)
    assert "if they are like this machine, 6 cores" in expectation_lines(found)[0]


def test_without_claims_or_nodes_there_is_nothing_to_expect() -> None:
    assert expected(claims(0, 1.0, 0.1), disk(2e-3), LOCAL, HERE, 64) is None
    assert expected(claims(9, 1.0, 0.1), disk(2e-3), (), HERE, 64) is None


def test_the_slowness_of_a_processor_is_the_best_of_some_trials() -> None:
    ticks = iter(
        moment
        for trial in range(processor.TRIALS)
        for moment in (10.0 * trial, 10.0 * trial + (trial + 2) * processor.REFERENCE_S)
    )
    assert processor.slowness(lambda: next(ticks)) == pytest.approx(2.0)
    assert processor.usable_cores() >= 1
