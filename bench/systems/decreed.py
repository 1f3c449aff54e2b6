"""decreed itself, as operators run it: ``decreed init``, then ``decreed serve`` for each node."""

import subprocess
import sys
from collections.abc import Sequence
from typing import ClassVar

from decreed.client import Tls, errors, sync
from decreed.registry.wire.status import StatusReport

from .cluster import Cluster, NotReady
from .prefilled import restore, write_snapshot

_COMPILE = """
import compileall, decreed, pathlib
package = pathlib.Path(decreed.__file__).parent
folders = [package, *(path for path in package.iterdir() if path.is_dir())]  # links in a checkout
assert all([compileall.compile_dir(folder, quiet=1) for folder in folders])
"""


class DecreedSystem(Cluster):
    """A cluster of decreed nodes.

    Attributes:
        python: the interpreter whose installation of decreed is run.
        keys: how many keys it has when it starts, by a restore.
        value_size: the bytes of each of their values.
    """

    name = "decreed"
    protocol = "decreed"
    clients = 2  # each has a link to each node
    python: ClassVar[str] = sys.executable
    keys = 0
    value_size = 64

    @classmethod
    def missing(cls) -> str:
        """Always empty: decreed is here."""
        return ""

    @classmethod
    def compile(cls) -> None:
        """Compile decreed's modules, as an installer does; a checkout may not be compiled yet.

        Raises:
            NotReady: if they do not compile.
        """
        cls.compile_with(None)

    @classmethod
    def compile_with(cls, environment: dict[str, str] | None) -> None:
        """The same in an environment, by which the modules are found."""
        command = [cls.python, "-c", _COMPILE]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise NotReady(f"decreed does not compile: {done.stderr}")

    def prepare(self) -> None:
        """Write ``cluster.toml`` with the defaults of ``decreed init``."""
        nodes = [f"--node=n{n + 1}=127.0.0.1:{port}" for n, port in enumerate(self.member_ports())]
        command = [self.python, "-m", "decreed", "init", str(self.folder), *nodes]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=self.environment()
        )
        if done.returncode:
            raise NotReady(f"decreed init failed: {done.stderr}")
        if self.keys:
            self._fill()

    def _fill(self) -> None:
        snapshot = self.folder / "filled.snapshot"
        write_snapshot(snapshot, self.keys, self.value_size)
        members = range(len(self.member_ports()))
        for node in members:
            self.data(node).mkdir()
        data = {f"n{node + 1}": self.data(node) / "data" for node in members}
        restore([self.python, "-m", "decreed"], snapshot, self.folder, data)
        snapshot.unlink()

    def member_ports(self) -> tuple[int, ...]:
        """The ports of the nodes that form the cluster."""
        return self.ports

    def command(self, node: int) -> list[str]:
        """``decreed serve`` for one node."""
        serve = [self.python, "-m", "decreed", "serve", "--config", f"{self.folder}/cluster.toml"]
        return [*serve, "--node", f"n{node + 1}", "--data", f"{self.data(node)}/data"]

    def endpoints(self, nodes: Sequence[int] = ()) -> str:
        """Addresses with the names of the nodes, which determine the homes of keys."""
        chosen = nodes or range(self.size)
        return ",".join(f"n{node + 1}=127.0.0.1:{self.ports[node]}" for node in chosen)

    def prefix(self) -> str:
        """A prefix of a whole segment."""
        self._keys += 1
        return f"b{self._keys}/"

    def lock_name(self) -> str:
        """A name without a leading slash."""
        self._keys += 1
        return f"lock{self._keys}"

    @property
    def tls(self) -> Tls | None:
        """How a client of the library is secured; None: it is not."""
        return None

    def serving(self) -> bool:
        """Whether every running node votes and reaches every other."""
        nodes = [node for node in range(self.size) if self.is_running(node)]
        reports = [self.report(node) for node in nodes]
        return all(
            report is not None
            and report.voting
            and sum(peer.reachable for peer in report.peers) >= len(nodes) - 1
            for report in reports
        )

    def report(self, node: int) -> StatusReport | None:
        """A node's status report; None if it does not answer."""
        try:
            address = f"127.0.0.1:{self.ports[node]}"
            with sync.connect(address, timeout=2.0, tls=self.tls) as registry:
                reports = registry.status(timeout=2.0)
        except errors.DecreedError:
            return None
        own = [r for r in reports if isinstance(r, StatusReport) and r.node == f"n{node + 1}"]
        return own[0] if own else None

    def leader(self) -> int:
        """The first node; decreed has no leader."""
        return 0
