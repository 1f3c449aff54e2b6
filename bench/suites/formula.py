"""The formula for claims a second beside what is seen: on one core and two, on slower disks.

The processor time of a claim comes from the first conditions alone, in each round; for all others the
formula predicts before anything is seen there.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import NamedTuple

from decreed.cli.bench.formula import Conditions, claims_per_s, cpu_s
from decreed.cli.bench.processor import usable_cores

from ..bare_disk import BareDisk
from ..bench import Bench
from ..load import Load, Outcome
from ..measure import busy_seconds, cpu_seconds
from ..plots import prediction
from ..report import P50_MS, P99_MS, PER_S, SERVER_CPU, Column
from ..results import lines
from ..systems.cluster import running
from ..systems.conditions import ConditionedSystem, build_shim
from .in_turn import WARM_UP_S, rotated
from .suite import Suite

NAME = "formula"
OUTSTANDING = (1, 16, 64, 256)
WITHIN = 0.3
EVERY_S = 0.02
"""How often a bare sync is made beside a load."""
PREDICTED = Column("predicted_per_s", "predicted")
FIT = Column("fit", "seen ÷ predicted")
SYNC = Column("sync_ms", "sync ms")
IN_A_ROW = Column("syncs_in_a_row", "syncs in a row, as seen")
OTHERS = Column("others", "cores that other work used")


class Machine(NamedTuple):
    """The conditions of one cluster.

    Args:
        cores: how many its nodes share.
        delay_ms: how much longer each sync takes.
    """

    cores: int
    delay_ms: float

    def __str__(self) -> str:
        named = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"{named}, syncs {self.delay_ms:g} ms longer" if self.delay_ms else named


class Seen(NamedTuple):
    """One load under one of the conditions.

    Args:
        outcome: what it did.
        sync_ms: how long a sync took meanwhile: the median of bare ones beside it, and the delay.
        others: how many cores other work used meanwhile.
    """

    outcome: Outcome
    sync_ms: float
    others: float


def machines() -> Sequence[Machine]:
    """The conditions; the first are those that the others are predicted from."""
    most = min(2, usable_cores())
    found = [Machine(most, 0.0), Machine(1, 0.0), Machine(most, 2.0), Machine(1, 2.0)]
    return [*dict.fromkeys([*found, Machine(most, 8.0)])]


def run(bench: Bench) -> None:
    """All clusters are up and get the same loads in turn."""
    if reason := ConditionedSystem.missing():
        bench.say(f"formula: skipped, {reason}")
        return
    with bench.attempt("the formula"):
        clusters = {machine: _cluster(bench, machine) for machine in machines()}
        with running([*clusters.values()]):
            for cluster in clusters.values():
                bench.warm_up(cluster)
            for repeat in range(bench.settings.repeats):
                for outstanding in OUTSTANDING:
                    load = replace(bench.timed(Load(outstanding=outstanding)), warm_up=WARM_UP_S)
                    seen = _round(bench, clusters, load, repeat)
                    for machine, figures in compared(seen, load).items():
                        work = f"claim, {outstanding} outstanding, {machine}"
                        bench.record(NAME, work, clusters[machine], figures, repeat=repeat)
        bench.say(verdict(bench))


def _cluster(bench: Bench, machine: Machine) -> ConditionedSystem:
    folder = bench.settings.scratch / f"formula-{time.monotonic_ns()}"
    cores = tuple(sorted(os.sched_getaffinity(0))[-machine.cores :])
    shim = build_shim(bench.settings.scratch) if machine.delay_ms else None
    return ConditionedSystem(folder, cores=cores, delay_ms=machine.delay_ms, shim=shim)


def _round(
    bench: Bench, clusters: Mapping[Machine, ConditionedSystem], load: Load, repeat: int
) -> dict[Machine, Seen]:
    seen: dict[Machine, Seen] = {}
    for machine in rotated([*clusters], repeat):
        cluster = clusters[machine]
        began, before, own = time.monotonic(), busy_seconds(), _cpu_of(cluster)
        disk = BareDisk(cluster.folder, EVERY_S)
        try:
            outcome = bench.load(cluster, load)
        finally:
            bare_ms = [sync.ms for sync in disk.end()]
        others = busy_seconds() - before - (_cpu_of(cluster) - own) - outcome["client_cpu_s"]
        share = max(0.0, others) / (time.monotonic() - began)
        seen[machine] = Seen(outcome, median(bare_ms) + machine.delay_ms, share)
    return seen


def _cpu_of(cluster: ConditionedSystem) -> float:
    return sum(map(cpu_seconds, cluster.pids))


def compared(seen: Mapping[Machine, Seen], load: Load, nodes: int = 3) -> dict[Machine, Outcome]:
    """What was seen in one round, with what the formula says.

    Args:
        seen: under each of the conditions.
        load: what was asked.
        nodes: of each cluster.
    """
    base = machines()[0]
    cpu_us = seen[base].outcome["server_cpu_us"]
    found: dict[Machine, Outcome] = {}
    for machine, (outcome, sync, others) in seen.items():
        at = Conditions(nodes, machine.cores, sync, cpu_us, load.outstanding)
        took_s = load.outstanding / outcome["per_s"]
        busy_s = cpu_s(replace(at, cpu_us=outcome["server_cpu_us"]))
        found[machine] = outcome | {
            "predicted_per_s": claims_per_s(at),
            "fit": outcome["per_s"] / claims_per_s(at),
            "sync_ms": sync,
            "others": others,
        }
        if machine.delay_ms:  # otherwise syncs are too short to tell their number from the time
            found[machine]["syncs_in_a_row"] = (took_s - busy_s) * 1e3 / sync
    return found


def verdict(bench: Bench) -> str:
    """In how many rows the formula held."""
    fits = [line.median("fit") or 0.0 for line in lines(bench.of(NAME))]
    held = sum(holds(fit) for fit in fits)
    return f"formula: within {WITHIN:.0%} in {held} of {len(fits)} rows, by their medians"


def holds(fit: float) -> bool:
    """Whether what was seen is as predicted, by at most `WITHIN`."""
    return 1.0 - WITHIN <= fit <= 1.0 + WITHIN


SUITE = Suite(
    NAME,
    "Predicted and seen",
    (PER_S, PREDICTED, FIT, P50_MS, P99_MS, SERVER_CPU, SYNC, IN_A_ROW, OTHERS),
    run,
    prediction,
)
