"""Claims on clusters of 1, 3, 5 and 7 nodes: the cost of each further node."""

from ..bench import Bench
from ..load import Load
from ..plots import throughput_against_nodes
from ..report import P50_MS, P99_MS, PER_S, SERVER_CPU, Column
from ..systems.cluster import Cluster
from .suite import Suite

NAME = "nodes"
PER_CPU = Column("per_cpu_s", "claims per s of server CPU")
PER_NODE = Column("cpu_us_per_node", "CPU us/op and node")


def run(bench: Bench) -> None:
    """One size after another, since they would not fit side by side."""
    for size in (1,) if bench.settings.short else (1, 3, 5, 7):
        with bench.clusters(size) as clusters:
            for repeat in range(bench.settings.repeats):
                for cluster in clusters:
                    if cluster.size == size:
                        _claims(bench, cluster, repeat)


def _claims(bench: Bench, cluster: Cluster, repeat: int) -> None:
    for outstanding in (64,) if bench.settings.short else (64, 256):
        load = bench.timed(Load(outstanding=outstanding))
        work = f"{cluster.size} nodes, claim, {outstanding} outstanding"
        if not bench.drives(cluster, load):
            continue
        with bench.attempt(f"{work} on {cluster.name}"):
            outcome = bench.load(cluster, load)
            outcome["nodes"] = cluster.size
            outcome["per_cpu_s"] = outcome["done"] / max(0.01, outcome["server_cpu_s"])
            outcome["cpu_us_per_node"] = outcome["server_cpu_us"] / cluster.size
            bench.record(NAME, work, cluster, outcome, repeat=repeat)


SUITE = Suite(
    NAME,
    "Cluster sizes",
    (PER_S, P50_MS, P99_MS, SERVER_CPU, PER_CPU, PER_NODE),
    run,
    throughput_against_nodes,
)
