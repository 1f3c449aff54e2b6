"""The common part of all systems: nodes are processes that are started, paused, killed, always ended.

A subclass says how a node is started and when it serves; the rest is here. Nodes count from 0. Every
process is ended by its own pid, and by the kernel if the suite dies first.
"""

import contextlib
import ctypes
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from decreed.cli.shell.ports import held_ports

PATIENCE_S = 60.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class NotReady(Exception):
    """A server did not come up, or did not do what the benchmark needs."""


def await_that(
    what: str, holds: Callable[[], bool], patience_s: float = PATIENCE_S, pause_s: float = 0.02
) -> None:
    """Poll until `holds`, at intervals of `pause_s`.

    Raises:
        NotReady: if that takes more than `patience_s` seconds.
    """
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            raise NotReady(f"within {patience_s:.0f} s it did not come about that {what}")
        time.sleep(pause_s)


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Cluster(ABC):
    """One cluster of a system.

    Args:
        folder: for data, configuration and logs; made here, removed by `wipe`.
        size: how many nodes.

    Attributes:
        name: the name of the system in tables.
        protocol: its name in the load generator; empty if that cannot drive it.
        clients: over how many connections a load of 64 outstanding is spread.
        linearizable_read: the load's op for linearizable reads at any node.
        warm_up_s: how long a load must run until the servers are warm (a JIT takes time).
    """

    name: ClassVar[str]
    protocol: ClassVar[str] = ""
    clients: ClassVar[int] = 6
    warm_up_s: ClassVar[float] = 3.0
    linearizable_read: ClassVar[str] = "read"

    def __init__(self, folder: Path, size: int = 3) -> None:
        self.folder, self.size = folder, size
        self._held = contextlib.ExitStack()
        self.ports = self.hold_ports()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._keys = 0

    @classmethod
    @abstractmethod
    def missing(cls) -> str:
        """Why this system cannot be run here; empty if it can."""

    @abstractmethod
    def command(self, node: int) -> list[str]:
        """The command line of a node."""

    @abstractmethod
    def serving(self) -> bool:
        """Whether all running nodes take part and the cluster accepts claims."""

    @abstractmethod
    def leader(self) -> int:
        """The leader; any node if the system has no leader."""

    @abstractmethod
    def prepare(self) -> None:
        """Write the files that nodes need before their first start."""

    def hold_ports(self) -> tuple[int, ...]:
        """A port for each node, reserved even while the node does not run."""
        return held_ports(self._held, self.size)

    def give_ports_back(self) -> None:
        """Release the ports."""
        self._held.close()

    def environment(self) -> dict[str, str] | None:
        """The environment of its processes; None for that of the benchmark."""
        return None

    def tls_options(self) -> Mapping[str, object]:
        """What the load generator needs to connect by TLS: `ca`, `cert` and `key`; empty without."""
        return {}

    def wire_options(self) -> Mapping[str, object]:
        """What the load generator needs to speak an older version of the protocol; empty by default."""
        return {}

    def prefix(self) -> str:
        """An unused prefix for keys."""
        self._keys += 1
        return f"/b{self._keys}-"

    def lock_name(self) -> str:
        """An unused name for a lock."""
        self._keys += 1
        return f"/lock{self._keys}"

    def endpoints(self, nodes: Sequence[int] = ()) -> str:
        """Addresses of `nodes`, by default of all, as the load generator takes them."""
        return ",".join(f"127.0.0.1:{self.ports[node]}" for node in nodes or range(self.size))

    def addresses(self, nodes: Sequence[int] = ()) -> list[str]:
        """The same for clients of other kinds, as a list."""
        return [f"127.0.0.1:{self.ports[node]}" for node in nodes or range(self.size)]

    def data(self, node: int) -> Path:
        """The folder of a node's data."""
        return self.folder / f"node{node}"

    # ---- processes ----

    def start_node(self, node: int) -> None:
        """Start a node; do not wait for it."""
        self.data(node).mkdir(parents=True, exist_ok=True)
        with (self.folder / f"node{node}.log").open("ab") as log:
            self._running[node] = subprocess.Popen(
                self.command(node),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.data(node),
                env=self.environment(),
                preexec_fn=_end_with_parent,
            )

    def start(self, *, wait: bool = True) -> None:
        """Start all nodes on empty disks; by default return when the cluster serves."""
        self.wipe()
        self.folder.mkdir(parents=True)
        self.prepare()
        self.start_again(wait=wait)

    def start_again(self, *, wait: bool = True) -> None:
        """Start all nodes on the data that they have stored."""
        for node in range(self.size):
            self.start_node(node)
        if wait:
            self.await_serving()

    def await_serving(self) -> None:
        """Return when the cluster serves."""
        await_that(f"{self.name} serves (logs in {self.folder})", self.serving)

    def signal(self, node: int, number: signal.Signals) -> None:
        """Send a signal to a node, to pause it for example."""
        self._running[node].send_signal(number)

    def kill(self, *nodes: int) -> None:
        """SIGKILL all of `nodes` at once, then reap them."""
        for node in nodes:
            self._running[node].kill()
        for node in nodes:
            self._running.pop(node).wait(PATIENCE_S)

    def stop(self) -> None:
        """SIGTERM all nodes, so that they end by themselves, and wait for it."""
        for node in self._running.values():
            node.terminate()
        while self._running:
            self._running.popitem()[1].wait(PATIENCE_S)

    def end(self) -> None:
        """Kill every running node, even a paused one."""
        self.kill(*self._running)

    def wipe(self) -> None:
        """Remove all data and logs."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_running(self, node: int) -> bool:
        """Whether the node's process lives."""
        return node in self._running and self._running[node].poll() is None

    def pid(self, node: int) -> int:
        """The process of a running node."""
        return self._running[node].pid

    @property
    def pids(self) -> list[int]:
        """The processes of all running nodes."""
        return [self.pid(node) for node in range(self.size) if self.is_running(node)]


@contextlib.contextmanager
def running(clusters: Sequence[Cluster]) -> Generator[None]:
    """Start clusters on empty disks; always end them and remove their data."""
    try:
        for cluster in clusters:
            cluster.start()
        yield
    finally:
        with contextlib.ExitStack() as stack:
            for cluster in clusters:
                stack.callback(cluster.give_ports_back)
                stack.callback(cluster.wipe)
                stack.callback(cluster.end)
