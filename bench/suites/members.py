"""Members that are replaced: how long a joiner takes, and how long no claim is acknowledged."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from ..bench import Bench
from ..gaps import longest_gap, longest_gap_ms
from ..load import Load, Outcome
from ..measure import memory_mb, waited_seconds
from ..report import Column
from ..systems.cluster import await_that, running
from ..systems.joinable import CHANGE_S, LOOK_S, JoinableSystem, done
from .snapshot import save
from .suite import Suite

T = TypeVar("T")

NAME = "members"
SERVED_PER_S = 300.0
CELL_MS = 2.0
LONGEST_S = CHANGE_S + 60.0
QUIET_S = 20.0
JOINED = Column("join_s", "s until it votes")
MEMORY = Column("memory_ratio", "its memory ÷ a member's")
P99 = Column("p99_ratio", "p99 of claims ÷ before")
GAP = Column("change_gap_ms", "longest gap ms")
GAP_AT = Column("gap_at_s", "ends s after the beginning")
WAITED = Column("waited", "share of the time without a processor")
QUIET = Column("quiet_gap_ms", "longest quiet gap ms")
CHANGE = Column("change_s", "s for all of it")
RATE = Column("per_s", "claims per s")
PAUSED_S = 0.1
"""After this silence the generator asks another node."""


def run(bench: Bench) -> None:
    """decreed alone: an empty node replaces a member, then another one a member that is dead.

    Then, in another cluster, a node that learns from a snapshot first replaces a member.
    """
    for repeat in range(bench.settings.repeats):
        cluster = joinable(bench, 3)
        with bench.attempt("replacing members"), running([cluster]):
            _join(bench, cluster, repeat, "an empty node")
            _replace_a_dead_one(bench, cluster, repeat)
        cluster = joinable(bench, 3)
        with bench.attempt("replacing a member, with a seed"), running([cluster]):
            cluster.seed = cluster.folder / "seed.snapshot"
            save(cluster, cluster.seed)
            _join(bench, cluster, repeat, "a node with a seed")


def joinable(bench: Bench, size: int) -> JoinableSystem:
    """A cluster with many keys and two spare nodes; it is not started yet."""
    folder = bench.settings.scratch / f"members-{time.monotonic_ns()}"
    cluster = JoinableSystem(folder, size, spare=2)
    cluster.keys = bench.settings.keys
    return cluster


def _join(bench: Bench, cluster: JoinableSystem, repeat: int, who: str) -> None:
    """n4 takes the place of n3, while a few claims go on."""
    load = Load(outstanding=64, rate=SERVED_PER_S, seconds=LONGEST_S, robust=True, eager=True)
    load = replace(load, warm_up=bench.settings.warm_up)
    before = bench.load(cluster, replace(load, seconds=_quiet_s(bench)))
    end = bench.open_ended(cluster, load)
    found, (taken, sizes) = _during(end, lambda: _join_at(cluster))
    keys = f"{bench.settings.keys:,} keys"
    work = f"{who} replaces a member, {keys}, {SERVED_PER_S:.0f} claims/s"
    member = max(memory_mb(cluster.pid(node)) for node in (0, 1))
    figures = {
        "join_s": taken,
        "memory_ratio": max(sizes) / member,
        "p99_ratio": found["latency"]["p99_us"] / before["latency"]["p99_us"],
        "per_s": found["per_s"],
        "latency": found["latency"],
        "latency_before": before["latency"],
    }
    bench.record(NAME, work, cluster, figures, repeat=repeat)


def _join_at(cluster: JoinableSystem) -> tuple[float, Sequence[float]]:
    """Start n4 in the place of n3; the seconds until it votes, and its memory meanwhile."""
    began = time.monotonic()
    cluster.join(3)
    change = cluster.change("replace", "n3", "n4")
    sizes: list[float] = []
    try:
        while change.poll() is None and not cluster.votes(3):
            sizes.append(memory_mb(cluster.pid(3)))
            time.sleep(LOOK_S)
        taken = time.monotonic() - began
    finally:
        done(change)
    return taken, sizes


def _during(end: Callable[[], Outcome], body: Callable[[], T]) -> tuple[Outcome, T]:
    """Do something during a load that goes on, then end the load."""
    try:
        done = body()
    except BaseException:
        end()
        raise
    return end(), done


def _replace_a_dead_one(bench: Bench, cluster: JoinableSystem, repeat: int) -> None:
    """n4 dies as well as n3, which is no member any more; the empty node n5 takes its place."""
    cluster.kill(2, 3)
    work = f"a dead member is replaced, {bench.settings.keys:,} keys, 64 outstanding"
    words = ("replace", "n4", "n5")
    found = change_under_load(bench, cluster, asked=(0, 1, 3), new=(4,), words=words)
    bench.record(NAME, work, cluster, found, repeat=repeat)


def change_under_load(
    bench: Bench,
    cluster: JoinableSystem,
    *,
    asked: Sequence[int],
    new: Sequence[int],
    words: Sequence[str],
) -> Outcome:
    """Start empty nodes and give them votes, with 64 claims outstanding all the time.

    Args:
        bench: where it is measured.
        cluster: the cluster, which serves.
        asked: the nodes that the claims are sent to.
        new: the nodes that are started.
        words: what ``decreed member`` is told.
    """
    load = Load(outstanding=64, seconds=LONGEST_S, series_ms=CELL_MS, nodes=tuple(asked))
    load = replace(load, robust=True, eager=True, patience=PAUSED_S, warm_up=bench.settings.warm_up)
    end = bench.open_ended(cluster, load)
    found, marks = _during(end, lambda: _marks(bench, cluster, asked, new, words))
    *times, waited = marks
    begin, over = (mark - found["started_ns"] / 1e9 for mark in times)
    gap_ms, at_s = longest_gap(found, begin, over)
    return {
        "change_gap_ms": gap_ms,
        "gap_at_s": at_s,
        "waited": waited / (over - begin),
        "quiet_gap_ms": longest_gap_ms(found, 0.0, begin),
        "change_s": over - begin,
        "per_s": found["per_s"],
        "latency": found["latency"],
    }


def _marks(
    bench: Bench,
    cluster: JoinableSystem,
    asked: Sequence[int],
    new: Sequence[int],
    words: Sequence[str],
) -> tuple[float, float, float]:
    """Change the members after a quiet time.

    Returns:
        When that began and when all was over, and how long the nodes that are asked waited for a
        processor meanwhile, on average; all in seconds.
    """
    time.sleep(bench.settings.warm_up + _quiet_s(bench))
    began, before = time.monotonic(), _waited(cluster, asked)
    cluster.join(*new)
    done(cluster.change(*words))
    await_that("new members vote", lambda: all(map(cluster.votes, new)), pause_s=LOOK_S)
    time.sleep(LOOK_S)
    return began, time.monotonic(), _waited(cluster, asked) - before


def _waited(cluster: JoinableSystem, nodes: Sequence[int]) -> float:
    up = [node for node in nodes if cluster.is_running(node)]  # claims are sent to a dead one too
    return sum(waited_seconds(cluster.pid(node)) for node in up) / len(up)


def _quiet_s(bench: Bench) -> float:
    """How long a cluster is looked at before a change."""
    return 1.0 if bench.settings.short else QUIET_S


SUITE = Suite(
    NAME, "Changes of members", (JOINED, P99, MEMORY, GAP, GAP_AT, QUIET, WAITED, CHANGE, RATE), run
)
