"""Claims: create if absent, with 1 to 512 outstanding; many keys a call; many clients for one key."""

from ..bench import Bench
from ..load import Load
from ..plots import latency_against_load
from ..report import CLIENT_CPU, P50_MS, P99_MS, PER_S, SERVER_CPU
from .suite import Suite

NAME = "claims"


def works(bench: Bench) -> dict[str, Load]:
    """The works that are run by the protocol; those that a system lacks are skipped."""
    outstanding = (1, 64, 256) if bench.settings.short else (1, 4, 16, 64, 256, 512)
    found = {
        f"claim, {count} outstanding": bench.timed(Load(outstanding=count)) for count in outstanding
    }
    found["64 clients claim one key (keys)"] = bench.timed(Load(op="contend", clients=64))
    for calls in (1, 8):
        work = f"claim_many, 100 keys a call, {calls} at a time (keys)"
        found[work] = bench.timed(Load(outstanding=calls, clients=1, batch=100))
    return found


def library_works(bench: Bench) -> dict[str, Load]:
    """The works that are run by the usual Python clients."""
    outstanding = (64,) if bench.settings.short else (1, 64, 256)
    found = {
        f"claim, {count} outstanding": bench.timed(Load(outstanding=count)) for count in outstanding
    }
    work = "claim_many, 100 keys a call, 8 at a time (keys)"
    return found | {work: bench.timed(Load(outstanding=8, batch=100))}


def run(bench: Bench) -> None:
    """All works on all systems, interleaved."""
    with bench.clusters() as clusters:
        bench.interleaved(NAME, clusters, works(bench), library_works(bench))


SUITE = Suite(
    NAME,
    "Claims",
    (PER_S, P50_MS, P99_MS, SERVER_CPU, CLIENT_CPU),
    run,
    latency_against_load,
)
