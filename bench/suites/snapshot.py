"""Snapshots: how fast everything is saved, and what a save costs claims at half of the peak."""

import resource
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from ..bench import Bench
from ..load import Load, Outcome
from ..report import Column
from ..systems.cluster import NotReady, running
from ..systems.decreed import DecreedSystem
from .suite import Suite

NAME = "snapshot"
LONGEST_S = 600.0
NICE = ("nice", "-n", "19")
FAST = Column("decrees_per_s", "decrees per s")
MB = Column("mb_per_s", "MB per s")
P99 = Column("p99_ratio", "p99 of claims ÷ without it")
CPU = Column("save_cpu_s", "CPU s of the command")
SAVED = Column("save_s", "s for all of it")
SIZES = {64: 1, 4096: 10}
"""Bytes of a value, and by how much the number of keys is divided."""


def run(bench: Bench) -> None:
    """decreed alone: a cluster for each size of values."""
    for size, part in SIZES.items():
        cluster = DecreedSystem(bench.settings.scratch / f"snapshot-{time.monotonic_ns()}")
        keys = cluster.keys = max(1_000, bench.settings.keys // part)
        cluster.value_size = size
        with bench.attempt(f"snapshots of {size} B"), running([cluster]):
            for repeat in range(bench.settings.repeats):
                work = f"{keys:,} keys of {size} B"
                alone = save(cluster)
                bench.record(NAME, f"{work}, no load", cluster, alone, repeat=repeat)
                bench.record(
                    NAME, f"{work}, half load", cluster, _loaded(bench, cluster), repeat=repeat
                )


def _loaded(bench: Bench, cluster: DecreedSystem) -> Outcome:
    """Save while half as many claims as possible are made, and compare their latencies."""
    peak = bench.load(cluster, bench.timed(Load(outstanding=64)))["per_s"]
    load = bench.timed(Load(outstanding=256, rate=peak / 2))
    before = bench.load(cluster, load)
    end = bench.open_ended(cluster, replace(load, seconds=LONGEST_S))
    try:
        time.sleep(load.warm_up)
        saved = save(cluster)
    finally:
        found = end()
    ratio = found["latency"]["p99_us"] / before["latency"]["p99_us"]
    latencies = {"latency": found["latency"], "latency_before": before["latency"]}
    return saved | latencies | {"p99_ratio": ratio}


def save(cluster: DecreedSystem, keep: Path | None = None) -> Outcome:
    """Run ``decreed snapshot save`` with the lowest priority.

    Args:
        cluster: what is saved.
        keep: the file to keep; by default it is removed.

    Raises:
        NotReady: if it fails.
    """
    path = keep or Path(cluster.folder) / f"snapshot-{time.monotonic_ns()}"
    used = _cpu_s()
    known = cluster.report(0)
    command = [*NICE, cluster.python, "-m", "decreed", "snapshot", "save", str(path)]
    began = time.monotonic()
    done = subprocess.run(
        [*command, "--endpoints", ",".join(cluster.addresses())],
        cwd=cluster.folder, capture_output=True, text=True, timeout=LONGEST_S,
    )  # fmt: skip
    taken = time.monotonic() - began
    if done.returncode or known is None:
        raise NotReady(f"snapshot save ended with {done.returncode}: {done.stderr[-500:]}")
    size = path.stat().st_size / 1e6
    if keep is None:
        path.unlink()
    return {
        "save_s": taken,
        "save_cpu_s": _cpu_s() - used,
        "decrees_per_s": known.decrees / taken,
        "mb_per_s": size / taken,
        "snapshot_mb": size,
    }


def _cpu_s() -> float:
    """The processor time of all processes that were started here and have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


SUITE = Suite(NAME, "Snapshots", (FAST, MB, P99, SAVED, CPU), run)
