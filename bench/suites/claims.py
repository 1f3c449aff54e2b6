"""Claims: create if absent, with ever more outstanding; many keys a call; many clients for one key."""

from ..bench import Bench
from ..load import Load
from ..plots import latency_against_load
from ..report import CLIENT_CPU, P50_MS, P99_MS, PER_S, SERVER_CPU
from ..systems.cluster import Cluster
from .suite import Suite

NAME = "claims"


def works(bench: Bench) -> dict[str, Load]:
    """What is asked of every system."""
    settings = bench.settings
    outstanding = (1, 64, 256) if settings.short else (1, 4, 16, 64, 256, 512)
    found = {
        f"claim, {count} outstanding": Load(
            outstanding=count, seconds=settings.seconds, warm_up=settings.warm_up
        )
        for count in outstanding
    }
    one_key = Load(op="contend", clients=64, seconds=settings.seconds, warm_up=settings.warm_up)
    return found | {"64 clients claim one key (keys)": one_key}


def batches(bench: Bench) -> dict[str, Load]:
    """What only decreed has: many keys in one call."""
    seconds, warm_up = bench.settings.seconds, bench.settings.warm_up
    return {
        f"claim_many, 100 keys a call, {calls} at a time (keys)": Load(
            outstanding=calls, clients=1, batch=100, seconds=seconds, warm_up=warm_up
        )
        for calls in (1, 8)
    }


def run(bench: Bench) -> None:
    """All works on all systems, interleaved."""
    asked = works(bench) | batches(bench)
    with bench.clusters() as clusters:
        for repeat, work, cluster in bench.turns(list(asked), clusters):
            if _fits(asked[work], cluster):
                with bench.attempt(f"{work} on {cluster.name}"):
                    outcome = bench.load(cluster, asked[work])
                    bench.record(NAME, work, cluster, outcome, repeat=repeat)


def _fits(load: Load, cluster: Cluster) -> bool:
    return bool(cluster.protocol) and (load.batch == 1 or cluster.name == "decreed")


SUITE = Suite(
    NAME,
    "Claims",
    (PER_S, P50_MS, P99_MS, SERVER_CPU, CLIENT_CPU),
    run,
    latency_against_load,
)
