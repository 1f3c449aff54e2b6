"""PySyncObj: Raft in Python, as a library. The caller runs inside a node, so nodes run their own load.

Its journal is on, though it is not synced. Its batching by ticks is off, since with it every operation
takes 0.1 s.
"""

import importlib.util
import json
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..load import Load, Outcome, settled, with_cpu_per_op
from .cluster import Cluster, NotReady

ROOT = Path(__file__).parent.parent.parent


class PySyncObj(Cluster):
    """Processes with one PySyncObj node each, which get their orders over a socket."""

    name = "pysyncobj"

    def __init__(self, folder: Path, size: int = 3) -> None:
        super().__init__(folder, size)
        self._raft_ports = self.hold_ports()

    @classmethod
    def missing(cls) -> str:
        """Needs the package."""
        found = importlib.util.find_spec("pysyncobj")
        return "" if found else "pysyncobj not installed (pip install 'decreed[bench]')"

    def prepare(self) -> None:
        """Nothing: everything is on the command line."""

    def command(self, node: int) -> list[str]:
        """A node, with the ports of all nodes; its own comes first."""
        others = [port for port in self._raft_ports if port != self._raft_ports[node]]
        raft = [str(port) for port in (self._raft_ports[node], *others)]
        program = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
        program += "; from bench.systems.pysyncobj_node import main; main()"
        return [sys.executable, "-c", program, f"{self.ports[node]}", f"{self.data(node)}", *raft]

    def _connect(self, node: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[node]), timeout=2)

    def _status(self, node: int) -> dict[str, Any]:
        try:
            with self._connect(node) as asked:
                asked.sendall(b'{"op": "status"}\n')
                found: dict[str, Any] = json.loads(asked.makefile().readline())
        except (OSError, ValueError):
            return {}
        return found

    def serving(self) -> bool:
        """Whether all running nodes are ready and know a leader."""
        nodes = [node for node in range(self.size) if self.is_running(node)]
        reports = [self._status(node) for node in nodes]
        return all(report.get("ready") and report.get("leader") for report in reports)

    def leader(self) -> int:
        """The node that says it leads."""
        for node in range(self.size):
            report = self._status(node) if self.is_running(node) else {}
            if report and report["leader"] == report["self"]:
                return node
        raise NotReady("PySyncObj has no leader")

    def begin(self, load: Load) -> Callable[[], Outcome]:
        """Have a node do the load, by default the leader; the returned function waits for it."""
        load = settled(self, load)
        node = load.nodes[0] if load.nodes else self.leader()
        asked = self._connect(node)
        asked.settimeout(load.seconds + load.warm_up + 120)
        asked.sendall(json.dumps(asdict(load) | {"pids": self.pids}).encode() + b"\n")
        return lambda: _outcome(asked)


def _outcome(asked: socket.socket) -> Outcome:
    with asked:
        line = asked.makefile().readline()
    if not line:
        raise NotReady("the PySyncObj node ended in the middle of a load")
    return with_cpu_per_op(json.loads(line))
