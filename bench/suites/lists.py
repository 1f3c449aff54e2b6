"""Lists: the cost of a page with 1 and 50 listers, their effect on claims, and what load remains."""

import signal
import subprocess
import time
from dataclasses import replace

from decreed.client import sync

from ..bench import LIBRARY, Bench
from ..clients import Library
from ..load import Load, Outcome, outcome
from ..measure import cpu_seconds
from ..report import P50_MS, P99_MS, PER_S, SERVER_CPU, Column
from ..systems.cluster import Cluster, running
from ..systems.decreed import DecreedSystem
from .memory import fill
from .suite import Suite

NAME = "lists"
LISTERS = 50
MOST_KEYS = 300_000
CLAIMS = 8
IDLE_S = 1.0
NICE = ("nice", "-n", "19")
PAGES_PER_CPU = Column("per_cpu_s", "pages per s of node CPU")
AFTER_MS = Column("after_ms", "a page right after they left, ms")
LEFT = Column("left_cpu_s", "node CPU s in the second after that")


def run(bench: Bench) -> None:
    """decreed alone: pages by 1 and by 50 listers, then claims without and with listers."""
    cluster = bench.cluster(DecreedSystem)
    with bench.attempt("lists"), running([cluster]):
        fill(bench, cluster, min(bench.settings.keys, MOST_KEYS))
        for repeat in range(bench.settings.repeats):
            for listers in (1, LISTERS):
                _pages(bench, cluster, listers, repeat)
            _claims(bench, cluster, repeat)


def _pages(bench: Bench, cluster: Cluster, listers: int, repeat: int) -> None:
    """Run listers, each of which lists all keys repeatedly; then they are killed."""
    load = bench.timed(Load(op="list", outstanding=listers, clients=listers, prefix="-"))
    found = outcome(Library.begin(cluster, load), load)
    found["per_cpu_s"] = found["done"] / max(found["server_cpu_s"], 1e-3)
    bench.record(NAME, f"{listers} listing", cluster, found, repeat=repeat, way=LIBRARY)


def _claims(bench: Bench, cluster: Cluster, repeat: int) -> None:
    """Claims alone, then with 50 listers of the lowest priority, which are killed at the end."""
    load = bench.timed(Load(outstanding=CLAIMS))
    alone = bench.load(cluster, load)
    bench.record(NAME, "claims alone", cluster, alone, repeat=repeat)
    listing = bench.timed(Load(op="list", outstanding=LISTERS, clients=LISTERS, prefix="-"))
    listers = Library.begin(cluster, replace(listing, seconds=600.0), NICE)
    try:
        time.sleep(2 * bench.settings.warm_up)
        beside = bench.load(cluster, load)
    finally:
        _kill(listers)
    work = f"claims beside {LISTERS} listing"
    bench.record(NAME, work, cluster, beside | _left(cluster), repeat=repeat)


def _kill(listers: "subprocess.Popen[str]") -> None:
    listers.send_signal(signal.SIGKILL)
    listers.communicate()


def _left(cluster: Cluster) -> Outcome:
    """The nodes' CPU use after all listers have gone, and how long one page takes then."""
    time.sleep(IDLE_S)
    began = time.monotonic()
    with sync.connect(*cluster.addresses(), timeout=120.0) as registry:
        next(iter(registry.list()))
    after_ms = (time.monotonic() - began) * 1e3
    before = sum(map(cpu_seconds, cluster.pids))
    time.sleep(IDLE_S)
    return {
        "after_ms": after_ms,
        "left_cpu_s": sum(map(cpu_seconds, cluster.pids)) - before,
    }


SUITE = Suite(
    NAME,
    "Lists: pages of 256 decrees, and claims beside them",
    (PAGES_PER_CPU, PER_S, P50_MS, P99_MS, SERVER_CPU, AFTER_MS, LEFT),
    run,
)
