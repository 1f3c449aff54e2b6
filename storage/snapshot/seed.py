"""`SnapshotSeed`: the decrees of a snapshot, for a node that joins the formation that it is of.

What a snapshot holds are decrees, and a decree is final. So a node may learn them from a file as from a
peer. Beside them it has marks, which say how far the feeds of voters are in it. Those of the last file
count for the whole chain: its save has read everything, and left out what the others have.

Every byte of the files is checked before the first decree is told, so one that was cut or changed is
refused as a whole. What is in a block is checked when it is told.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...registry.config import ClusterConfig
from ...registry.errors import BadRequest, Damaged
from ...registry.types import Decree
from ...registry.wire.frames import portions
from ...registry.wire.marks import FeedMark
from .chain import SnapshotChain
from .contents import SnapshotHead

PAGE_DECREES = 512
PAGE_BYTES = 256 * 1024
"""The bounds of a page: a node learns one in a turn, and answers nobody meanwhile."""


class SnapshotSeed:
    """A full snapshot and its increments, checked; nothing is held open.

    Args:
        paths: the files, the full one first.
        config: the cluster that is joined.

    Raises:
        BadRequest: if a file is no snapshot, continues another one than that before, or is of another
            cluster.
        Damaged: if a byte of a file was changed, or its end is missing; names the file.
        OSError: if a file cannot be read.
    """

    def __init__(self, paths: Sequence[Path], config: ClusterConfig) -> None:
        self._paths = paths
        with SnapshotChain(paths) as chain:
            _check_cluster(chain.head, config)
            chain.check_blocks()
            self._head, ends = chain.head, [reader.end for reader in chain.readers]
        contents = [end.contents for end in ends if end is not None]
        self._count = sum(one.decrees + one.terms for one in contents)
        self._marks = ends[-1].marks if ends[-1] is not None else ()

    @property
    def formation(self) -> bytes:
        """The formation that it was taken from."""
        return self._head.formation

    @property
    def count(self) -> int:
        """How many decrees it has."""
        return self._count

    @property
    def marks(self) -> tuple[FeedMark, ...]:
        """How far the feeds of voters are in it."""
        return self._marks

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return ", ".join(map(str, self._paths))

    def pages(self) -> Iterator[Sequence[Decree]]:
        """All decrees in order of key, some at a time.

        Raises:
            Damaged: if a file makes no sense, or was changed meanwhile; names it.
            OSError: if a file cannot be read.
        """
        with SnapshotChain(self._paths) as chain:
            if chain.head != self._head:
                raise Damaged(f"{self.name}: it was replaced meanwhile")
            for page in chain.pages():
                if len(page) <= PAGE_DECREES and sum(map(_size, page)) <= PAGE_BYTES:
                    yield page
                else:
                    yield from portions(page, _size, PAGE_BYTES, PAGE_DECREES)


def _check_cluster(head: SnapshotHead, config: ClusterConfig) -> None:
    if head.cluster_id != config.cluster_id:
        raise BadRequest(
            f"the snapshot is of cluster {head.cluster_id!r}, and this node joins"
            f" {config.cluster_id!r}"
        )


def _size(decree: Decree) -> int:
    return len(decree.value)
