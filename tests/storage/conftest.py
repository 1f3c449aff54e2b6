"""Both storages as a `Disk`: open it, close it, and open it again with what was written."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from decreed.registry.config import ClusterConfig, parse_config
from decreed.registry.types import NodeId
from decreed.storage.directory import open_directory
from decreed.storage.memory import MemoryDisk, open_memory
from decreed.storage.store import RecordStore

NODE = NodeId("a")


class Disk:
    """A disk of one node, real or in memory; at most one storage is open on it."""

    def __init__(self, opener: Callable[[], RecordStore]) -> None:
        self._opener = opener
        self._open: RecordStore | None = None

    def open(self) -> RecordStore:
        """Open the disk, closing it first if need be."""
        self.close()
        self._open = self._opener()
        return self._open

    def open_beside(self) -> RecordStore:
        """Open the disk without closing it."""
        return self._opener()

    def close(self) -> None:
        """Close the disk."""
        if self._open is not None:
            self._open.close()


def make_config(
    cluster_id: str = "c1", members: str = "abc", prepare: int = 0, accept: int = 0
) -> ClusterConfig:
    """A cluster of nodes with names of one letter."""
    return parse_config(
        {
            "cluster_id": cluster_id,
            "members": {name: f"127.0.0.1:{7000 + at}" for at, name in enumerate(members)},
            "quorums": {"prepare": prepare, "accept": accept},
        }
    )


@pytest.fixture
def config() -> ClusterConfig:
    return make_config()


@pytest.fixture(params=["memory", "deferring memory", "rocks"])
def disk(request: pytest.FixtureRequest, tmp_path: Path, config: ClusterConfig) -> Iterator[Disk]:
    if request.param == "rocks":
        made = Disk(lambda: open_directory(tmp_path / "data", config, NODE))
    else:
        memory = MemoryDisk()
        defers = request.param == "deferring memory"
        made = Disk(lambda: open_memory(memory, config, NODE, os.urandom, defers=defers))
    yield made
    made.close()
