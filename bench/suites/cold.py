"""Cold start: from starting the nodes to the first acknowledged claim, on empty and on full disks."""

import time

from ..bench import Bench
from ..load import Load
from ..plots import bars
from ..report import Column
from ..systems.cluster import Cluster
from .suite import Suite

NAME = "cold"
FIRST = Column("first_ms", "ms to the first claim")


def run(bench: Bench) -> None:
    """Each system alone, since starting uses the whole machine."""
    for repeat in range(bench.settings.repeats):
        for system in bench.systems:
            cluster = bench.cluster(system)
            try:
                with bench.attempt(f"cold start of {cluster.name}"):
                    _one(bench, cluster, repeat)
            finally:
                cluster.end()
                cluster.wipe()


def _one(bench: Bench, cluster: Cluster, repeat: int) -> None:
    began = time.monotonic_ns()
    cluster.start(wait=False)
    record(bench, "empty nodes to the first claim", cluster, began, repeat)
    if bench.settings.short:
        return
    cluster.await_serving()
    cluster.end()
    began = time.monotonic_ns()
    cluster.start_again(wait=False)
    record(bench, "restart of all nodes", cluster, began, repeat)


def record(bench: Bench, work: str, cluster: Cluster, began: int, repeat: int) -> None:
    """Wait for the first claim, and record how long it took since `began` (nanoseconds)."""
    taken = first_claim(bench, cluster) - began
    bench.record(NAME, work, cluster, {"first_ms": taken / 1e6}, repeat=repeat)


def first_claim(bench: Bench, cluster: Cluster, nodes: tuple[int, ...] = ()) -> int:
    """When the first claim is acknowledged, on the monotonic clock in nanoseconds."""
    asked = len(nodes) or cluster.size
    load = Load(
        outstanding=asked,
        clients=asked,
        count=1,
        eager=True,
        warm_up=0.0,
        seconds=90.0,
        nodes=nodes,
        patience=0.1,
    )
    if cluster.protocol:
        return int(bench.load(cluster, load)["first_ack_ns"])
    # a system that runs its own load must be up first
    cluster.await_serving()
    bench.load(cluster, load)
    return time.monotonic_ns()


SUITE = Suite(NAME, "Cold start", (FIRST,), run, bars(FIRST))
