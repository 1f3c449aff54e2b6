"""The six messages of Paxos (R02), each about one key; phase 1 for all keys of a home; and phase 2 and
3 for many keys at once.

They may be lost, late, repeated and reordered; no handler relies on anything else. The answers name
the ballot that they answer, so that a late one is never counted for another attempt.
"""

from typing import Annotated

from msgspec import Meta

from ..types import Ballot, Counter, Decree, KeyText, Proposal, Value
from .instance import ClassDigest

MAX_UNLEARNED = 4_096
"""How many keys a promise for a class may name; with more in doubt, none is given yet."""
MAX_BATCH = 512
"""How many proposals travel together at most."""


class Prepare(Value, frozen=True, tag=10):
    """R09: asks every acceptor to promise `ballot`."""

    key: KeyText
    ballot: Ballot


class Promise(Value, frozen=True, tag=11):
    """R11, R12: the sender will accept nothing below `ballot`; `accepted` is its highest so far."""

    key: KeyText
    ballot: Ballot
    accepted: Proposal | None

    def __post_init__(self) -> None:
        if self.accepted is not None:
            _check_key(self.key, self.accepted.decree)


class Accept(Value, frozen=True, tag=12):
    """R18: asks every acceptor to accept `decree` in `ballot`."""

    key: KeyText
    ballot: Ballot
    decree: Decree

    def __post_init__(self) -> None:
        _check_key(self.key, self.decree)


class Accepted(Value, frozen=True, tag=13):
    """R19: the sender has stored what was proposed in `ballot`."""

    key: KeyText
    ballot: Ballot


class Nack(Value, frozen=True, tag=14):
    """R10: the sender refuses `ballot`, because it has promised `promised`, which is higher.

    None says that `ballot` relies on a class promise which the sender has not given.
    """

    key: KeyText
    ballot: Ballot
    promised: Ballot | None


class Commit(Value, frozen=True, tag=15):
    """R20: `decree` is chosen. Also the answer of an acceptor that has learned, to any question."""

    key: KeyText
    decree: Decree

    def __post_init__(self) -> None:
        _check_key(self.key, self.decree)


class PrepareClass(Value, frozen=True, tag=16):
    """R09, once for all keys that the sender is home to: asks to promise its home ballot.

    Args:
        ballot: the sender's home ballot, which names its process.
        digest: of what decides who is home to what; see `class_promise`.
    """

    ballot: Ballot
    digest: ClassDigest


class PromiseClass(Value, frozen=True, tag=17):
    """R11, R12 for all keys of a home: nothing in a home ballot below `ballot` will be accepted.

    Args:
        ballot: what was promised.
        unlearned: the keys of the home with an acceptance of unknown outcome at the sender.
        feed_end: all keys that the sender has learned are in its feed below this.
    """

    ballot: Ballot
    unlearned: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_UNLEARNED)]
    feed_end: Counter


class AcceptMany(Value, frozen=True, tag=18):
    """R18 for a batch: an `Accept` of each of these decrees in `ballot`, answered together.

    Args:
        ballot: a home ballot of the sender.
        number: of the batch; no other of this ballot has it.
        decrees: one for each key.
    """

    ballot: Ballot
    number: Counter
    decrees: Annotated[tuple[Decree, ...], Meta(max_length=MAX_BATCH)]


class AcceptedMany(Value, frozen=True, tag=19):
    """R19 for a batch: the sender has stored all proposals in it, except those that it `refused`."""

    ballot: Ballot
    number: Counter
    refused: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_BATCH)]


class CommitMany(Value, frozen=True, tag=20):
    """R20 for a batch: what was proposed in `ballot` for each of these keys is chosen.

    Who has accepted it knows the decree, since a ballot carries one value (R05); who has not learns
    it from a feed.
    """

    ballot: Ballot
    keys: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_BATCH)]


def _check_key(key: str, decree: Decree) -> None:
    """An instance only ever speaks of decrees for its own key (R08)."""
    if decree.key != key:
        raise ValueError(f"a message about key {key!a} carries a decree for {decree.key!a}")


SingleMessage = Prepare | Promise | Accept | Accepted | Nack | Commit
"""What is about one key."""
BatchMessage = AcceptMany | AcceptedMany | CommitMany
"""What is about many keys, each an instance of its own."""
PaxosMessage = SingleMessage | PrepareClass | PromiseClass | BatchMessage
