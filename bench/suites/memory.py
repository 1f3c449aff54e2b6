"""Memory and disk per node with many keys, and how long a restart with them takes."""

import time
from dataclasses import replace

from ..bench import Bench
from ..load import Load, Outcome
from ..measure import disk_mb, memory_mb
from ..plots import bars
from ..report import Column
from ..systems.cluster import Cluster, running
from .cold import first_claim
from .suite import Suite

NAME = "memory"
MEMORY = Column("memory_mb", "memory MB a node")
COLUMNS = (
    MEMORY,
    Column("disk_mb", "disk MB a node"),
    Column("keys", "keys"),
    Column("per_s", "keys per s"),
    Column("server_cpu_us", "server CPU us/key"),
    Column("restart_ms", "restart of one node ms"),
    Column("restart_all_ms", "restart of all ms"),
)
FILL_S = 900.0
SETTLE_S = 3.0


def run(bench: Bench) -> None:
    """One system after another: together they would not fit into memory."""
    for system in bench.systems:
        cluster = bench.cluster(system)
        with bench.attempt(f"memory of {cluster.name}"), running([cluster]):
            _one(bench, cluster)


def _one(bench: Bench, cluster: Cluster) -> None:
    bench.record(NAME, "no keys", cluster, footprint(bench, cluster))
    most = bench.settings.keys
    for keys in (most,) if bench.settings.short else (most // 10, most):
        filled = fill(bench, cluster, keys)
        figures = footprint(bench, cluster) | filled | restarts(bench, cluster)
        bench.record(NAME, f"{keys:,} keys", cluster, figures)


def fill(bench: Bench, cluster: Cluster, keys: int, value_size: int = 64) -> Outcome:
    """Claim `keys` keys, or as many as fit into 15 minutes."""
    outstanding, batch = (8, 100) if cluster.name == "decreed" else (256, 1)
    seconds = 2.0 if bench.settings.short else FILL_S
    load = Load(
        outstanding=outstanding, batch=batch, count=keys, warm_up=0.0, seconds=seconds, clients=3
    )
    load = replace(load, value_size=value_size)
    found = bench.load(cluster, load)
    return {
        "keys": found["done"],
        "per_s": found["per_s"],
        "server_cpu_us": found["server_cpu_us"],
        "load_s": found["elapsed_s"],
    }


def footprint(bench: Bench, cluster: Cluster) -> dict[str, float]:
    """The memory and disk space of the largest node, after a pause."""
    time.sleep(0.2 if bench.settings.short else SETTLE_S)
    nodes = range(cluster.size)
    return {
        "memory_mb": max(memory_mb(pid) for pid in cluster.pids),
        "disk_mb": max(disk_mb(cluster.data(node)) for node in nodes),
    }


def restarts(bench: Bench, cluster: Cluster) -> dict[str, float]:
    """Kill and restart one node, then all; milliseconds until they acknowledge a claim."""
    began = time.monotonic_ns()
    cluster.kill(0)
    cluster.start_node(0)
    one = first_claim(bench, cluster, (0,)) - began
    if bench.settings.short:
        return {"restart_ms": one / 1e6}
    cluster.await_serving()
    cluster.end()
    began = time.monotonic_ns()
    cluster.start_again(wait=False)
    everybody = first_claim(bench, cluster) - began
    cluster.await_serving()
    memory = max(memory_mb(pid) for pid in cluster.pids)
    return {
        "restart_ms": one / 1e6,
        "restart_all_ms": everybody / 1e6,
        "memory_after_restart_mb": memory,
    }


SUITE = Suite(NAME, "Memory, disk and restart", COLUMNS, run, bars(MEMORY))
