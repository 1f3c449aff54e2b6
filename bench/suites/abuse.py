"""Abuse: how late a client's claims are beside another caller that takes what it can get."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from ..attackers import KINDS
from ..bench import Bench
from ..load import Load
from ..report import P50_MS, P99_MS, PER_S, Column
from ..systems.cluster import Cluster, NotReady, running
from ..systems.decreed import DecreedSystem
from .suite import Suite

NAME = "abuse"
RATE = 50.0
"""Few enough that a cluster does them beside an attacker on a slow machine too: what a client cannot
even send in time would count as late."""
SOURCE = "127.0.0.2"
NICE = 19
SETTLING = 3
"""So many times the usual warm-up: the attacker was alone before, and may have begun as much as it
likes; the victim waits for that once, and is measured then."""
RATIO = Column("p99_ratio", "p99 ÷ quiet")
QUIET = Column("quiet_p99_ms", "quiet p99 ms")


def run(bench: Bench) -> None:
    """A victim's claims at a steady rate: alone, then beside each attacker, alone again before each."""
    _check_source()
    kinds = _kinds(bench)
    cluster = bench.cluster(DecreedSystem)
    with bench.attempt("a victim beside attackers"), running([cluster]):
        bench.warm_up(cluster)
        for repeat in range(bench.settings.repeats):
            for kind in kinds:
                _one(bench, cluster, kind, repeat)


def _kinds(bench: Bench) -> list[str]:
    """The attackers that are asked for; all by default, of which a look takes the first.

    Raises:
        NotReady: if there is none of such a name.
    """
    asked = bench.settings.attackers
    unknown = [kind for kind in asked if kind not in KINDS]
    if unknown:
        raise NotReady(f"there is no attacker {unknown[0]}; there are {', '.join(KINDS)}")
    return list(asked) or list(KINDS)[: 1 if bench.settings.short else None]


def _check_source() -> None:
    """Whether this machine has the address of the attacker; Linux has all of 127.0.0.0/8.

    Raises:
        NotReady: if it has not.
    """
    try:
        with socket.socket() as probe:
            probe.bind((SOURCE, 0))
    except OSError as error:
        raise NotReady(f"{SOURCE} is no address of this machine: {error}") from error


def _one(bench: Bench, cluster: Cluster, kind: str, repeat: int) -> None:
    load = replace(bench.timed(Load(outstanding=16, rate=RATE)), robust=True)
    quiet = bench.load(cluster, load)
    with _attacking(bench, cluster, kind):
        found = bench.load(cluster, replace(load, warm_up=SETTLING * load.warm_up))
    quiet_us = quiet["latency"]["p99_us"]
    found["quiet_p99_ms"] = quiet_us / 1e3
    found["p99_ratio"] = found["latency"]["p99_us"] / quiet_us
    bench.record(NAME, f"{RATE:.0f} claims/s beside {kind}", cluster, found, repeat=repeat)
    cluster.await_serving()
    time.sleep(3 * bench.settings.warm_up)  # what the attacker has left is worked off


@contextmanager
def _attacking(bench: Bench, cluster: Cluster, kind: str) -> Generator[None]:
    """An attacker in a process of its own, behind everybody else on this machine's processors."""
    nodes = ",".join(f"127.0.0.1:{port}" for port in cluster.ports)
    command = [sys.executable, "-m", "bench.attackers", kind, "--nodes", nodes, "--source", SOURCE]
    with (bench.settings.out / f"attacker-{kind}.log").open("wb") as log:
        attacker = subprocess.Popen(
            command, stdout=log, stderr=log, preexec_fn=lambda: os.nice(NICE)
        )
        try:
            yield
            if attacker.poll() is not None:
                raise NotReady(f"the attacker {kind} has ended: see {log.name}")
        finally:
            attacker.kill()
            attacker.wait()


SUITE = Suite(NAME, "A victim beside an attacker", (P99_MS, QUIET, RATIO, P50_MS, PER_S), run)
