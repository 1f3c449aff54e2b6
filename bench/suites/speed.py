"""The present build beside others, and beside peers, in the same rounds; then calls of a claim.

The rows of the others have the ratios: the present build's figure divided by theirs in each round, as
the median of all pairs with the least and the greatest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..bench import Bench
from ..load import Load
from ..report import P50_MS, PER_S, SERVER_CPU, Column
from ..results import OURS
from ..systems.build import Counting, OtherBuild, counting_build, other_build
from ..systems.cluster import Cluster, NotReady, running
from ..systems.decreed import DecreedSystem
from .in_turn import WARM_UP_S, one_round, pair_ratios
from .suite import Suite

NAME = "speed"
COUNTED = (256, 64)
HOME = "n1"
UNDECIDED_KEYS = 1_000_000
CPU_RATIO = Column("cpu_ratio", "CPU ÷ its, in pairs")
P50_RATIO = Column("p50_ratio", "p50 ÷ its")
RATE_RATIO = Column("rate_ratio", "per s ÷ its")
AT_HOME = Column("calls_home", "calls at home")
AT_PEER = Column("calls_peer", "at a peer")


def works(bench: Bench) -> Mapping[str, Load]:
    """What each system is asked to do in each round."""
    loads = {f"claim, {count} outstanding": Load(outstanding=count) for count in (64, 256)}
    loads["claim alone"] = Load(outstanding=1)
    loads["claim_many, 100 keys a call, 8 at a time (keys)"] = Load(
        outstanding=8, clients=1, batch=100
    )
    loads["lock and unlock, alone"] = Load(op="lock", clients=1)
    loads["lock, 8 contenders"] = Load(op="lock", clients=8)
    loads["read, undecided, 64 outstanding"] = Load(
        op="read", outstanding=64, keyspace=UNDECIDED_KEYS
    )
    return {work: replace(bench.timed(load), warm_up=WARM_UP_S) for work, load in loads.items()}


def run(bench: Bench) -> None:
    """All systems are up and get the same loads in turn; then builds of decreed count their calls."""
    builds: list[type[OtherBuild]] = []
    for folder in bench.settings.before:
        with bench.attempt(f"the build in {folder}"):
            build = other_build(folder)
            build.compile()
            builds.append(build)
    peers = [system for system in bench.systems if system.name != OURS]
    if not (builds or peers):
        bench.say(
            "speed: skipped, since neither --before nor --peers names anything to compare with"
        )
        return
    systems: list[type[Cluster]] = [DecreedSystem, *builds, *peers]
    clusters = [bench.cluster(system) for system in systems]
    with bench.attempt("builds and peers in turn"), running(clusters):
        for cluster in clusters:
            bench.warm_up(cluster)
        for repeat in range(bench.settings.repeats):
            for work, load in works(bench).items():
                compare(bench, clusters, work, load, repeat)
    counting: list[type[Counting]] = [Counting, *map(counting_build, builds)]
    for outstanding in COUNTED[:1] if bench.settings.short else COUNTED:
        for system in counting:
            with bench.attempt(f"calls of {system.name}"):
                _count(bench, system, outstanding)


def compare(bench: Bench, clusters: Sequence[Cluster], work: str, load: Load, repeat: int) -> None:
    """One round of one work; all but the first are compared with the first, which is the present."""
    with bench.attempt(work):
        loads = [(cluster, replace(load, op=_op(cluster, load))) for cluster in clusters]
        (present, ours), *others = one_round(bench, loads, repeat)
        bench.record(NAME, work, present, ours, repeat=repeat)
        for cluster, theirs in others:
            found = theirs | pair_ratios(ours, theirs)
            bench.record(NAME, work, cluster, found, repeat=repeat)


def _op(cluster: Cluster, load: Load) -> str:
    return cluster.linearizable_read if load.op == "read" else load.op


def calls_at_home_and_peer(bench: Bench, system: type[Counting], load: Load) -> tuple[float, float]:
    """The calls of a claim at the home of all keys, and at each of the others, on average.

    Those of many claims less those of few: what a start and an end take cancels out.
    """
    few = 500 if bench.settings.short else 2_000
    fewer, more = (_calls(bench, system, replace(load, count=few * times)) for times in (1, 4))
    home, *others = [(late - early) / (3 * few) for early, late in zip(fewer, more, strict=True)]
    return home, sum(others) / len(others)


def _count(bench: Bench, system: type[Counting], outstanding: int) -> None:
    load = Load(outstanding=outstanding, home=HOME, warm_up=0.0, seconds=300.0)
    home, peer = calls_at_home_and_peer(bench, system, load)
    work = f"calls of a claim, {outstanding} outstanding, all keys with one home"
    cluster = bench.cluster(system)
    bench.record(NAME, work, cluster, {"calls_home": home, "calls_peer": peer})
    cluster.give_ports_back()


def _calls(bench: Bench, system: type[Counting], load: Load) -> list[int]:
    cluster = bench.cluster(system)
    with running([cluster]):
        done = bench.load(cluster, load)["done"]
        if done < load.count:
            raise NotReady(f"{done:,} of {load.count:,} claims were made")
        cluster.stop()
        return cluster.calls()


SUITE = Suite(
    NAME,
    "Beside other builds",
    (SERVER_CPU, CPU_RATIO, P50_MS, P50_RATIO, PER_S, RATE_RATIO, AT_HOME, AT_PEER),
    run,
)
