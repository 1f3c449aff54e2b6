"""Many seeds in a row, on several processes, and a summary of the results."""

import multiprocessing
import time
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from ..model.checker import without_garbage_collection
from .event_counts import FAULTS, EventCounts
from .lease_spans import LockWorld
from .plan import Plan
from .storm import Storm
from .storms import storm_of

HOUR_MS = 3_600_000
CHUNK = 10


@dataclass(frozen=True)
class Run:
    """The result of one seed.

    Args:
        seed: the seed.
        failure: what went wrong; empty if nothing did.
        decrees, claims, requests: their numbers.
        hours: simulated time.
        spent_s: seconds of processor time.
        event_counts: the counts of what happened.
        story: the traceback of the failure.
    """

    seed: int
    failure: str
    decrees: int
    claims: int
    requests: int
    hours: float
    spent_s: float
    event_counts: EventCounts
    story: str = ""

    def __str__(self) -> str:
        if self.failure:
            return f"seed {self.seed}: FAILED: {self.failure}"
        return (
            f"seed {self.seed}: {self.decrees} decrees, {self.requests} requests,"
            f" {self.requests / self.spent_s:.0f} requests/s,"
            f" {self.hours / self.spent_s * 60:.2f} simulated hours a minute"
        )


def run_storm(storm: Storm) -> Run:
    """Run a storm to its end, or to its first failure."""
    began, failure, story = time.process_time(), "", ""
    try:
        with without_garbage_collection():
            storm.run()
    except Exception as error:  # noqa: BLE001 - whatever went wrong is what we look for
        failure = (str(error).splitlines() or [type(error).__name__])[0]
        story = "".join(traceback.format_exception(error))
    spent_s = max(time.process_time() - began, 1e-9)
    world, clients = storm.world, storm.clients
    event_counts = EventCounts(world.event_counts)
    if isinstance(world, LockWorld):
        event_counts.update(world.seen)
    return Run(
        storm.plan.seed,
        failure,
        len(world.chosen),
        clients.claims,
        clients.requests,
        world.now_ms / HOUR_MS,
        spent_s,
        event_counts,
        story,
    )


def run_seed(seed: int, governed: bool = False) -> Run:
    """The storm of one seed, in which nodes may obey policies."""
    began = time.process_time()
    try:
        storm = storm_of(Plan.drawn(seed, governed=governed))
    except Exception as error:  # noqa: BLE001 - a cluster that does not form is a finding too
        failure = str(error) or type(error).__name__
        return Run(seed, failure, 0, 0, 0, 0, time.process_time() - began, EventCounts())
    return run_storm(storm)


def run_seeds(seeds: Iterable[int], jobs: int, governed: bool = False) -> Iterator[Run]:
    """The storms of many seeds, in order, on `jobs` processes."""
    run = partial(run_seed, governed=governed)
    if jobs == 1:
        yield from map(run, seeds)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        yield from pool.map(run, seeds, chunksize=CHUNK)


@dataclass
class Summary:
    """The results of many runs, added up."""

    began_s: float = field(default_factory=time.monotonic)
    seeds: int = 0
    decrees: int = 0
    claims: int = 0
    requests: int = 0
    hours: float = 0.0
    spent_s: float = 0.0
    failures: list[Run] = field(default_factory=list[Run])
    event_counts: EventCounts = field(default_factory=EventCounts)

    def add(self, run: Run) -> None:
        """Add the result of one run."""
        self.seeds += 1
        self.decrees += run.decrees
        self.claims += run.claims
        self.requests += run.requests
        self.hours += run.hours
        self.spent_s += run.spent_s
        self.event_counts.update(run.event_counts)
        if run.failure:
            self.failures.append(run)

    def line(self) -> str:
        """The progress, in one line."""
        real_s = time.monotonic() - self.began_s
        return (
            f"{self.seeds} seeds in {real_s:.0f} s, {len(self.failures)} failed:"
            f" {self.decrees} decrees, {self.claims} claims, {self.requests} operations;"
            f" {1000 * self.spent_s / max(self.seeds, 1):.0f} ms of processor a seed,"
            f" {self.hours / real_s * 60:.2f} simulated hours a minute"
        )

    def text(self) -> str:
        """Everything: the line, each kind of fault and event, and how to rerun what failed."""
        counts = [f"{self.event_counts[what]:9}  {what}" for what in sorted(self.event_counts)]
        faults = sum(self.event_counts[what] for what in FAULTS)
        again = [
            f"{run}\n    python -m tests.simulation --seed {run.seed}" for run in self.failures
        ]
        return "\n".join([*counts, f"{faults:9}  faults in all", self.line(), *again])
