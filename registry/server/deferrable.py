"""How long a message to a peer may wait for a more urgent one, so that both cost the peer one turn.

A peer that says in its pings that it wants commits gets them at once.
"""

from collections.abc import Mapping

from ..locks.terms import TERMS
from ..paxos.messages import Commit, CommitMany
from ..wire.peers import PeerMessage

DEFERRABLE_MS: Mapping[type[object], float] = {Commit: 1.0, CommitMany: 10.0}
"""Commits are not urgent: they leave with the next urgent message to that peer, or after so long; a
batch is followed by another."""


def wait_ms_of(message: PeerMessage) -> float:
    """How long a message may wait; 0 if it is urgent.

    The commit of a term waits as long as that of a batch: it is followed by the accept of the next
    term, once the lock is released.
    """
    if type(message) is Commit and message.key.startswith(TERMS):
        return DEFERRABLE_MS[CommitMany]
    return DEFERRABLE_MS.get(type(message), 0.0)
