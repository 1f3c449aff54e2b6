"""How long a message to a peer may wait for another one, so that both cost the peer one turn.

Commits are not urgent: a peer that accepted a decree needs to know soon that it was chosen, but nobody
waits for that there. A peer whose requests do wait for commits says so in its pings.
"""

from ..locks.terms import TERMS
from ..paxos.messages import Commit, CommitMany
from ..wire.peers import PeerMessage

COMMIT_MS = 1.0
TERM_MS = 5.0
"""The commit of a term waits longer. The accept of the next term is the message that usually follows,
and it leaves when the lock is released, or asked for again soon after that."""


def patience_ms(message: PeerMessage) -> float:
    """How long a message may wait, if nobody waits for it at the peer; 0 if it is urgent."""
    # types are compared: a failed isinstance costs more than one that succeeds
    kind = type(message)
    if kind is Commit:
        return TERM_MS if message.key.startswith(TERMS) else COMMIT_MS
    return COMMIT_MS if kind is CommitMany else 0.0
