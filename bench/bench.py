"""One run of the benchmark: its settings, the systems that are here, and the runs made so far."""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from .clients import Library
from .load import Load, LoadGenerator, Outcome, outcome
from .results import OURS, Run, flat
from .systems.cluster import Cluster, NotReady, running
from .systems.pysyncobj import PySyncObj

PROTOCOL, LIBRARY = "protocol", "library"
NODES = 3
C = TypeVar("C", bound=Cluster)
_SERIES = ("series", "series_ms", "started_ns", "gap_at_ns", "sizes")


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Args:
        short: a quick trial, not a measurement.
        repeats: runs of each work on each system.
        seconds: measured in each run.
        keys: how many keys the suites about memory and growth write.
        minutes: how long the soak is.
        rate: claims a second of the soak; 0 for half of the peak.
        kills: how many nodes are killed during the soak, one after the other.
        before: checkouts of other builds of decreed to compare with.
        out: where tables, JSON and plots go.
        scratch: where clusters keep their data; on a real disk.
        attackers: those of the suite about abuse; all if there are none.
    """

    short: bool
    repeats: int
    seconds: float
    keys: int
    minutes: float
    out: Path
    scratch: Path
    attackers: tuple[str, ...] = ()
    rate: float = 0.0
    kills: int = 0
    before: tuple[Path, ...] = ()

    @property
    def warm_up(self) -> float:
        """Seconds before each run."""
        return 0.1 if self.short else 1.0


@dataclass
class Bench:
    """One run of the benchmark, which the suites use.

    Args:
        settings: how much is measured.
        systems: the systems that are measured, decreed first.
        generator: None without a compiler; then only client libraries are measured.
        say: tells the user the progress.
    """

    settings: Settings
    systems: Sequence[type[Cluster]]
    generator: LoadGenerator | None
    say: Callable[[str], None]
    runs: list[Run] = field(default_factory=list[Run])
    failures: list[str] = field(default_factory=list[str])
    _kept: list[Cluster] = field(default_factory=list[Cluster])
    _on_close: ExitStack = field(default_factory=ExitStack)

    def cluster(self, system: type[C], size: int = NODES) -> C:
        """A cluster of `system` that is not started yet."""
        folder = self.settings.scratch / f"{system.name}-{time.monotonic_ns()}"
        return system(folder, size)

    @contextmanager
    def clusters(self, size: int = NODES, *, warm: bool = True) -> Generator[list[Cluster]]:
        """All systems at once, each on empty disks, warmed up; ended and removed at the end.

        They run side by side and get loads in turn; the others are idle meanwhile. In short mode
        suites share them.
        """
        if self.settings.short and size == NODES:
            yield self._shared()
            return
        clusters = [self.cluster(system, size) for system in self.systems]
        with running(clusters):
            for cluster in clusters if warm else ():
                self.warm_up(cluster)
            yield clusters

    def _shared(self) -> list[Cluster]:
        if not self._kept:
            clusters = [self.cluster(system) for system in self.systems]
            self._on_close.enter_context(running(clusters))
            for cluster in clusters:
                self.warm_up(cluster)
            self._kept = clusters
        return self._kept

    def close(self) -> None:
        """End the clusters that suites shared."""
        self._kept = []
        self._on_close.close()

    def warm_up(self, cluster: Cluster) -> None:
        """Let a cluster work until its code is compiled and its caches are filled."""
        seconds = min(cluster.warm_up_s, 1.0) if self.settings.short else cluster.warm_up_s
        load = Load(outstanding=64, seconds=seconds, warm_up=0.0)
        if self.drives(cluster, load):
            self.load(cluster, load)

    def timed(self, load: Load) -> Load:
        """`load` with the duration of the settings."""
        return replace(load, seconds=self.settings.seconds, warm_up=self.settings.warm_up)

    def interleaved(
        self,
        suite: str,
        clusters: Sequence[Cluster],
        works: Mapping[str, Load],
        library_works: Mapping[str, Load],
    ) -> None:
        """Every work on every system, in turn and repeatedly, so that a slow minute affects all."""
        for repeat in range(self.settings.repeats):
            for work, load in works.items():
                for cluster in clusters:
                    self.by_protocol(suite, work, cluster, load, repeat)
            for work, load in library_works.items():
                for cluster in clusters:
                    self.by_library(suite, work, cluster, load, repeat)

    def open_ended(self, cluster: Cluster, load: Load) -> Callable[[], Outcome]:
        """Start a load by the protocol; the returned function ends it, and returns its outcome.

        Raises:
            NotReady: if no load generator can drive the system.
        """
        if self.generator is None:
            raise NotReady("there is no compiler for the load generator")
        process = self.generator.begin(cluster, load)

        def end() -> Outcome:
            process.terminate()
            return outcome(process, load)

        return end

    def begin(self, cluster: Cluster, load: Load) -> Callable[[], Outcome]:
        """Start a load by the protocol; the returned function waits for its outcome.

        Raises:
            NotReady: if no load generator can drive the system.
        """
        if isinstance(cluster, PySyncObj):
            return cluster.begin(load)
        if self.generator is None:
            raise NotReady("there is no compiler for the load generator")
        process = self.generator.begin(cluster, load)
        return lambda: outcome(process, load)

    def load(self, cluster: Cluster, load: Load) -> Outcome:
        """Run a load by the protocol to its end; errors as for `begin`."""
        return self.begin(cluster, load)()

    def by_library(
        self, suite: str, work: str, cluster: Cluster, load: Load, repeat: int = 0
    ) -> None:
        """Run a load by the system's usual Python client, if there is one, and record its outcome."""
        if not Library.missing(cluster) and (load.batch == 1 or cluster.name == OURS):
            with self.attempt(f"{work} on {cluster.name} by its library"):
                outcome = Library.run(cluster, load)
                self.record(suite, work, cluster, outcome, repeat=repeat, way=LIBRARY)

    def by_protocol(
        self, suite: str, work: str, cluster: Cluster, load: Load, repeat: int = 0
    ) -> None:
        """Run a load by the generator and record its outcome."""
        if self.drives(cluster, load):
            with self.attempt(f"{work} on {cluster.name}"):
                self.record(suite, work, cluster, self.load(cluster, load), repeat=repeat)

    def drives(self, cluster: Cluster, load: Load) -> bool:
        """Whether a load generator can do `load` on this system."""
        if isinstance(cluster, PySyncObj):
            return load.op in ("claim", "lock") and load.batch == 1
        return self.generator is not None and (load.batch == 1 or cluster.protocol == OURS)

    @contextmanager
    def attempt(self, what: str) -> Generator[None]:
        """Continue with the next work if this one fails; the failure is reported at the end."""
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
        """Record the outcome of a run."""
        figures = {name: value for name, value in flat(outcome).items() if name not in _SERIES}
        detail = {name: outcome[name] for name in _SERIES if name in outcome}
        self.runs.append(Run(suite, work, cluster.name, way, repeat, figures, detail))
        self.say(f"{suite}: {work}: {cluster.name} by {way}: {_brief(figures)}")

    def of(self, suite: str) -> list[Run]:
        """The runs of one suite."""
        return [run for run in self.runs if run.suite == suite]


def _brief(figures: Mapping[str, float]) -> str:
    chosen = [name for name in ("per_s", "server_cpu_us") if name in figures] or list(figures)[:4]
    return ", ".join(f"{name} {figures[name]:,.1f}" for name in chosen)


def about_machine() -> dict[str, object]:
    """What a reader needs to know of this machine to compare figures."""
    return {
        "at": time.strftime("%Y-%m-%d %H:%M:%S"),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }
