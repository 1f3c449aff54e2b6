"""Reads: of decided and of undecided keys, many at once, from a client's memory; and watches."""

from collections.abc import Sequence
from dataclasses import replace

from ..bench import PROTOCOL, Bench
from ..load import Load
from ..plots import bars
from ..report import CLIENT_CPU, P50_MS, P99_MS, PER_S, SERVER_CPU
from ..systems.cluster import Cluster
from .suite import Suite

NAME = "reads"
CACHED_KEYS = 1000


def run(bench: Bench) -> None:
    """Fill each system with keys, then read them in turn."""
    with bench.clusters() as clusters:
        prefixes = {cluster.name: fill(bench, cluster, _keys(bench)) for cluster in clusters}
        if not bench.settings.short:
            for cluster in clusters:
                _warm_up(bench, cluster, prefixes[cluster.name])
        for repeat in range(bench.settings.repeats):
            for work, load in works(bench).items():
                _each(bench, clusters, prefixes, work, load, repeat)
            for work, load in library_works(bench).items():
                for cluster in clusters:
                    chosen = replace(load, prefix=prefixes[cluster.name])
                    if cluster.name == "decreed" or load.op != "cached-read":
                        bench.by_library(NAME, work, cluster, chosen, repeat)
            for cluster in clusters:
                watch(bench, cluster, repeat)


def _keys(bench: Bench) -> int:
    return 1000 if bench.settings.short else 20_000


def fill(bench: Bench, cluster: Cluster, keys: int) -> str:
    """Claim `keys` keys; returns their prefix. Empty if no load generator drives the system."""
    prefix = cluster.prefix()
    load = Load(outstanding=64, count=keys, prefix=prefix, warm_up=0.0, seconds=120.0)
    if not bench.drives(cluster, load):
        return ""
    bench.load(cluster, load)
    return prefix


def _warm_up(bench: Bench, cluster: Cluster, prefix: str) -> None:
    """Warm up reads: claims alone do not warm their code."""
    load = Load(
        op=cluster.linearizable_read,
        outstanding=64,
        keyspace=_keys(bench),
        prefix=prefix,
        seconds=cluster.warm_up_s / 2,
    )
    if bench.drives(cluster, load):
        bench.load(cluster, load)


def works(bench: Bench) -> dict[str, Load]:
    """The reads by the protocol."""
    read = bench.timed(Load(op="read", keyspace=_keys(bench)))
    undecided = bench.timed(Load(op="read", keyspace=1_000_000))
    return {
        "read, decided, 1 outstanding": read,
        "read, decided, 64 outstanding": replace(read, outstanding=64),
        "get_many, 100 keys a call, 8 at a time (keys)": replace(
            read, outstanding=8, batch=100, clients=1
        ),
        "read, undecided, 1 outstanding": undecided,
        "read, undecided, 64 outstanding": replace(undecided, outstanding=64),
    }


def library_works(bench: Bench) -> dict[str, Load]:
    """The reads by the usual Python clients."""
    read = bench.timed(Load(op="read", keyspace=_keys(bench)))
    alone = {} if bench.settings.short else {"read, decided, 1 outstanding": read}
    return alone | {
        "read, decided, 64 outstanding": replace(read, outstanding=64),
        "get_many, 100 keys a call, 8 at a time (keys)": replace(read, outstanding=8, batch=100),
        "read, from the client's memory": replace(
            read, op="cached-read", keyspace=min(CACHED_KEYS, _keys(bench))
        ),
    }


def _each(
    bench: Bench,
    clusters: Sequence[Cluster],
    prefixes: dict[str, str],
    work: str,
    load: Load,
    repeat: int,
) -> None:
    for cluster in clusters:
        prefix = cluster.prefix() if "undecided" in work else prefixes[cluster.name]
        chosen = replace(load, op=cluster.linearizable_read, prefix=prefix)
        bench.by_protocol(NAME, work, cluster, chosen, repeat)


def watch(bench: Bench, cluster: Cluster, repeat: int) -> None:
    """Claim at one node and watch at another: how long after the answer the event comes."""
    load = bench.timed(Load(op="watch"))
    if not bench.drives(cluster, load):
        return
    with bench.attempt(f"watch on {cluster.name}"):
        outcome = bench.load(cluster, load)
        outcome.pop("per_s")  # it is paced
        bench.record(NAME, "watch, behind the answer", cluster, outcome, repeat=repeat)
        sent = {"latency": outcome["second_latency"]}
        work = "watch, behind the sending"
        bench.record(NAME, work, cluster, sent, repeat=repeat, way=PROTOCOL)


SUITE = Suite(NAME, "Reads", (PER_S, P50_MS, P99_MS, SERVER_CPU, CLIENT_CPU), run, bars(PER_S))
