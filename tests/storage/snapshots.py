"""Snapshots for tests: written to files, and read back."""

from collections.abc import Sequence
from pathlib import Path

from decreed.registry.locks.terms import CONTENT_TYPE, Term, term_key
from decreed.registry.types import Decree, NodeId
from decreed.registry.wire.codec import encode
from decreed.registry.wire.handshake import Member
from decreed.storage.snapshot.chain import SnapshotChain
from decreed.storage.snapshot.contents import SnapshotBase, SnapshotHead
from decreed.storage.snapshot.reader import SnapshotReader
from decreed.storage.snapshot.writer import SnapshotWriter

from .samples import BALLOT, decree

ID = bytes(range(16))
FORMATION = bytes(range(16, 32))
BEGUN_MS = 1_790_000_000_000


def term(lock: str, number: int, ttl_ms: int = 10_000, time_ms: int = BEGUN_MS) -> Decree:
    """The decree of a term of a lock."""
    value = encode(Term(ttl_ms, b"info", None, bytes(32)))
    return Decree(
        term_key(lock, number), value, CONTENT_TYPE, "holder", b"claim", "", time_ms, BALLOT
    )


PAGES = (
    (term("jobs", 7), term("jobs", 8), term("other", 1)),
    (decree("a"), decree("a/b", b""), decree("a@2"), decree("a@10")),
    (decree("b", b"\0" * 30), decree("c"), decree("grüße", "wörter".encode())),
)
ALL = tuple(each for page in PAGES for each in page)


def head(
    id: bytes = ID, base: SnapshotBase | None = None, formation: bytes = FORMATION
) -> SnapshotHead:
    """The first block of a snapshot."""
    members = (Member(NodeId("a"), "127.0.0.1:7000", 0),)
    return SnapshotHead(id, "c1", formation, 0, members, BEGUN_MS, "tests", base)


def write(
    path: Path,
    pages: Sequence[tuple[Decree, ...]] = PAGES,
    of: SnapshotHead | None = None,
    base_whole: int | None = None,
) -> Path:
    """Write a complete snapshot."""
    with SnapshotWriter.begin(path, of or head()) as writer:
        for page in pages:
            writer.add(page)
        writer.end(BEGUN_MS + 5, base_whole)
    return path


def continued(
    path: Path, base: Path, pages: Sequence[tuple[Decree, ...]], id: bytes = bytes(16)
) -> Path:
    """Write an increment of the snapshot in `base`."""
    with base.open("rb") as file:
        reader = SnapshotReader(file)
        for _ in reader.pages():
            pass
    on = SnapshotBase(reader.head.id, reader.head.begun_ms)
    return write(path, pages, head(id, on), reader.whole)


def read(*paths: Path) -> list[Decree]:
    """Everything in a chain."""
    with SnapshotChain(paths) as chain:
        return list(chain.decrees())
