"""What a claim costs beside another build of decreed: processor time in pairs, and calls."""

from ..bench import Bench
from ..load import Load
from ..report import P50_MS, PER_S, SERVER_CPU, Column
from ..systems.build import Counting, counting_build, other_build
from ..systems.cluster import Cluster, NotReady, running
from ..systems.decreed import DecreedSystem
from .suite import Suite

NAME = "epochs"
OUTSTANDING = (64, 256)
PAIRS = Column("pair_ratio", "CPU ÷ before, in pairs")
CALLS = Column("calls", "calls a claim")


def run(bench: Bench) -> None:
    """Both builds are up and get the same loads in turn; then both count their calls."""
    if not bench.settings.before:
        bench.say("epochs: skipped, since --before names no build to compare with")
        return
    before = other_build(bench.settings.before[0])
    clusters = bench.cluster(DecreedSystem), bench.cluster(before)
    with bench.attempt("claims beside the build before"), running(clusters):
        for cluster in clusters:
            bench.warm_up(cluster)
        for repeat in range(bench.settings.repeats):
            for outstanding in OUTSTANDING:
                _pair(bench, clusters, outstanding, repeat)
    for repeat in range(bench.settings.repeats if bench.settings.short else 2):
        for outstanding in OUTSTANDING:
            for system in (Counting, counting_build(before)):
                with bench.attempt(f"calls of {system.name}"):
                    _count(bench, system, outstanding, repeat)


def _pair(bench: Bench, clusters: tuple[Cluster, Cluster], outstanding: int, repeat: int) -> None:
    """One load on each of both, the one that was second before is the first now."""
    load = bench.timed(Load(outstanding=outstanding))
    order = clusters if repeat % 2 == 0 else clusters[::-1]
    found = {cluster.name: bench.load(cluster, load) for cluster in order}
    ours, theirs = (found[cluster.name] for cluster in clusters)
    ours["pair_ratio"] = ours["server_cpu_us"] / theirs["server_cpu_us"]
    for cluster in clusters:
        work = f"claim, {outstanding} outstanding"
        bench.record(NAME, work, cluster, found[cluster.name], repeat=repeat)


def calls_of_a_claim(bench: Bench, system: type[Counting], outstanding: int) -> float:
    """The calls of many claims less those of few: what a start and an end take cancels out."""
    few = 500 if bench.settings.short else 5_000
    counts = [_calls(bench, system, outstanding, few * times) for times in (1, 4)]
    return (counts[1] - counts[0]) / (3 * few)


def _count(bench: Bench, system: type[Counting], outstanding: int, repeat: int) -> None:
    cluster = bench.cluster(system)
    figures = {"calls": calls_of_a_claim(bench, system, outstanding)}
    bench.record(
        NAME, f"calls of a claim, {outstanding} outstanding", cluster, figures, repeat=repeat
    )
    cluster.give_ports_back()


def _calls(bench: Bench, system: type[Counting], outstanding: int, claims: int) -> int:
    cluster = bench.cluster(system)
    with running([cluster]):
        load = Load(outstanding=outstanding, count=claims, warm_up=0.0, seconds=300.0)
        done = bench.load(cluster, load)["done"]
        if done != claims:
            raise NotReady(f"{done:,} of {claims:,} claims were made")
        cluster.stop()
        return sum(cluster.calls())


SUITE = Suite(NAME, "Beside the build before", (SERVER_CPU, PAIRS, CALLS, PER_S, P50_MS), run)
