"""A load: the operations that are run on a cluster, and their outcome."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .systems.cluster import Cluster, NotReady

SOURCES = Path(__file__).parent / "generator"
WITH_TLS = ("-DWITH_TLS", "-lssl", "-lcrypto")
Outcome = dict[str, Any]
"""What a load reports: the names that ``bench/generator/account.c`` prints."""


@dataclass(frozen=True)
class Load:
    """The operations of a load.

    Args:
        op: claim, read, stale-read, sync-read, contend, watch or lock; put, only of etcd; list, only
            by the library.
        outstanding: operations under way at a time.
        clients: how many clients they are divided among; 0 for the default of the system.
        batch: keys in one operation.
        value_size: bytes.
        seconds, warm_up: measured, and before that unmeasured.
        count: the number of operations after which it ends; 0 for no limit. Claims use that many keys.
        keyspace: how many keys reads choose from.
        prefix: of keys, or the lock's name; empty for a new one.
        key_base: the number of the first key.
        rate: operations a second; 0 for as many as possible.
        patience: seconds after which an operation is tried elsewhere, if `robust`.
        robust: whether to retry elsewhere after broken connections, errors and silence.
        eager: whether to begin before all nodes can be reached; implies `robust`.
        series_ms: length of the cells of a series over time; 0 for no series.
        nodes: the nodes to use; empty for all.
        home: the node of decreed that is to be the home of all keys; empty if they are spread.
        key_size: bytes of a key that is put, at least.
    """

    op: str = "claim"
    outstanding: int = 1
    clients: int = 0
    batch: int = 1
    value_size: int = 64
    seconds: float = 5.0
    warm_up: float = 1.0
    count: int = 0
    keyspace: int = 1
    prefix: str = ""
    key_base: int = 0
    rate: float = 0.0
    patience: float = 0.5
    robust: bool = False
    eager: bool = False
    series_ms: float = 0.0
    nodes: tuple[int, ...] = ()
    home: str = ""
    key_size: int = 0


class LoadGenerator:
    """The load generator, compiled.

    Args:
        program: the path of the executable.
        has_tls: whether it speaks TLS, which takes the headers of OpenSSL.
    """

    def __init__(self, program: Path, *, has_tls: bool = False) -> None:
        self._program = program
        self.has_tls = has_tls

    @staticmethod
    def missing() -> str:
        """Why it cannot be built; empty if it can."""
        return "" if shutil.which("gcc") else "gcc not installed"

    @classmethod
    def build(cls, folder: Path) -> "LoadGenerator":
        """Compile the generator into `folder`.

        Raises:
            NotReady: with the compiler's errors.
        """
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "generator"
        sources = sorted(str(path) for path in SOURCES.glob("*.c"))
        command = ["gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", str(program), *sources]
        done = subprocess.run([*command, *WITH_TLS], capture_output=True, text=True)
        has_tls = not done.returncode
        if not has_tls:
            done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise NotReady(f"the load generator does not compile: {done.stderr[-2000:]}")
        return cls(program, has_tls=has_tls)

    def begin(self, cluster: Cluster, load: Load) -> "subprocess.Popen[str]":
        """Start a load; `outcome` waits for it."""
        command = [str(self._program), *options(cluster, load)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcome(process: "subprocess.Popen[str]", load: Load) -> Outcome:
    """Wait for a load and read its report; adds the CPU time of one operation.

    Raises:
        NotReady: if the load failed.
    """
    try:
        printed, said = process.communicate(timeout=load.seconds + load.warm_up + 120)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        raise NotReady(f"the load ended with {process.returncode}: {said[-500:]}")
    return with_cpu_per_op(json.loads(printed))


def with_cpu_per_op(found: Outcome) -> Outcome:
    """Add the CPU time of one operation, of the servers and of the client, in microseconds."""
    done = max(1, found["done"])
    costs = {f"{who}_us": found[f"{who}_s"] * 1e6 / done for who in ("server_cpu", "client_cpu")}
    return found | costs


def settled(cluster: Cluster, load: Load) -> Load:
    """`load` with its open parameters filled in for `cluster`."""
    prefix = load.prefix or (cluster.lock_name() if load.op == "lock" else cluster.prefix())
    clients = load.clients or min(load.outstanding, _clients(cluster, load.outstanding))
    return replace(load, prefix=prefix, clients=clients)


def _clients(cluster: Cluster, outstanding: int) -> int:
    return cluster.clients * (2 if outstanding > 64 else 1)


def options(cluster: Cluster, load: Load) -> Sequence[str]:
    """The command line of the load generator."""
    load = settled(cluster, load)
    values = {
        "protocol": cluster.protocol,
        "endpoints": cluster.endpoints(load.nodes),
        "pids": ",".join(map(str, cluster.pids)),
        "op": load.op,
        "lock" if load.op == "lock" else "prefix": load.prefix,
        "clients": load.clients,
        "outstanding": load.outstanding,
        "batch": load.batch,
        "value-size": load.value_size,
        "seconds": load.seconds,
        "warm-up": load.warm_up,
        "count": load.count,
        "keyspace": load.keyspace,
        "key-base": load.key_base,
        "rate": load.rate,
        "patience": load.patience,
        "series-ms": load.series_ms,
        "key-size": load.key_size,
        **cluster.tls_options(),
        **cluster.wire_options(),
    }
    if load.home:
        values["home"] = load.home
    flags = [f"--{name}" for name in ("robust", "eager") if getattr(load, name)]
    return [word for name, value in values.items() for word in (f"--{name}", str(value))] + flags
