"""One run of the benchmark: its settings, the systems that are here, and the runs made so far."""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .load import Generator, Load, Outcome
from .results import Run, flat
from .systems.cluster import Cluster, NotReady, running

PROTOCOL, LIBRARY = "protocol", "library"
_SERIES = ("series", "series_ms", "started_ns", "gap_at_ns")


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Args:
        short: a look, not a measurement.
        repeats: runs of each work on each system.
        seconds: measured in each run.
        keys: how many keys the suites about memory and growth write.
        out: where tables, JSON and plots go.
        scratch: where clusters keep their data; on a real disk.
    """

    short: bool
    repeats: int
    seconds: float
    keys: int
    out: Path
    scratch: Path

    @property
    def warm_up(self) -> float:
        """Seconds before each run."""
        return 0.2 if self.short else 1.0


@dataclass
class Bench:
    """What suites work with.

    Args:
        settings: how much.
        systems: what is measured, decreed first.
        generator: None where there is no compiler; then client libraries are all there is.
        say: tells the user how it goes.
    """

    settings: Settings
    systems: Sequence[type[Cluster]]
    generator: Generator | None
    say: Callable[[str], None]
    runs: list[Run] = field(default_factory=list[Run])
    failures: list[str] = field(default_factory=list[str])

    def cluster(self, system: type[Cluster], size: int = 3) -> Cluster:
        """A cluster of `system` that does not run yet."""
        folder = self.settings.scratch / f"{system.name}-{time.monotonic_ns()}"
        return system(folder, size)

    @contextmanager
    def clusters(self, size: int = 3, *, warm: bool = True) -> Iterator[list[Cluster]]:
        """All systems at once, each on empty disks, warmed up; ended and removed at the end.

        They run side by side and are asked in turn; one that is not asked is idle.
        """
        clusters = [self.cluster(system, size) for system in self.systems]
        with running(clusters):
            for cluster in clusters if warm else ():
                self.warm_up(cluster)
            yield clusters

    def warm_up(self, cluster: Cluster) -> None:
        """Let a cluster work until its code is compiled and its caches are filled."""
        seconds = min(cluster.warm_up_s, 1.5) if self.settings.short else cluster.warm_up_s
        if self.generator is not None and cluster.protocol:
            self.generator.run(cluster, Load(outstanding=64, seconds=seconds, warm_up=0.0))

    def turns(
        self, works: Sequence[str], clusters: Sequence[Cluster]
    ) -> Iterator[tuple[int, str, Cluster]]:
        """Every work on every system, interleaved, so that a slow minute hits all of them."""
        for repeat in range(self.settings.repeats):
            for work in works:
                for cluster in clusters:
                    yield repeat, work, cluster

    def load(self, cluster: Cluster, load: Load) -> Outcome:
        """Run a load by the generator.

        Raises:
            NotReady: if there is no generator, or it failed.
        """
        if self.generator is None:
            raise NotReady("there is no compiler for the load generator")
        return self.generator.run(cluster, load)

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Go on with the next work if this one fails, and say so at the end."""
        try:
            yield
        except (NotReady, subprocess.TimeoutExpired, OSError) as error:
            self.failures.append(f"{what}: {error}")
            self.say(f"failed: {self.failures[-1]}")

    def record(
        self,
        suite: str,
        work: str,
        cluster: Cluster,
        outcome: Mapping[str, Any],
        *,
        repeat: int = 0,
        way: str = PROTOCOL,
    ) -> None:
        """Keep what a run found."""
        figures = {name: value for name, value in flat(outcome).items() if name not in _SERIES}
        detail = {name: outcome[name] for name in _SERIES if name in outcome}
        self.runs.append(Run(suite, work, cluster.name, way, repeat, figures, detail))
        shown = {name: figures[name] for name in ("per_s", "server_cpu_us") if name in figures}
        self.say(f"{suite}: {work}: {cluster.name} by {way}: " + _brief(shown or figures))

    def of(self, suite: str) -> list[Run]:
        """The runs of one suite."""
        return [run for run in self.runs if run.suite == suite]


def _brief(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:,.1f}" for name, value in list(figures.items())[:4])


def about_machine() -> dict[str, object]:
    """What a reader must know to compare figures."""
    return {
        "at": time.strftime("%Y-%m-%d %H:%M:%S"),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }
