"""One member becomes three, while claims go on: how long none of them is acknowledged."""

from ..bench import Bench
from ..systems.cluster import running
from .members import CHANGE, GAP, GAP_AT, QUIET, RATE, WAITED, change_under_load, joinable
from .suite import Suite

NAME = "growing"


def run(bench: Bench) -> None:
    """decreed alone; each time on a new cluster."""
    for repeat in range(bench.settings.repeats):
        cluster = joinable(bench, 1)
        with bench.attempt("one member becomes three"), running([cluster]):
            words = ("add", "n2", "n3")
            found = change_under_load(bench, cluster, asked=(0,), new=(1, 2), words=words)
            work = f"1 to 3 members, {bench.settings.keys:,} keys, 64 outstanding"
            bench.record(NAME, work, cluster, found, repeat=repeat)


SUITE = Suite(NAME, "One member becomes three", (GAP, GAP_AT, QUIET, WAITED, CHANGE, RATE), run)
