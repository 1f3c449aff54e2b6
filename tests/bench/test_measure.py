"""Percentiles, spreads, and the resources of processes."""

import os
from pathlib import Path

from bench import measure


def test_percentiles_are_values_that_were_measured() -> None:
    ordered = [float(number) for number in range(1, 101)]
    assert measure.percentile(ordered, 0.5) == 50
    assert measure.percentile(ordered, 0.99) == 99
    assert measure.percentile(ordered, 1.0) == 100
    assert measure.percentile([7.0], 0.5) == 7


def test_latency_is_in_microseconds_whatever_the_order() -> None:
    found = measure.latency([3_000, 1_000, 2_000])
    assert (found["n"], found["mean_us"], found["p50_us"], found["max_us"]) == (3, 2, 2, 3)
    assert measure.latency([]) == {}


def test_a_spread_is_the_median_and_both_ends() -> None:
    assert measure.spread([9.0, 1.0, 4.0]) == measure.Spread(4.0, 1.0, 9.0, 3)


def test_the_cpu_time_of_a_process_grows_with_its_work() -> None:
    before = measure.cpu_seconds(os.getpid())
    while measure.cpu_seconds(os.getpid()) == before:
        sum(range(10_000))
    assert measure.memory_mb(os.getpid()) > 1
    assert measure.open_files(os.getpid()) > 2


def test_a_process_that_is_gone_has_zero_figures() -> None:
    gone = 2**22 + 1  # above the kernel's highest
    assert measure.cpu_seconds(gone) == measure.memory_mb(gone) == measure.open_files(gone) == 0


def test_the_disk_is_measured_in_blocks(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(os.urandom(1_000_000))
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(10**9)
    assert 0.9 < measure.disk_mb(tmp_path) < 1.5
