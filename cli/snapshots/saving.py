"""Saving a snapshot: pages come from the cluster while the ones before are written."""

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import trio
from msgspec.structs import replace

from ...client.connecting import ConnectionPlan
from ...client.requests.exporting import ExportedPage, Exporting
from ...client.requests.sender import RequestSender
from ...registry.errors import BadRequest
from ...registry.version import described
from ...registry.wire.handshake import ClientWelcome
from ...storage.snapshot.blocks import ID_BYTES
from ...storage.snapshot.chain import SnapshotChain
from ...storage.snapshot.contents import Contents, SnapshotBase, SnapshotHead, confirmed
from ...storage.snapshot.increment import KnownDecrees
from ...storage.snapshot.writer import SnapshotWriter, check_new
from ..options.types import Call

PAGES_AHEAD = 4
"""How many pages may wait to be written while the next one is asked for."""

Show = Callable[[Contents], None]


@dataclass(frozen=True)
class SavePlan:
    """What is to be saved, and where to.

    Args:
        call: how to reach the cluster.
        path: the new file.
        page_seconds: how long a page may take.
        resume: whether to continue an interrupted save.
        since: the chain of snapshots to continue, the full one first; empty for a full one.
    """

    call: Call
    path: Path
    page_seconds: float
    resume: bool
    since: tuple[Path, ...]

    def check(self) -> None:
        """Check what can be checked before the cluster is asked.

        Raises:
            BadRequest: if there is such a file.
        """
        check_new(self.path)


@dataclass
class Saved:
    """A complete snapshot.

    Args:
        head: its first block.
        contents: how much it has.
        size: of the file, in bytes.
    """

    head: SnapshotHead
    contents: Contents
    size: int


async def save(plan: SavePlan, show: Show) -> Saved:
    """Save a snapshot.

    Args:
        plan: what and where to.
        show: called with how much is written so far.

    Raises:
        DecreedError: if the cluster cannot be read, or the files do not fit; what was written stays.
    """
    plan.check()
    if not plan.since:
        return await _save(plan, None, show)
    with SnapshotChain(plan.since) as chain:
        return await _save(plan, chain, show)


async def _save(plan: SavePlan, chain: SnapshotChain | None, show: Show) -> Saved:
    call = plan.call
    settings = ConnectionPlan.of(
        (call.endpoints,), call.seconds, None, 0, 0, None, **call.credentials()
    )
    async with trio.open_nursery() as nursery:
        sender = settings.begin(nursery)
        try:
            with ExitStack() as files:
                return await _save_from(sender, plan, chain, files, show)
        finally:
            with trio.CancelScope(shield=True):
                await sender.lifetime.end()


async def _save_from(
    sender: RequestSender,
    plan: SavePlan,
    chain: SnapshotChain | None,
    files: ExitStack,
    show: Show,
) -> Saved:
    begun = files.enter_context(SnapshotWriter.resume(plan.path)) if plan.resume else None
    source = Exporting(sender, begun.last if begun is not None else "", plan.page_seconds)
    head = _head(await source.meet(), chain)
    if begun is None:
        head = replace(head, marks=await source.marks())
        begun = files.enter_context(SnapshotWriter.begin(plan.path, head))
    _check(begun.head, head)
    return await _copy(source, begun, chain, show)


async def _copy(
    source: Exporting, writer: SnapshotWriter, chain: SnapshotChain | None, show: Show
) -> Saved:
    """Write all pages; while one is written, the next is on its way."""
    known = KnownDecrees(chain.decrees() if chain else (), writer.last)
    send, receive = trio.open_memory_channel[ExportedPage](PAGES_AHEAD)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_fetch, source, send)
        async for page in receive:
            lacking = known.lacking(page.decrees)
            writer.add(lacking, page.body if len(lacking) == len(page.decrees) else None)
            show(writer.contents)
    known.finish()
    marks = confirmed(writer.head.marks, await source.marks())
    writer.end(_now_ms(), chain.whole if chain else None, marks)
    return Saved(writer.head, writer.contents, writer.size)


async def _fetch(source: Exporting, send: "trio.MemorySendChannel[ExportedPage]") -> None:
    async with send:
        async for page in source:
            await send.send(page)


def _head(welcome: ClientWelcome, chain: SnapshotChain | None) -> SnapshotHead:
    assert welcome.formation is not None, "only a formed cluster is saved"
    base = None
    if chain is not None:
        base = SnapshotBase(chain.head.id, chain.head.begun_ms)
        _check_source(chain.head, welcome)
    return SnapshotHead(
        secrets.token_bytes(ID_BYTES),
        welcome.cluster_id,
        welcome.formation,
        welcome.epoch,
        welcome.members,
        _now_ms(),
        described(),
        base,
    )


def _check_source(old: SnapshotHead, welcome: ClientWelcome) -> None:
    if (old.cluster_id, old.formation) != (welcome.cluster_id, welcome.formation):
        raise BadRequest(
            f"the snapshot that is to be continued is of cluster {old.cluster_id!r}, formation"
            f" {old.formation.hex()}; this is {welcome.cluster_id!r}, formation"
            f" {(welcome.formation or b'').hex()}: save a full one"
        )


def _check(begun: SnapshotHead, now: SnapshotHead) -> None:
    """Check that a snapshot that was begun is continued from the same cluster, in the same way."""
    if (begun.cluster_id, begun.formation) != (now.cluster_id, now.formation):
        raise BadRequest(
            f"it was begun from cluster {begun.cluster_id!r}, formation {begun.formation.hex()}; this"
            f" is {now.cluster_id!r}, formation {now.formation.hex()}: remove it, and begin again"
        )
    if begun.base != now.base:
        raise BadRequest("it was begun with another --since: name the same snapshots again")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
