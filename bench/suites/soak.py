"""Soak: a long load at half of the peak. Do memory, open files or latency grow? How long are stalls?"""

import threading
import time

from ..bench import Bench
from ..load import Load, Outcome
from ..measure import memory_mb, open_files, percentile
from ..plots import soak
from ..report import P50_MS, P99_MS, PER_S, SERVER_CPU, Column
from ..systems.cluster import Cluster, running
from ..systems.decreed import DecreedSystem
from .suite import Suite

NAME = "soak"
STALL_MS = 100.0
CELL_MS = 1000.0


def run(bench: Bench) -> None:
    """decreed alone: find its peak, then run half of it for the time in the settings."""
    cluster = bench.cluster(DecreedSystem)
    with bench.attempt("soak"), running([cluster]):
        bench.warm_up(cluster)
        peak = bench.load(cluster, bench.timed(Load(outstanding=64)))["per_s"]
        seconds = 2.0 if bench.settings.short else bench.settings.minutes * 60
        load = Load(outstanding=256, rate=peak / 2, seconds=seconds, warm_up=1.0, series_ms=CELL_MS)
        finish = bench.begin(cluster, load)
        sizes = Sizes(cluster, every_s=seconds / 100)
        found = finish()
        found |= sizes.end() | trend(found)
        work = f"{peak / 2:,.0f} claims/s for {seconds / 60:.1f} min"
        bench.record(NAME, work, cluster, found)


class Sizes:
    """Samples memory and open files while a load runs.

    Args:
        cluster: the cluster.
        every_s: seconds between two samples.
    """

    def __init__(self, cluster: Cluster, every_s: float) -> None:
        self._pids = cluster.pids
        self._every_s = every_s
        self._seen: list[tuple[float, float, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(self._every_s):
            memory = max(map(memory_mb, self._pids))
            self._seen.append((time.monotonic(), memory, max(map(open_files, self._pids))))

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
    """The first and the last fifth compared, and the stalls."""
    cells = [cell for cell in found["series"] if cell[0]]
    fifth = max(1, len(cells) // 5)
    worst = sorted(cell[3] / 1e3 for cell in cells)
    return {
        "p99_first_ms": sum(cell[2] for cell in cells[:fifth]) / fifth / 1e3,
        "p99_last_ms": sum(cell[2] for cell in cells[-fifth:]) / fifth / 1e3,
        "stalls": float(sum(taken > STALL_MS for taken in worst)),
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
        Column("stalls", "seconds with a stall over 100 ms"),
        Column("worst_ms", "worst ms"),
        Column("memory_first_mb", "memory MB, first"),
        Column("memory_last_mb", "last"),
        Column("files_first", "files, first"),
        Column("files_last", "last"),
    ),
    run,
    soak,
)
