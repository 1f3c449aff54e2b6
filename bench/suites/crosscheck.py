"""etcd by its own load generator, ``etcdctl check perf``, beside ours with the same load.

Only rates are compared: a latency of ours counts from when an operation was due, also while etcd cannot
keep up, and one of etcdctl's from when a client was free to send it.
"""

import os
import re
import subprocess
from typing import NamedTuple

from ..bench import Bench
from ..load import Load, Outcome
from ..report import PER_S, SERVER_CPU, Column
from ..systems.cluster import NotReady, running
from ..systems.etcd import Etcd
from .suite import Suite

NAME = "crosscheck"
ETCDCTL = "etcdctl"
KEY_BYTES, VALUE_BYTES = 256, 1024
CONNECTIONS = 100
"""`etcdctl` has one for each of its clients; ours shares these among them."""
PATIENCE_S = 180.0
SLOWEST = Column("slowest_ms", "slowest ms")
DEVIATION = Column("stddev_ms", "standard deviation ms")
RATIO = Column("rate_ratio", "ours ÷ etcdctl's")
_THROUGHPUT = re.compile(r"Throughput (?:is|too low:) (\d+) writes/s")
_SLOWEST = re.compile(r"Slowest request took (?:too long: )?([\d.]+)s")
_DEVIATION = re.compile(r"Stddev (?:is|too high:) ([\d.]+)s")


class Model(NamedTuple):
    """One of the loads of ``etcdctl check perf``: puts by some clients, at most at some rate."""

    name: str
    clients: int
    per_s: int


SMALL, LARGEST = Model("s", 50, 150), Model("xl", 1_000, 15_000)


def run(bench: Bench) -> None:
    """Ours, then etcd's own for a minute, then ours again, on the same cluster."""
    if reason := Etcd.missing():
        bench.say(f"crosscheck: skipped, {reason}")
        return
    model = SMALL if bench.settings.short else LARGEST
    work = f"put, load {model.name}: {model.clients:,} clients, at most {model.per_s:,}/s"
    cluster = bench.cluster(Etcd)
    with bench.attempt("etcdctl check perf"), running([cluster]):
        bench.warm_up(cluster)
        ours = [bench.load(cluster, bench.timed(puts(model)))]
        theirs = check_perf(cluster, model)
        bench.record(NAME, work, cluster, theirs, way=ETCDCTL)
        ours.append(bench.load(cluster, bench.timed(puts(model))))
        for repeat, found in enumerate(ours):
            found["rate_ratio"] = found["per_s"] / theirs["per_s"]
            bench.record(NAME, work, cluster, found, repeat=repeat)


def puts(model: Model) -> Load:
    """The same load by our generator."""
    return Load(
        op="put", outstanding=model.clients, clients=min(CONNECTIONS, model.clients),
        rate=model.per_s, value_size=VALUE_BYTES, key_size=KEY_BYTES,
    )  # fmt: skip


def check_perf(cluster: Etcd, model: Model) -> Outcome:
    """Let etcd's own generator put for a minute; errors as for `read_check`."""
    command = [ETCDCTL, "--endpoints", cluster.endpoints(), "check", "perf", f"--load={model.name}"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S,
        env={**os.environ, "ETCDCTL_API": "3"},
    )  # fmt: skip
    return read_check(done.stdout + done.stderr)


def read_check(said: str) -> Outcome:
    """The figures of what ``etcdctl check perf`` said; it exits with 1 if it judges them too low.

    Raises:
        NotReady: if it said none.
    """
    found = [pattern.search(said) for pattern in (_THROUGHPUT, _SLOWEST, _DEVIATION)]
    if None in found:
        raise NotReady(f"etcdctl check perf gave no figures: {said[-500:]}")
    per_s, slowest_s, deviation_s = (float(each.group(1)) for each in found if each is not None)
    return {"per_s": per_s, "slowest_ms": slowest_s * 1e3, "stddev_ms": deviation_s * 1e3}


SUITE = Suite(
    NAME, "etcd by its own generator", (PER_S, RATIO, SLOWEST, DEVIATION, SERVER_CPU), run
)
