"""Claims of values of 64 bytes, 1 KiB and 64 KiB."""

from ..bench import Bench
from ..load import Load
from ..plots import bars
from ..report import P50_MS, P99_MS, PER_S, SERVER_CPU
from .suite import Suite

NAME = "sizes"
SIZES = {"64 B": 64, "1 KiB": 1024, "64 KiB": 65536}


def run(bench: Bench) -> None:
    """All sizes on all systems, interleaved."""
    works = {
        f"claim of {name}, 64 outstanding": bench.timed(Load(outstanding=64, value_size=size))
        for name, size in SIZES.items()
    }
    with bench.clusters() as clusters:
        bench.interleaved(NAME, clusters, works, {})


SUITE = Suite(
    NAME, "Value sizes", (PER_S, P50_MS, P99_MS, SERVER_CPU), run, bars(PER_S, logarithmic=True)
)
