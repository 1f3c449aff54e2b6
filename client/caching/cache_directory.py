"""The directory of disk caches: one file for each cluster and formation. Blocks.

A formation is one incarnation of a cluster; decrees of another formation are worthless. Until a node
answers, the newest formation that was seen at our endpoints is the best guess.
"""

import hashlib
import logging
import re
import time
from collections.abc import Iterable
from pathlib import Path

from .disk import DecreeFile

LOG = logging.getLogger(__name__)

SUFFIX = ".decrees"
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{32})\.decrees")


class CacheDirectory:
    """The files in one cache directory.

    Args:
        directory: made when first needed.
        max_decrees, max_bytes: the bounds of each file.
    """

    def __init__(self, directory: Path, max_decrees: int, max_bytes: int) -> None:
        self._directory = directory
        self._max_decrees = max_decrees
        self._max_bytes = max_bytes

    def take(self, cluster_id: str, formation: bytes, addresses: Iterable[str]) -> DecreeFile:
        """The file of a formation that was just seen at `addresses`; other formations' are removed."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            LOG.warning("no decree cache in %s: %s", self._directory, error)
        cluster = _digest(cluster_id)
        file = self._file(f"{cluster}-{formation.hex()}{SUFFIX}")
        for name in self._names():
            if name.startswith(cluster) and name != file.path.name:
                self._file(name).remove()
        file.confirm(addresses, time.time())
        return file

    def guess(self, addresses: Iterable[str]) -> tuple[bytes, DecreeFile] | None:
        """The formation last seen at one of `addresses`, with its file; None if there is no such."""
        best: tuple[float, str] | None = None
        wanted = frozenset(addresses)
        for name in self._names():
            file = self._file(name)
            confirmed = file.confirmed(wanted)
            file.close()
            if confirmed is not None:
                best = max(best or (confirmed, name), (confirmed, name))
        if best is None:
            return None
        return bytes.fromhex(best[1][17:49]), self._file(best[1])

    def _names(self) -> list[str]:
        try:
            names = [path.name for path in self._directory.iterdir()]
        except OSError as error:
            LOG.debug("the cache directory %s cannot be read: %s", self._directory, error)
            return []
        return [name for name in names if _NAME.fullmatch(name)]

    def _file(self, name: str) -> DecreeFile:
        return DecreeFile(self._directory / name, self._max_decrees, self._max_bytes)


def _digest(cluster_id: str) -> str:
    return hashlib.blake2b(cluster_id.encode(), digest_size=8).hexdigest()
