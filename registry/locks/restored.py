"""Locks in a formation that was restored, or recovered: where their tokens go on.

What is said of a snapshot here holds for the directories that a recovery reads as well.

A snapshot is older than the cluster that it was taken from. Terms may have been given since, and a
resource may have seen their tokens. So every lock goes on at a term above any that can have been given:

* a lock that the snapshot knows, at its latest term and a million more, or at the time of the restore
  in milliseconds since 1970 if that is higher. No lock has 1,000 terms a second for all its life, so
  that is above the terms of any copy, and above those of an earlier restore;
* every other lock, at the time of the restore: its `floor`. Here that term counts as decided for all
  locks that have no later one (`unknown_term`). Its decree is the same on all nodes, so no node need be
  asked, and none needs a row for it.

Nobody can keep or release such a term. The next one begins when the ttl of the term is over, counted
from the start of the nodes, since a holder in the old formation may still count on its lease.

A directory that joins takes the restoration with the formation, in one batch (M19). A voter without it
would say that no term of an unknown lock was given, and would give the first ones again.
"""

from typing import Annotated

from msgspec import Meta

from ..keys import MAX_SLOT
from ..types import Ballot, Counter, Decree, NodeId, Process, Value
from ..wire.codec import encode
from .terms import CONTENT_TYPE, Term, TtlMs, term_key

Id = Annotated[bytes, Meta(min_length=16, max_length=16)]

TERMS_MORE = 1_000_000
"""How many terms a lock may have had since the snapshot, if the clock says less."""

RESTORER = NodeId("$restored")
"""The node in the ballots of these terms; no node has this name, so no ballot is one of a process."""

HOLDER = "restored"


class Restoration(Value, frozen=True):
    """How a formation was made from a snapshot, or from old directories; the same on all its nodes.

    Args:
        nonce: random; two restores of one snapshot are two formations.
        time_ms: when it was made, in milliseconds since 1970.
        ttl_ms: the ttl of the restored terms.
        snapshot: the id of the snapshot; of a recovery, a hash of the directories that it read.
        formation: the formation that the snapshot was taken from, or that the directories were of.
    """

    nonce: Id
    time_ms: Counter
    ttl_ms: TtlMs
    snapshot: Id
    formation: Id

    @property
    def floor(self) -> int:
        """The term that counts as decided for locks which the snapshot does not know."""
        return self.time_ms

    def first_after(self, latest: int) -> int:
        """The term at which a lock goes on whose latest known term is `latest`.

        It is above `floor`, so a node that does not know the lock says nothing about it that is wrong.
        """
        return max(latest + TERMS_MORE, self.floor + 1)

    def known_term(self, lock: str, latest: Decree, number: int) -> Decree:
        """The term at which a lock goes on that the snapshot knows."""
        note = f"what was restored has term {number} of {latest.claimant}"
        return self._term(lock, self.first_after(number), note)

    def unknown_term(self, lock: str) -> Decree:
        """The term at which a lock goes on that the snapshot does not know."""
        return self._term(lock, self.floor, "what was restored does not know this lock")

    def _term(self, lock: str, number: int, note: str) -> Decree:
        ballot = Ballot(1, Process(RESTORER, 0))
        value = encode(Term(self.ttl_ms))
        key = term_key(lock, number)
        return Decree(key, value, CONTENT_TYPE, HOLDER, self.nonce, note, self.time_ms, ballot)


def fits(restoration: Restoration, latest: int) -> bool:
    """Whether there are enough terms above the latest one of a lock."""
    return restoration.first_after(latest) < MAX_SLOT
