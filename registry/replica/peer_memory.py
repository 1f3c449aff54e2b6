"""What a node remembers of its peers, durably, and what contradicts that memory (R13).

Of each peer it has the disk id, the last incarnation that was met, and the signing key. A directory
that shows less was wiped, copied or rolled back. Whether it is admitted is decided elsewhere
(`Membership`).
"""

from collections.abc import Iterable

from msgspec.structs import replace

from ..disk import CursorRecord, PeerRecord
from ..types import NodeId
from ..wire.handshake import Evidence, Incarnation, PeerIdentity, PeerRecall
from .step.step_builder import StepBuilder

MOST_STARTS = 2**32
"""No directory is opened so many times between two meetings: a greater incarnation is a mistake."""


class PeerMemory:
    """The peers that were met.

    Args:
        peers: what was remembered of them.
        cursors: how far their feeds have been read; shared with `CatchUp`.
    """

    def __init__(self, peers: Iterable[PeerRecord], cursors: dict[NodeId, CursorRecord]) -> None:
        self._peers = {peer.node: peer for peer in peers}
        self._cursors = cursors

    def known(self, node: NodeId) -> PeerRecord | None:
        """What is remembered of a peer."""
        return self._peers.get(node)

    def disk_of(self, node: NodeId) -> bytes | None:
        """The disk id that is remembered of a peer."""
        known = self._peers.get(node)
        return known.disk_id if known is not None else None

    def disks_of(self, nodes: Iterable[NodeId]) -> dict[NodeId, bytes]:
        """The disk ids of peers that have all been met."""
        return {node: self._peers[node].disk_id for node in nodes}

    def evidence(self, node: NodeId) -> Evidence:
        """What is remembered of a peer's directory, for that peer to compare."""
        known, cursor = self._peers[node], self._cursors.get(node)
        read = cursor.index if cursor is not None and cursor.disk_id == known.disk_id else 0
        return Evidence(known.disk_id, 0, known.incarnation, known.nonce, read, known.signing_key)

    def leaps(self, shown: PeerIdentity) -> str:
        """Why an incarnation cannot be true; remembering it would lock the directory out."""
        known = self._peers.get(shown.node)
        met = known.incarnation if known is not None and known.disk_id == shown.disk_id else 0
        if shown.incarnation <= met + MOST_STARTS:
            return ""
        return (
            f"node {shown.node} says that its directory was opened {shown.incarnation} times, and the"
            f" last time that it was met it was {met}"
        )

    def record(self, step: StepBuilder, shown: PeerIdentity, key: bytes | None) -> bool:
        """Remember what a node has shown, and its key if it was told by now.

        Returns:
            Whether another disk has the name now.
        """
        known = self._peers.get(shown.node)
        is_another = known is not None and known.disk_id != shown.disk_id
        if is_another:
            self._replace(step, shown)
            known = None
        address = known.address if known is not None else None
        if key is None and known is not None:
            key = known.signing_key
        facts = (shown.node, shown.disk_id, shown.incarnation, shown.nonce)
        record = PeerRecord(*facts, address, key)
        if self._peers.get(shown.node) != record:
            self._peers[shown.node] = record
            step.record(record)
        return is_another

    def remember_address(self, step: StepBuilder, node: NodeId, address: str | None) -> None:
        """Remember where a peer is if the file does not say so; None if it does."""
        known = self._peers.get(node)
        if known is not None and known.address != address:
            self._peers[node] = replace(known, address=address)
            step.note(self._peers[node])

    def unproven(self, shown: PeerIdentity, past: Incarnation | None) -> PeerRecall | None:
        """The question for the remembered incarnation; None if it is the one shown, or was proven."""
        known = self._peers.get(shown.node)
        if known is None or shown.nonce == known.nonce or shown.disk_id != known.disk_id:
            return None
        if past is not None and past.incarnation == known.incarnation:
            return None
        return PeerRecall(known.incarnation)

    def other_key(self, shown: PeerIdentity, key: bytes | None) -> str:
        """Why the directory shown cannot be the one that was met before, by its signing key."""
        known = self._peers.get(shown.node)
        if key is None or known is None or known.signing_key in (None, key):
            return ""
        if known.disk_id != shown.disk_id:  # a decree gives the name to another directory
            return ""
        return f"its directory has another signing key than it had before; {_way_out(shown.node)}"

    def lost(self, shown: PeerIdentity, past: Incarnation | None, *, named: bool) -> str:
        """Why the directory shown must have lost something.

        Args:
            shown: what it says that it is.
            past: the incarnation of its past that it was asked for.
            named: whether a known decree of members names this disk.
        """
        known = self._peers.get(shown.node)
        if known is None:
            return ""
        if shown.disk_id != known.disk_id:
            if named:
                return ""
            return f"its directory was wiped or replaced; {_way_out(shown.node)}"
        if shown.incarnation < known.incarnation:
            return f"its directory is an older copy of itself; {_way_out(shown.node)}"
        if shown.nonce == known.nonce:
            return (
                ""  # the remembered incarnation, whose feed only grows, in whatever order it is met
            )
        if shown.incarnation == known.incarnation:
            return f"its directory is an older copy, or runs twice; {_way_out(shown.node)}"
        if past is not None and past.incarnation == known.incarnation and past.nonce != known.nonce:
            return (
                f"its directory is an older copy that was opened again since, or runs twice: its"
                f" incarnation {known.incarnation} is not the one that was met; {_way_out(shown.node)}"
            )
        cursor = self._cursors.get(shown.node)
        if cursor is not None and shown.feed_end < cursor.index:
            return (
                f"its directory has {shown.feed_end} decrees, but {cursor.index} were read from it"
                f" before, so it was rolled back; {_way_out(shown.node)}"
            )
        return ""

    def _replace(self, step: StepBuilder, shown: PeerIdentity) -> None:
        """A decree of members gives a name to another disk: begin with it from nothing (M20)."""
        self._cursors[shown.node] = CursorRecord(shown.node, shown.disk_id, 0)
        step.record(self._cursors[shown.node])


def _way_out(node: NodeId) -> str:
    return (
        "a node that forgot its promises must not vote, so this directory stays out: restore its own"
        f" latest directory, or start {node} with an empty one and --join, and then give it the vote"
        f" with 'decreed member replace {node}'"
    )
