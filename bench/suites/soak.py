"""Soak: a long load at one rate. Do memory, open files or latency grow? How long are stalls?

The rate is half of the peak, or that of the settings. Beside it runs a bare sync of 4 KiB, since a
stall during which the disk itself stood still says nothing of decreed: those seconds are left out, and
counted. Nodes may be killed meanwhile, one after the other; each starts again after some seconds.
"""

import threading
import time
from dataclasses import replace

from ..bare_disk import BareDisk
from ..bench import Bench
from ..load import Load, Outcome
from ..measure import memory_mb, open_files, percentile
from ..plots import soak
from ..report import P50_MS, P99_MS, PER_S, SERVER_CPU, Column
from ..stalls import SLOW_DISK_MS, STALL_MS, figures
from ..systems.cluster import Cluster, running
from ..systems.decreed import DecreedSystem
from .suite import Suite

NAME = "soak"
CELL_MS = 1000.0
DEAD_S = 5.0
"""How long a killed node stays away."""
PATIENCE_S = 0.1
"""With kills, an operation is tried at another node after this time."""


def run(bench: Bench) -> None:
    """decreed alone: find its peak, then run half of it for the time in the settings."""
    cluster = bench.cluster(DecreedSystem)
    with bench.attempt("soak"), running([cluster]):
        bench.warm_up(cluster)
        rate = bench.settings.rate or half_of_the_peak(bench, cluster)
        seconds = 2.0 if bench.settings.short else bench.settings.minutes * 60
        load = Load(outstanding=256, rate=rate, seconds=seconds, warm_up=1.0, series_ms=CELL_MS)
        if bench.settings.kills:
            load = replace(load, robust=True, eager=True, patience=PATIENCE_S)
        finish = bench.begin(cluster, load)
        sizes, disk = Sizes(cluster, every_s=seconds / 100), BareDisk(cluster.folder)
        kill_in_turn(cluster, bench.settings.kills, seconds)
        found = finish()
        found |= sizes.end() | trend(found) | figures(found, disk.end())
        work = f"{rate:,.0f} claims/s for {seconds / 60:.1f} min, {bench.settings.kills} kills"
        bench.record(NAME, work, cluster, found)


def half_of_the_peak(bench: Bench, cluster: Cluster) -> float:
    """Half of the claims a second that 64 outstanding make."""
    return float(bench.load(cluster, bench.timed(Load(outstanding=64)))["per_s"]) / 2


def kill_in_turn(cluster: Cluster, kills: int, seconds: float) -> None:
    """Kill the nodes in turn, evenly over some seconds, and start each again; returns after that."""
    pause_s = seconds / (kills + 1)
    dead_s = min(DEAD_S, pause_s / 2)
    for number in range(kills):
        time.sleep(pause_s - dead_s)
        node = number % cluster.size
        cluster.kill(node)
        time.sleep(dead_s)
        cluster.start_node(node)


class Sizes:
    """Samples memory and open files while a load runs; killed nodes are not there to be sampled.

    Args:
        cluster: the cluster.
        every_s: seconds between two samples.
    """

    def __init__(self, cluster: Cluster, every_s: float) -> None:
        self._cluster = cluster
        self._every_s = every_s
        self._seen: list[tuple[float, float, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(self._every_s):
            pids = self._cluster.pids
            memory = max(map(memory_mb, pids))
            self._seen.append((time.monotonic(), memory, max(map(open_files, pids))))

    def end(self) -> Outcome:
        """Stop; returns the first, a middle and the last sample, and all of them."""
        self._ended.set()
        self._thread.join()
        first, middle, last = self._seen[0], self._seen[len(self._seen) // 2], self._seen[-1]
        return {
            "memory_first_mb": first[1],
            "memory_middle_mb": middle[1],
            "memory_last_mb": last[1],
            "files_first": first[2],
            "files_last": last[2],
            "sizes": [[moment - first[0], memory, files] for moment, memory, files in self._seen],
        }


def trend(found: Outcome) -> dict[str, float]:
    """The first and the last fifth compared, and the worst."""
    cells = [cell for cell in found["series"] if cell[0]]
    fifth = max(1, len(cells) // 5)
    worst = sorted(cell[3] / 1e3 for cell in cells)
    return {
        "p99_first_ms": sum(cell[2] for cell in cells[:fifth]) / fifth / 1e3,
        "p99_last_ms": sum(cell[2] for cell in cells[-fifth:]) / fifth / 1e3,
        "worst_ms": worst[-1],
        "typical_worst_ms": percentile(worst, 0.5),
    }


SUITE = Suite(
    NAME,
    "Soak",
    (
        PER_S,
        P50_MS,
        P99_MS,
        SERVER_CPU,
        Column("p99_first_ms", "p99 ms, first fifth"),
        Column("p99_last_ms", "last fifth"),
        Column("stalls", f"seconds with a stall over {STALL_MS:.0f} ms"),
        Column("stalls_by_disk", f"left out: a bare sync took over {SLOW_DISK_MS:.0f} ms"),
        Column("bare_sync_worst_ms", "worst bare sync ms"),
        Column("worst_ms", "worst ms"),
        Column("memory_first_mb", "memory MB, first"),
        Column("memory_last_mb", "last"),
        Column("files_first", "files, first"),
        Column("files_last", "last"),
    ),
    run,
    soak,
)
