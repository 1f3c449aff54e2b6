"""Which messages of peers may wait for a turn that something else causes.

A turn has a fixed price, and some messages change nothing that anybody waits for: votes that come after
the quorum, and commits of keys that nobody here asks about.

No rule rests on it: a message may always be late (R02).
"""

from collections.abc import Collection

from ..locks.terms import is_term
from ..paxos.messages import Accepted, AcceptedMany, Commit, CommitMany
from ..types import Key
from ..wire.peers import PeerMessage
from .parts import Parts

PATIENCE_MS = 10.0
"""How long such a message may wait."""


def patience_ms(parts: Parts, message: PeerMessage) -> float:
    """How long a message may wait for others; 0 if somebody may wait for what it says."""
    return PATIENCE_MS if _can_wait(parts, message) else 0.0


def _can_wait(parts: Parts, message: PeerMessage) -> bool:
    # types are compared: a failed isinstance costs more than one that succeeds
    if type(message) is Accepted:
        return not _is_tried(parts, (message.key,))
    if type(message) is AcceptedMany:
        return message.number not in parts.coordinator.batches.numbers
    if type(message) is Commit:
        return not (is_term(message.key) or _is_awaited(parts, (message.key,)))
    if type(message) is CommitMany:
        return not _is_awaited(parts, message.keys)
    return False


def _is_awaited(parts: Parts, keys: Collection[Key]) -> bool:
    return parts.awaits_commits or _is_tried(parts, keys)


def _is_tried(parts: Parts, keys: Collection[Key]) -> bool:
    """Whether there is an attempt here at one of these keys."""
    return any(not attempts.keys().isdisjoint(keys) for attempts in parts.coordinator.awaited)
