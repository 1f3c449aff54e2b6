"""Failover: how long no claim is acknowledged when a node is killed, or stopped by SIGSTOP."""

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..bench import LIBRARY, PROTOCOL, Bench
from ..clients import Library
from ..load import Load, Outcome, outcome
from ..plots import timeline
from ..report import Column
from ..systems.cluster import Cluster
from ..systems.pysyncobj import PySyncObj
from .suite import Suite

NAME = "failover"
GAP = Column("longest_gap_ms", "longest gap ms")
AFTER = Column("gap_after_ms", "begins after ms")
FAILED = Column("failed", "errors seen")
CELL_MS = 10.0
OUTSTANDING = 32
SILENT_S = 0.1
"""After this silence the generator asks another node of decreed; for other systems, after 0.5 s."""


@dataclass(frozen=True)
class ServerFault:
    """What happens to a node.

    Args:
        work: its name in tables.
        leader: whether the leader is hit; without a leader, any node.
        number: the signal.
    """

    work: str
    leader: bool
    number: signal.Signals


FAULTS = (
    ServerFault("leader or home killed", True, signal.SIGKILL),
    ServerFault("follower killed", False, signal.SIGKILL),
    ServerFault("leader or home paused", True, signal.SIGSTOP),
    ServerFault("follower paused", False, signal.SIGSTOP),
)


def run(bench: Bench) -> None:
    """All faults on all systems that have more than one node, interleaved."""
    faults = FAULTS[:1] if bench.settings.short else FAULTS
    with bench.clusters() as clusters:
        for repeat in range(bench.settings.repeats):
            for fault in faults:
                for cluster in clusters:
                    if cluster.size > 1:
                        _all_ways(bench, cluster, fault, repeat)


def _all_ways(bench: Bench, cluster: Cluster, fault: ServerFault, repeat: int) -> None:
    load = _load(bench, cluster)
    if isinstance(cluster, PySyncObj):
        # the load runs inside a node: choose another one than the victim
        load = replace(load, nodes=((victim(cluster, fault, repeat) + 1) % cluster.size,))
    if bench.drives(cluster, load):
        with bench.attempt(f"{fault.work} on {cluster.name}"):
            start = bench.begin
            _strike(bench, cluster, fault, repeat, PROTOCOL, lambda: start(cluster, load))
    if cluster.name == "decreed" and not Library.missing(cluster):
        with bench.attempt(f"{fault.work} on {cluster.name} by its library"):
            process = Library.begin
            _strike(
                bench,
                cluster,
                fault,
                repeat,
                LIBRARY,
                lambda: _waiter(process(cluster, load), load),
            )


def _waiter(process: "subprocess.Popen[str]", load: Load) -> Callable[[], Outcome]:
    return lambda: outcome(process, load)


def _load(bench: Bench, cluster: Cluster) -> Load:
    return Load(
        outstanding=OUTSTANDING,
        seconds=4.0 if bench.settings.short else 9.0,
        warm_up=0.5,
        robust=True,
        series_ms=CELL_MS,
        patience=SILENT_S if cluster.name == "decreed" else 0.5,
    )


def victim(cluster: Cluster, fault: ServerFault, repeat: int) -> int:
    """The node that is hit; if there is a choice, each in turn."""
    leader = cluster.leader()
    if cluster.name == "decreed":
        return (leader + repeat) % cluster.size
    return leader if fault.leader else (leader + 1 + repeat % (cluster.size - 1)) % cluster.size


def _strike(
    bench: Bench,
    cluster: Cluster,
    fault: ServerFault,
    repeat: int,
    way: str,
    begin: Callable[[], Callable[[], Outcome]],
) -> None:
    struck = victim(cluster, fault, repeat)
    try:
        finish = begin()
        time.sleep(1.0 if bench.settings.short else 3.0)
        moment = time.monotonic_ns()
        _hit(cluster, struck, fault)
        found = finish()
    finally:
        _heal(cluster, struck)
    found["gap_after_ms"] = (found["gap_at_ns"] - moment) / 1e6
    found["struck_after_ms"] = (moment - found["started_ns"]) / 1e6
    bench.record(NAME, fault.work, cluster, found, repeat=repeat, way=way)


def _hit(cluster: Cluster, node: int, fault: ServerFault) -> None:
    if fault.number is signal.SIGKILL:
        cluster.kill(node)
    else:
        cluster.signal(node, fault.number)


def _heal(cluster: Cluster, node: int) -> None:
    if cluster.is_running(node):
        cluster.signal(node, signal.SIGCONT)
    else:
        cluster.start_node(node)
    cluster.await_serving()


SUITE = Suite(NAME, "Failover", (GAP, AFTER, FAILED), run, timeline)
