"""Growth: whether claims, memory and restarts cost more with more keys."""

from ..bench import Bench
from ..load import Load
from ..plots import growth
from ..report import P50_MS, P99_MS, PER_S, SERVER_CPU, Column
from ..systems.cluster import Cluster, running
from ..systems.decreed import DecreedSystem
from .memory import fill, footprint, restarts
from .suite import Suite

NAME = "growth"
SHARES = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0)
MOST = 3
"""The largest number of keys, as a multiple of the settings' keys."""


def run(bench: Bench) -> None:
    """decreed alone, with more and more keys."""
    cluster = bench.cluster(DecreedSystem)
    with bench.attempt("growth"), running([cluster]):
        bench.warm_up(cluster)
        present = 0
        for keys in marks(bench):
            if keys > present:
                fill(bench, cluster, keys - present)
                present = keys
            present += _measure(bench, cluster, present)


def marks(bench: Bench) -> list[int]:
    """The numbers of keys at which it is measured."""
    if bench.settings.short:
        return [1000, bench.settings.keys // 4]
    return [int(MOST * bench.settings.keys * share) for share in SHARES]


def _measure(bench: Bench, cluster: Cluster, keys: int) -> int:
    done = 0
    for repeat in range(bench.settings.repeats):
        found = bench.load(cluster, bench.timed(Load(outstanding=64)))
        done += found["done"]
        sizes = footprint(bench, cluster) | {"keys": keys}
        if repeat == 0 and not bench.settings.short:
            sizes |= restarts(bench, cluster)
        bench.record(NAME, f"{keys:,} keys", cluster, found | sizes, repeat=repeat)
    return done


SUITE = Suite(
    NAME,
    "Growth: claims, 64 outstanding, with ever more keys there",
    (
        SERVER_CPU,
        PER_S,
        P50_MS,
        P99_MS,
        Column("memory_mb", "memory MB a node"),
        Column("disk_mb", "disk MB a node"),
        Column("restart_ms", "restart ms"),
    ),
    run,
    growth,
)
