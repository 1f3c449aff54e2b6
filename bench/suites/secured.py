"""What TLS and a policy cost: processor time beside the same build without, calls, and connections.

The columns of ratios compare with the plain system in the same round, so a slow minute affects both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..bench import Bench
from ..load import Load
from ..report import P50_MS, PER_S, SERVER_CPU, Column
from ..systems.build import Counting
from ..systems.cluster import running
from ..systems.connections import HELD, connect_often, hold_open
from ..systems.secured import (
    CountingPlain,
    CountingSecured,
    CountingTls,
    Ed25519System,
    PlainSystem,
    SecuredSystem,
    TlsSystem,
)
from .epochs import CALLS, calls_of_a_claim
from .in_turn import WARM_UP_S, one_round
from .suite import Suite

NAME = "secured"
SYSTEMS: Sequence[type[PlainSystem]] = (PlainSystem, TlsSystem, SecuredSystem)
COUNTING: Sequence[type[Counting]] = (
    CountingPlain,
    CountingTls,
    CountingSecured,
)
COUNTED = (64, 256)
PAIRS = Column("pair_ratio", "CPU ÷ plain, in pairs")
CONNECT = Column("connect_ms", "node CPU ms a connection")
HANDSHAKE = Column("handshake_ms", "more than plain, ms")
MEMORY = Column("connection_kb", "KB a connection")


def works(bench: Bench) -> Mapping[str, Load]:
    """What each system is asked to do in each round."""
    loads = {f"claim, {count} outstanding": Load(outstanding=count) for count in (64, 256)}
    loads["claim alone"] = Load(outstanding=1)
    loads["claim_many, 100 keys a call (keys)"] = Load(outstanding=1, clients=1, batch=100)
    return {work: replace(bench.timed(load), warm_up=WARM_UP_S) for work, load in loads.items()}


def run(bench: Bench) -> None:
    """All systems are up and get the same loads in turn; then they count their calls."""
    if bench.generator is None or not bench.generator.has_tls:
        bench.say("secured: skipped, since the load generator was not made with OpenSSL")
        return
    clusters = [bench.cluster(system) for system in SYSTEMS]
    with bench.attempt("claims with TLS and a policy"), running(clusters):
        for cluster in clusters:
            bench.warm_up(cluster)
        for repeat in range(bench.settings.repeats):
            for work, load in works(bench).items():
                _round(bench, clusters, work, load, repeat)
    with bench.attempt("connections"):
        _connections(bench)
    for outstanding in COUNTED:
        for system in COUNTING:
            with bench.attempt(f"calls of {system.name}"):
                figures = {"calls": calls_of_a_claim(bench, system, outstanding)}
                work = f"calls of a claim, {outstanding} outstanding"
                bench.record(NAME, work, bench.cluster(system), figures)


def _round(
    bench: Bench, clusters: Sequence[PlainSystem], work: str, load: Load, repeat: int
) -> None:
    """One load on each; each goes first in its turn, and plain goes next to a different one."""
    found = one_round(bench, [(cluster, load) for cluster in clusters], repeat)
    plain_us = found[0][1]["server_cpu_us"]
    for cluster, outcome in found:
        outcome["pair_ratio"] = outcome["server_cpu_us"] / plain_us
        bench.record(NAME, work, cluster, outcome, repeat=repeat)


def _connections(bench: Bench) -> None:
    """What one node uses for a connection: to make it (with its end), and to keep it."""
    clusters = [bench.cluster(system) for system in (PlainSystem, TlsSystem, Ed25519System)]
    count = HELD // 10 if bench.settings.short else HELD
    with running(clusters):
        for cluster in clusters:
            connect_often(cluster, count // 2)  # until its code is warm
        for repeat in range(bench.settings.repeats):
            costs = {cluster.name: connect_often(cluster, count) for cluster in clusters}
            for cluster in clusters:
                figures = {"connect_ms": costs[cluster.name]}
                if cluster.has_tls:
                    figures["handshake_ms"] = costs[cluster.name] - costs[PlainSystem.name]
                bench.record(NAME, "a connection is made", cluster, figures, repeat=repeat)
        for cluster in clusters:
            figures = {"connection_kb": hold_open(cluster, count)}
            bench.record(NAME, "a connection is kept", cluster, figures)


SUITE = Suite(
    NAME,
    "With TLS and a policy",
    (SERVER_CPU, PAIRS, CALLS, PER_S, P50_MS, CONNECT, HANDSHAKE, MEMORY),
    run,
)
