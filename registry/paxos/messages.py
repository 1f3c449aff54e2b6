"""The messages of Paxos (R02): six about one key, two for phase 1 of a class, three for batches.

They may be lost, late, repeated or reordered, and no handler relies on anything else. Each answer
names the ballot that it answers, so a late answer is never counted for another attempt.
"""

from typing import Annotated

from msgspec import Meta

from ..types import Ballot, Counter, Decree, KeyText, Proposal, Value
from .decrees import MAX_BATCH, Decrees
from .instance import ClassDigest

MAX_UNLEARNED = 4_096
"""How many keys a class promise may report; with more in doubt, it is not given yet."""


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
    """R19: the sender has durably accepted the proposal of `ballot`."""

    key: KeyText
    ballot: Ballot


class Nack(Value, frozen=True, tag=14):
    """R10: the sender refuses `ballot`, because it has promised the higher ballot `promised`.

    None means that `ballot` relies on a class promise which the sender has not given.
    """

    key: KeyText
    ballot: Ballot
    promised: Ballot | None


class Commit(Value, frozen=True, tag=15):
    """R20: `decree` is chosen. Also the answer to any message, of an acceptor that has learned it."""

    key: KeyText
    decree: Decree

    def __post_init__(self) -> None:
        _check_key(self.key, self.decree)


class PrepareClass(Value, frozen=True, tag=16):
    """R09 for all keys that the sender is home to: asks every acceptor to promise its home ballot.

    Args:
        ballot: the sender's home ballot, which names its process.
        digest: of the configuration that decides the home of each key; see `class_promise`.
    """

    ballot: Ballot
    digest: ClassDigest


class PromiseClass(Value, frozen=True, tag=17):
    """R11, R12 for all keys of a home: the sender accepts nothing in a home ballot below `ballot`.

    Args:
        ballot: the promised ballot.
        unlearned: the keys of the home with an acceptance of unknown outcome at the sender.
        feed_end: the sender's feed has all keys that it has learned, below this index.
    """

    ballot: Ballot
    unlearned: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_UNLEARNED)]
    feed_end: Counter


class AcceptMany(Value, frozen=True, tag=18):
    """R18 for a batch: an `Accept` of each of these decrees in `ballot`, answered together.

    Args:
        ballot: a home ballot of the sender.
        number: of the batch, unique in this ballot.
        decrees: one for each key. On the wire they are the bytes of `Decrees.packed`.
    """

    ballot: Ballot
    number: Counter
    decrees: Decrees


class AcceptedMany(Value, frozen=True, tag=19):
    """R19 for a batch: the sender has durably accepted all proposals except the `refused` ones."""

    ballot: Ballot
    number: Counter
    refused: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_BATCH)]


class CommitMany(Value, frozen=True, tag=20):
    """R20 for a batch: the proposal of `ballot` for each of these keys is chosen.

    A node that accepted it knows the decree, since a ballot carries one value (R05). Other nodes learn
    the decree from a feed.
    """

    ballot: Ballot
    keys: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_BATCH)]


def _check_key(key: str, decree: Decree) -> None:
    """A message about a key carries decrees of that key only (R08)."""
    if decree.key != key:
        raise ValueError(f"a message about key {key!a} carries a decree for {decree.key!a}")


SingleMessage = Prepare | Promise | Accept | Accepted | Nack | Commit
"""Messages about one key."""
BatchMessage = AcceptMany | AcceptedMany | CommitMany
"""Messages about many keys, each an instance of its own."""
PaxosMessage = SingleMessage | PrepareClass | PromiseClass | BatchMessage
