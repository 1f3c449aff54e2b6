"""Locks: acquired and released by one client alone, and passed on among eight."""

from ..bench import Bench
from ..load import Load
from ..plots import bars
from ..report import CLIENT_CPU, P50_MS, P99_MS, SERVER_CPU, Column
from .suite import Suite

NAME = "locks"
HAND_OVERS = Column("per_s", "cycles per s")


def run(bench: Bench) -> None:
    """Both works on all systems, interleaved."""
    works = {
        "lock and unlock, alone": bench.timed(Load(op="lock", clients=1)),
        "lock, 8 contenders": bench.timed(Load(op="lock", clients=8)),
    }
    with bench.clusters() as clusters:
        by_library = dict([*works.items()][:1]) if bench.settings.short else works
        bench.interleaved(NAME, clusters, works, by_library)


SUITE = Suite(
    NAME, "Locks", (HAND_OVERS, P50_MS, P99_MS, SERVER_CPU, CLIENT_CPU), run, bars(HAND_OVERS)
)
