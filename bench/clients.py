"""Runs loads by the usual Python clients, each in a process of its own."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .library.order import Order
from .load import Load, Outcome, outcome, settled
from .systems.cluster import Cluster

ROOT = Path(__file__).parent.parent
PACKAGES = {"decreed": "decreed", "zookeeper": "kazoo", "redis": "redis"}


class Library:
    """The usual Python client of each system.

    Attributes:
        python: the interpreter that loads run in.
    """

    python: ClassVar[str] = sys.executable

    @staticmethod
    def missing(cluster: Cluster) -> str:
        """Why there is no such client of `cluster`'s system; empty if there is one."""
        package = PACKAGES.get(cluster.name)
        if package is None:
            return f"no Python client of {cluster.name} is measured"
        return "" if importlib.util.find_spec(package) else f"{package} not installed"

    @classmethod
    def begin(
        cls, cluster: Cluster, load: Load, before: Sequence[str] = ()
    ) -> "subprocess.Popen[str]":
        """Start a load; `outcome` waits for it. `before`: a command prefix, such as ``nice``."""
        command = [*before, cls.python, "-m", "bench.library", _order(cluster, load).encoded()]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)

    @classmethod
    def run(cls, cluster: Cluster, load: Load) -> Outcome:
        """Run a load to its end."""
        return outcome(cls.begin(cluster, load), load)


def _order(cluster: Cluster, load: Load) -> Order:
    load = settled(cluster, load)
    return Order(
        system=cluster.name,
        addresses=cluster.addresses(load.nodes),
        pids=cluster.pids,
        op=load.op,
        outstanding=load.clients if load.op in ("lock", "list") else load.outstanding,
        batch=load.batch,
        value_size=load.value_size,
        seconds=load.seconds,
        warm_up=load.warm_up,
        keyspace=load.keyspace,
        prefix=load.prefix,
        series_ms=load.series_ms,
    )
