"""The processes of the cluster: each has a door, a clock, and perhaps a volume of its own."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ..support.processes import PATIENCE_S, Processes, make
from .clocks import Clock, library
from .volume import Volume, small_volume

ROOT = Path(__file__).parents[2]
BEHIND = "127.0.0.2"
"""Nodes listen on the port of their door, at an address that no outgoing connection uses."""
VOLUME_BYTES = 512 * 1024 * 1024


@dataclass
class Nodes(Processes):
    """The cluster as processes.

    Attributes:
        seeded: the name of a mistake from the catalogue that all nodes run with; empty for none.
        lifetime_s: after this long nodes stop by themselves, in case the test was killed.
        clocks: the wall clock of each node, if clocks can jump.
        volumes: the volumes of the nodes that have one.
    """

    seeded: str = ""
    lifetime_s: float = 600.0
    clocks: dict[str, Clock] = field(default_factory=dict[str, Clock])
    volumes: dict[str, Volume] = field(default_factory=dict[str, Volume])

    def data(self, node: str) -> Path:
        """A node's data directory, as the node sees it."""
        volume = self.volumes.get(node)
        return (volume.folder if volume else self.folder) / f"{node}.data"

    def seen(self, node: str) -> Path:
        """A node's data directory, as this process sees it."""
        volume = self.volumes.get(node)
        return (volume.path if volume else self.folder) / f"{node}.data"

    def behind(self, node: str) -> tuple[str, int]:
        """Where a node listens."""
        return BEHIND, self.door(node)[1]

    def door(self, node: str) -> tuple[str, int]:
        """Where others connect to a node."""
        host, _, port = self.addresses[node].rpartition(":")
        return host, int(port)

    def start(self, node: str, *options: str, config: Path | None = None) -> None:
        """Start a node; do not wait for it."""
        host, port = self.behind(node)
        places = ["--config", str(config or self.config), "--data", str(self.data(node))]
        bounds = ["--listen", f"{host}:{port}", "--timeout", f"{self.lifetime_s:.0f}s"]
        command = [
            *_while_we_live(),
            *self._program(node),
            "serve",
            "--node",
            node,
            *places,
            *bounds,
            *options,
        ]
        clock = self.clocks.get(node)
        environment = clock.environment() if clock else dict(os.environ)
        with (self.folder / f"{node}.log").open("ab") as log:
            self.running[node] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env=environment,
            )

    def are_whole(self) -> bool:
        """Whether all nodes take part and see each other."""
        return all(self._sees(node, {*self.nodes}) for node in self.nodes)

    def ended(self, node: str) -> int:
        """Wait until a node has ended; returns its exit code."""
        code = self.running[node].wait(2 * PATIENCE_S)
        del self.running[node]
        return code

    def close(self) -> None:
        """End all processes, then all volumes."""
        self.end()
        for volume in self.volumes.values():
            volume.close()

    def resume(self, node: str) -> None:
        """Resume a paused node."""
        if node in self.running:
            self.signal(node, signal.SIGCONT)

    def _program(self, node: str) -> list[str]:
        volume = self.volumes.get(node)
        before = volume.inside if volume else []
        if self.seeded:
            return [*before, sys.executable, "-m", "tests.chaos.seeded", self.seeded]
        return [*before, sys.executable, "-m", "decreed"]


def _while_we_live() -> list[str]:
    """The command prefix that kills a command with this process; empty if it is not installed."""
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def build(folder: Path, size: int, lifetime_s: float, seeded: str = "") -> Nodes:
    """Write a cluster's configuration; the last node gets a volume, if this machine allows one."""
    made = make(folder, size, further_hosts=(BEHIND,))
    nodes = Nodes(made.folder, made.addresses, seeded=seeded, lifetime_s=lifetime_s)
    last = nodes.nodes[-1]
    volume = small_volume(folder / "volume", VOLUME_BYTES)
    if volume is not None:
        nodes.volumes[last] = volume
    if library() is not None:
        nodes.clocks = {node: Clock(folder / f"{node}.clock") for node in nodes.nodes}
    for clock in nodes.clocks.values():
        clock.jump(0)
    return nodes
