"""etcd, with its defaults, which are durable."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .cluster import Cluster, NotReady


class Etcd(Cluster):
    """A cluster of etcd members."""

    name = "etcd"
    protocol = "etcd"

    def __init__(self, folder: Path, size: int = 3) -> None:
        super().__init__(folder, size)
        self._peer_ports = self.hold_ports()

    @classmethod
    def missing(cls) -> str:
        """Needs ``etcd`` and ``etcdctl``."""
        absent = [name for name in ("etcd", "etcdctl") if shutil.which(name) is None]
        return f"{' and '.join(absent)} not installed (etcd-server, etcd-client)" if absent else ""

    def prepare(self) -> None:
        """Nothing: everything is on the command line."""

    def command(self, node: int) -> list[str]:
        """One member of a static cluster."""
        client = f"http://127.0.0.1:{self.ports[node]}"
        peers = [f"http://127.0.0.1:{port}" for port in self._peer_ports]
        members = ",".join(f"n{number}={url}" for number, url in enumerate(peers))
        options = {
            "name": f"n{node}",
            "data-dir": f"{self.data(node)}/data",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peers[node],
            "initial-advertise-peer-urls": peers[node],
            "initial-cluster": members,
            "initial-cluster-token": "bench",
            "initial-cluster-state": "new",
            "log-level": "error",
        }
        return ["etcd", *(f"--{name}={text}" for name, text in options.items())]

    def _status(self, node: int) -> dict[str, Any] | None:
        command = ["etcdctl", "--endpoints", self.endpoints([node]), "--command-timeout=2s"]
        done = subprocess.run(
            [*command, "endpoint", "status", "-w", "json"],
            capture_output=True,
            env={**os.environ, "ETCDCTL_API": "3"},
        )
        try:
            found: dict[str, Any] = json.loads(done.stdout)[0]["Status"]
        except (ValueError, IndexError, KeyError, TypeError):
            return None
        return found

    def serving(self) -> bool:
        """Whether all running members know a leader and have applied the same."""
        reports = [self._status(node) for node in range(self.size) if self.is_running(node)]
        known = [report for report in reports if report is not None and report.get("leader")]
        return len(known) == len(reports) and len({r["raftAppliedIndex"] for r in known}) == 1

    def leader(self) -> int:
        """The member that says it leads."""
        for node in range(self.size):
            report = self._status(node) if self.is_running(node) else None
            if report and report.get("leader") == report["header"]["member_id"]:
                return node
        raise NotReady("etcd has no leader")
