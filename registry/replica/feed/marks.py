"""Marks: how much of the voters' feeds a node that joined from a snapshot need not be told again.

A snapshot names a mark for each voter: where that voter's feed ended, durably, before the first page of
the save was asked for. Of the entries below it, those of reserved keys are told as ever: terms of locks
and floors, changes of members, policies. All others may be left out of a page (`wire.peers.Pull`).

Invariant kept here: below the mark that is used, each entry of that feed is of a reserved key, or its
decree is learned here. So a cursor that moves over what was left out keeps its promise (M08). Why:

* the voter had learned it before the mark was told, so it was chosen before any page was asked for. A
  page of a list has whatever was chosen before it was asked for, in this epoch or an earlier one (M12);
  a page without it is not made, whichever record is damaged or withheld, and the save fails;
* the mark ends where the feed was durable. What stood there stands there in the same incarnation. In a
  later one it need not: a directory that is set back to a moment of that incarnation shows the next one
  when it starts, and has other decrees there by then. So a mark counts in its own incarnation alone;
* the mark is of one directory. Another one under that name has another feed;
* the node has learned every decree of the snapshot, and counted them. One page that was not learned, or
  one key that could not be, and no mark is used: `seeding` says so.

A list takes the answers of a quorum at their word. A voter that has lost a record without a trace may
make a page that lacks it, as it may tell a reader that nothing is decided. So a voter that knows of
damage tells no mark, and a save has marks only if all that told one before it tell one after it.
"""

from collections.abc import Callable, Sequence

from ...disk import PeerRecord
from ...types import NodeId
from ...wire.marks import FeedMark


class Marks:
    """The marks of the snapshot that this node has learned whole; none until then.

    Args:
        known: gives what is remembered of a peer.
    """

    def __init__(self, known: Callable[[NodeId], PeerRecord | None]) -> None:
        self._known = known
        self._marks: dict[str, FeedMark] = {}

    def use(self, marks: Sequence[FeedMark]) -> None:
        """The snapshot with these marks is learned whole."""
        self._marks = {mark.node: mark for mark in marks}

    def of(self, peer: NodeId) -> int:
        """Below which entry of a peer's feed nothing but reserved keys may be new here."""
        mark, known = self._marks.get(peer), self._known(peer)
        if mark is None or known is None or mark.disk_id != known.disk_id:
            return 0
        return mark.index if known.incarnation == mark.incarnation else 0
