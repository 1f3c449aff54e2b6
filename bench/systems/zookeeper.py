"""ZooKeeper, with its defaults, which are durable, and a heap for a million nodes."""

import re
import shutil
import socket
from pathlib import Path

from .cluster import Cluster, NotReady

JAR = Path("/usr/share/java/zookeeper.jar")
HEAP = "1000m"
_MODE = re.compile(rb"Mode: (\w+)")


class ZooKeeper(Cluster):
    """An ensemble of ZooKeeper servers."""

    name = "zookeeper"
    protocol = "zookeeper"
    warm_up_s = 20.0
    linearizable_read = "sync-read"

    def __init__(self, folder: Path, size: int = 3) -> None:
        super().__init__(folder, size)
        self._peer_ports, self._election_ports = self.hold_ports(), self.hold_ports()

    @classmethod
    def missing(cls) -> str:
        """Needs Java and the jar of the distribution's package."""
        if shutil.which("java") is None:
            return "java not installed"
        return "" if JAR.exists() else f"{JAR} not installed (zookeeper)"

    def prepare(self) -> None:
        """Write each server's ``zoo.cfg`` and ``myid``."""
        for node in range(self.size):
            data = self.data(node) / "data"
            data.mkdir(parents=True)
            (data / "myid").write_text(f"{node + 1}")
            (self.data(node) / "zoo.cfg").write_text(self._configuration(node))

    def _configuration(self, node: int) -> str:
        settings = {
            "tickTime": 2000,
            "initLimit": 10,
            "syncLimit": 5,
            "dataDir": self.data(node) / "data",
            "clientPort": self.ports[node],
            "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false",
            "maxClientCnxns": 0,
        }
        # a single server does not start with a list of servers
        if self.size > 1:
            for other in range(self.size):
                ports = f"{self._peer_ports[other]}:{self._election_ports[other]}"
                settings[f"server.{other + 1}"] = f"127.0.0.1:{ports}"
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def command(self, node: int) -> list[str]:
        """The server's main class, as the package's own script starts it."""
        return [
            "java",
            f"-Xmx{HEAP}",
            f"-Dzookeeper.log.dir={self.folder}",
            "-Djava.net.preferIPv4Stack=true",
            "-cp",
            f"/etc/zookeeper/conf:{JAR}",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            f"{self.data(node)}/zoo.cfg",
        ]

    def _mode(self, node: int) -> str:
        try:
            with socket.create_connection(("127.0.0.1", self.ports[node]), timeout=1) as asked:
                asked.sendall(b"srvr")
                answer = b"".join(iter(lambda: asked.recv(4096), b""))
        except OSError:
            return ""
        found = _MODE.search(answer)
        return found.group(1).decode() if found else ""

    def serving(self) -> bool:
        """Whether one running server leads and all others follow."""
        modes = sorted(self._mode(node) for node in range(self.size) if self.is_running(node))
        if self.size == 1:
            return modes == ["standalone"]
        return modes == ["follower"] * (len(modes) - 1) + ["leader"]

    def leader(self) -> int:
        """The server that says it leads."""
        for node in range(self.size):
            if self.is_running(node) and self._mode(node) in ("leader", "standalone"):
                return node
        raise NotReady("ZooKeeper has no leader")
