"""A cluster of real ``decreed serve`` processes, to be killed, paused and started again."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from decreed.cli.config.cluster_secret import beside
from decreed.cli.config.new_secret import keep_secret
from decreed.cli.config.settings_text import config_text
from decreed.client import sync
from decreed.client.sync import Registry
from decreed.registry.config import MIB
from decreed.registry.wire.codec import decode_batch, encode
from decreed.registry.wire.frames import FrameCutter, pack
from decreed.registry.wire.handshake import MAGIC, VERSION, ClientHello, Reception, Refusal
from decreed.registry.wire.requests import Answer, StatusRequest
from decreed.registry.wire.status import StatusReport

from .forked import Forked
from .ports import hold, let_go

PATIENCE_S = 180.0
"""Far more than any command takes here, also on a busy machine."""
STATUS_S = 10.0


def decreed(*arguments: str | Path) -> list[str]:
    """The command line of a ``decreed`` command."""
    return [sys.executable, "-m", "decreed", *map(str, arguments)]


def run(
    *arguments: str | Path, endpoints: str = "", stdin: bytes = b"", timeout: float = PATIENCE_S
) -> subprocess.CompletedProcess[bytes]:
    """Run a ``decreed`` command to its end."""
    environment = {**os.environ, "DECREED_ENDPOINTS": endpoints, "NO_COLOR": "1"}
    return subprocess.run(
        decreed(*arguments), capture_output=True, input=stdin, env=environment, timeout=timeout
    )


def eventually(what: str, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Poll until `condition` holds; `what` names it in the failure."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"within {patience_s:.0f} s: {what}"
        time.sleep(0.02)


@dataclass
class Processes:
    """The processes of one cluster.

    Attributes:
        folder: has ``cluster.toml``, and a data directory and a log for each node.
        addresses: where each node listens.
        running: the processes that were started and not reaped.
    """

    folder: Path
    addresses: dict[str, str]
    running: "dict[str, Forked | subprocess.Popen[bytes]]" = field(
        default_factory=dict[str, "Forked | subprocess.Popen[bytes]"]
    )

    @property
    def nodes(self) -> list[str]:
        """The members."""
        return list(self.addresses)

    @property
    def endpoints(self) -> str:
        """All addresses, as the command line takes them."""
        return ",".join(self.addresses.values())

    @property
    def config(self) -> Path:
        """The cluster's configuration."""
        return self.folder / "cluster.toml"

    def data(self, node: str) -> Path:
        """A node's data directory."""
        return self.folder / node

    def log(self, node: str) -> str:
        """The whole log of a node."""
        return (self.folder / f"{node}.log").read_text()

    def start(self, node: str, *options: str, config: Path | None = None) -> None:
        """Start a node; do not wait for it."""
        words = ["serve", "--config", config or self.config, "--node", node]
        words += ["--data", self.data(node), *options]
        self.running[node] = Forked([*map(str, words)], self.folder / f"{node}.log")

    def signal(self, node: str, number: signal.Signals) -> None:
        """Send a signal to a node."""
        self.running[node].send_signal(number)

    def kill(self, *nodes: str) -> None:
        """SIGKILL, all at once, then reap."""
        for node in nodes:
            self.signal(node, signal.SIGKILL)
        for node in nodes:
            self.running.pop(node).wait(PATIENCE_S)

    def stop(self, node: str) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(node, signal.SIGTERM)
        return self.running.pop(node).wait(PATIENCE_S)

    def exit_code(self, node: str) -> int:
        """Wait until a node ends by itself."""
        return self.running.pop(node).wait(PATIENCE_S)

    def alone(self, node: str) -> contextlib.AbstractContextManager[Registry]:
        """A client that knows the address of one node only."""
        return sync.connect(self.addresses[node], timeout=PATIENCE_S)

    def client(self) -> contextlib.AbstractContextManager[Registry]:
        """A client that knows the addresses of all nodes."""
        return sync.connect(*self.addresses.values(), timeout=PATIENCE_S)

    def report(self, node: str) -> StatusReport | None:
        """The status report of a node; None if it does not answer."""
        return None if self._has_ended(node) else told_by(self.addresses[node])

    def await_voting(self, *nodes: str) -> None:
        """Wait until these nodes take part and see each other."""
        for node in nodes:
            sees = partial(self._sees, node, {*nodes})
            eventually(f"{node} votes and sees {nodes}", sees)

    def _sees(self, node: str, nodes: set[str]) -> bool:
        report = self.report(node)
        if report is None or not report.voting:
            return False
        return nodes - {node} <= {peer.node for peer in report.peers if peer.reachable}

    def _has_ended(self, node: str) -> bool:
        process = self.running.get(node)
        return process is None or process.poll() is not None

    def end(self) -> None:
        """Kill the processes that still run, paused ones too, and release the ports."""
        for node in list(self.running):
            self.kill(node)
        let_go(int(address.rpartition(":")[2]) for address in self.addresses.values())
        self._check_secret()

    def _check_secret(self) -> None:
        """S05: no log has the secret of the cluster."""
        secret = beside(self.config)
        text = secret.read_text().strip() if secret.exists() else ""
        for log in self.folder.glob("*.log") if text else ():
            assert text not in log.read_text(errors="replace"), log


def told_by(address: str) -> StatusReport | None:
    """The status report of the node at an address, read without the client library for speed."""
    host, _, port = address.rpartition(":")
    kinds: list[Any] = [Reception, Answer]
    cutter = FrameCutter(MIB)
    try:
        with socket.create_connection((host, int(port)), STATUS_S) as stream:
            for message in (ClientHello(MAGIC, VERSION, VERSION), StatusRequest(1)):
                stream.sendall(b"".join(pack([encode(message)])))
            while kinds and (data := stream.recv(MIB)):
                for payload in cutter.feed(data):
                    [answer] = decode_batch(payload, kinds.pop(0))
                    if isinstance(answer, StatusReport | Refusal):
                        return answer if isinstance(answer, StatusReport) else None
    except OSError:
        pass
    return None


def make(
    folder: Path,
    size: int = 3,
    edit: Callable[[str], str] = lambda text: text,
    further_hosts: tuple[str, ...] = (),
) -> Processes:
    """Write a configuration as ``decreed init`` does, edited if wanted, without starting a node.

    The ports are held until the cluster is ended, at further hosts too if there are any.
    """
    ports = hold(size, *further_hosts)
    addresses = {f"n{n + 1}": f"127.0.0.1:{port}" for n, port in enumerate(ports)}
    cluster = Processes(folder, addresses)
    folder.mkdir(parents=True, exist_ok=True)
    cluster.config.write_text(edit(config_text(secrets.token_hex(16), addresses)))
    keep_secret(beside(cluster.config))
    return cluster


@contextlib.contextmanager
def running(
    folder: Path, size: int = 3, edit: Callable[[str], str] = lambda text: text
) -> Iterator[Processes]:
    """A cluster that votes; killed at the end."""
    cluster = make(folder, size, edit)
    try:
        for node in cluster.nodes:
            cluster.start(node)
        cluster.await_voting(*cluster.nodes)
        yield cluster
    finally:
        cluster.end()


def put_back(source: Path, target: Path) -> None:
    """Replace one directory by a copy of another."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
