"""Catching up: how long a node that missed many decrees takes to get them, while the others serve."""

import time
from pathlib import Path

from ..bench import Bench
from ..load import Load
from ..report import P99_MS, Column
from ..systems.cluster import NotReady, await_that, running
from ..systems.decreed import DecreedSystem
from .suite import Suite

NAME = "catchup"
TAKEN = Column("catch_up_s", "s until it has them")
RATE = Column("decrees_per_s", "decrees per s")
LOST = 2
SERVED_PER_S = 300.0
PATIENCE_S = 600.0


def run(bench: Bench) -> None:
    """Catch up, each time on a new cluster; once only in short mode, since it takes long."""
    missed = 2000 if bench.settings.short else 100_000
    for repeat in range(1 if bench.settings.short else bench.settings.repeats):
        cluster = DecreedSystem(_folder(bench))
        with bench.attempt(f"catching up on {missed:,} decrees"), running([cluster]):
            _one(bench, cluster, missed, repeat)


def _folder(bench: Bench) -> Path:
    return bench.settings.scratch / f"catchup-{time.monotonic_ns()}"


def _one(bench: Bench, cluster: DecreedSystem, missed: int, repeat: int) -> None:
    cluster.kill(LOST)
    fill = Load(outstanding=256, count=missed, warm_up=0.0, seconds=PATIENCE_S, eager=True)
    bench.load(cluster, fill)
    known = cluster.report(0)
    if known is None:
        raise NotReady("the first node does not answer")
    work = f"{missed:,} decrees missed, {SERVED_PER_S:.0f} claims/s meanwhile"
    seconds = 2.0 if bench.settings.short else 10.0
    serving = Load(outstanding=64, rate=SERVED_PER_S, seconds=seconds, warm_up=0.0, eager=True)
    process = bench.begin(cluster, serving)
    began = time.monotonic()
    cluster.start_node(LOST)
    await_that("the node has caught up", lambda: _has(cluster, known.decrees), PATIENCE_S)
    taken = time.monotonic() - began
    served = process()
    figures = {"catch_up_s": taken, "decrees_per_s": missed / taken, "latency": served["latency"]}
    bench.record(NAME, work, cluster, figures, repeat=repeat)


def _has(cluster: DecreedSystem, decrees: int) -> bool:
    report = cluster.report(LOST)
    return report is not None and report.decrees >= decrees


SUITE = Suite(NAME, "Catching up", (TAKEN, RATE, P99_MS), run)
