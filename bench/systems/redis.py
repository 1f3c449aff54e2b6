"""Redis: one node, every write synced. A popular choice, without consensus."""

import shutil
import socket
from pathlib import Path

from .cluster import Cluster


class Redis(Cluster):
    """One Redis server; `size` is ignored."""

    name = "redis"
    protocol = "redis"

    def __init__(self, folder: Path, size: int = 1) -> None:
        super().__init__(folder, 1)

    @classmethod
    def missing(cls) -> str:
        """Needs ``redis-server``."""
        return "" if shutil.which("redis-server") else "redis-server not installed"

    def prepare(self) -> None:
        """Nothing: everything is on the command line."""

    def command(self, node: int) -> list[str]:
        """An append-only file, synced before each answer; key events for watches."""
        return [
            *("redis-server", "--port", f"{self.ports[node]}", "--bind", "127.0.0.1"),
            *("--dir", f"{self.data(node)}", "--appendonly", "yes", "--appendfsync", "always"),
            *("--save", "", "--notify-keyspace-events", "K$"),
        ]

    def serving(self) -> bool:
        """Whether it answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.ports[0]), timeout=1) as asked:
                asked.sendall(b"PING\r\n")
                return asked.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def leader(self) -> int:
        """The one node."""
        return 0
