"""What stands in for the extra ``server`` when commands start nodes."""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio

from decreed.registry.cluster_secret import ClusterSecret
from decreed.registry.config import ClusterConfig
from decreed.registry.errors import Damaged
from decreed.registry.server.start import ServerStart
from decreed.registry.types import NodeId


class Parts:
    """Stands in for the extra ``server``: nodes that do nothing until they are stopped."""

    def __init__(self) -> None:
        self.opened: list[tuple[Path, str]] = []
        self.joined: list[str] = []
        self.start = ServerStart()
        self.closed = 0
        self.served: list[tuple[tuple[str, ...], str | None]] = []
        self.formation: bytes | None = None
        self.read: tuple[int, ...] = ()
        self.fault: Exception | None = None
        self.secrets: list[ClusterSecret | None] = []

    def open_directory(
        self, path: Path, config: ClusterConfig, node: NodeId, *, joins: bool
    ) -> "Parts":
        self.opened.append((path, node))
        self.joined += [node] if joins else []
        return self

    def open_seed(self, paths: Sequence[Path], config: ClusterConfig) -> Any:
        if paths == (Path("cut.snapshot"),):
            raise Damaged("cut.snapshot: the file ends after block 3")
        if Path("gone.snapshot") in paths:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", "gone.snapshot")
        return paths

    def close(self) -> None:
        self.closed += 1

    def recovered(self) -> Any:
        identity = SimpleNamespace(formation=self.formation)
        cursors = [SimpleNamespace(index=index) for index in self.read]
        return SimpleNamespace(identity=identity, cursors=cursors)

    async def serve_node(
        self,
        config: ClusterConfig,
        storage: Any,
        stop: trio.Event,
        start: ServerStart,
        *,
        listen_on: tuple[str, ...],
        started: Callable[[], None],
    ) -> None:
        self.served.append((listen_on, start.advertise))
        self.start = start
        self.secrets.append(start.secret)
        if self.fault:
            raise self.fault
        started()
        start.on_formed(b"f" * 16)
        await stop.wait()
