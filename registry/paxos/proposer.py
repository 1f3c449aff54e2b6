"""The proposer: one attempt at one key in one ballot. R09, R15 to R18, R20, R22.

An attempt moves through values::

    Preparing --(prepare quorum)--> Prepared --> Proposing --(accept quorum)--> Chosen
        |                              |             |
        |                              |             +--(a higher ballot)--> Preempted
        |                              +--(no decree to propose)--> NothingToPropose
        +--(a higher ballot)--> Preempted

`Prepared` is the only way to `Proposing`, and it holds the highest proposal that the quorum had
accepted. So a proposal without a prepare quorum (R15), or one that ignores an accepted value (R16),
cannot be written. Besides `on_promise`, only a class promise makes a `Prepared`
(`class_promise.py`). After `Preempted` the caller may start again in a higher ballot, after a pause
that comes from outside: without pauses two proposers can preempt each other forever (R04).

The caller keeps one more rule, since it has the node's own acceptor: prepare(b) leaves only in a
step in which the own acceptor promises b, and accept(b, v) only in one in which it accepts (b, v).
Every new attempt starts above what the own acceptor has promised, so a process never uses a ballot
twice, nor two values in one ballot (R05).
"""

from ..types import Ballot, Decree, Key, Process, Proposal, Value
from .messages import Accept, Accepted, Nack, Prepare, Promise
from .quorums import Quorums

Voters = frozenset[str]


class Preparing(Value, frozen=True):
    """Phase 1: which acceptors have promised, and the highest proposal that they reported."""

    key: Key
    ballot: Ballot
    promises: Voters = frozenset()
    highest: Proposal | None = None

    def message(self) -> Prepare:
        """R09: the message to every acceptor, repeated until they answer."""
        return Prepare(self.key, self.ballot)


class Prepared(Value, frozen=True):
    """A prepare quorum has promised; if there is a `highest`, its decree must be proposed (R16)."""

    key: Key
    ballot: Ballot
    highest: Proposal | None


class Proposing(Value, frozen=True):
    """Phase 2: which acceptors have accepted."""

    key: Key
    ballot: Ballot
    decree: Decree
    votes: Voters = frozenset()

    def message(self) -> Accept:
        """R18: the message to every acceptor, repeated until they answer."""
        return Accept(self.key, self.ballot, self.decree)


class Chosen(Value, frozen=True):
    """R20: an accept quorum has accepted `decree` in one ballot."""

    decree: Decree


class NothingToPropose(Value, frozen=True):
    """A prepare quorum had accepted nothing, and there was no own decree to propose."""

    key: Key


class Preempted(Value, frozen=True):
    """An acceptor has promised the higher ballot `promised`, so the attempt gives up its ballot."""

    key: Key
    promised: Ballot


class NotPromised(Value, frozen=True):
    """An acceptor lacks the class promise that this attempt relies on; others may have it."""

    key: Key


def start(key: Key, process: Process, above: Ballot | None, epoch: int = 0) -> Preparing:
    """Begin an attempt in the lowest ballot of `process` in `epoch` that is above `above` (R05, R09).

    Args:
        key: the key to propose for.
        process: this incarnation of this node.
        above: the highest ballot that the node's acceptor has promised or that a nack reported. It is
            of no later epoch: a node promises nothing in an epoch that it does not know (M04).
        epoch: the epoch in which the node votes (M02).
    """
    if above is None or above.epoch < epoch:
        return Preparing(key, Ballot.first(process, epoch))
    assert above.epoch == epoch, f"{above} is of a later epoch than {epoch}"
    return Preparing(key, above.above(process))


def on_promise(
    state: Preparing, sender: str, message: Promise, quorums: Quorums
) -> Preparing | Prepared:
    """Count a promise of exactly this ballot, once for each acceptor (R07, R15)."""
    if message.ballot != state.ballot or sender not in quorums.members:
        return state
    promises = state.promises | {sender}
    highest = _higher(state.highest, message.accepted)
    if quorums.prepared(promises):
        return Prepared(state.key, state.ballot, highest)
    return Preparing(state.key, state.ballot, promises, highest)


def propose(state: Prepared, own: Decree | None) -> Proposing | NothingToPropose:
    """R16: propose the decree of the quorum's highest proposal; R17: without one, our own.

    So an unfinished proposal of a dead proposer gets finished (R22).
    """
    decree = state.highest.decree if state.highest is not None else own
    if decree is None:
        return NothingToPropose(state.key)
    return Proposing(state.key, state.ballot, decree)


def on_accepted(
    state: Proposing, sender: str, message: Accepted, quorums: Quorums
) -> Proposing | Chosen:
    """Count an acceptance of exactly this ballot, once for each acceptor; a quorum chooses (R20)."""
    if message.ballot != state.ballot or sender not in quorums.members:
        return state
    votes = state.votes | {sender}
    if quorums.accepted(votes):
        return Chosen(state.decree)
    return Proposing(state.key, state.ballot, state.decree, votes)


def on_nack(
    state: Preparing | Proposing, message: Nack
) -> Preparing | Proposing | Preempted | NotPromised:
    """R10: give up a ballot that an acceptor refuses. A nack for an older attempt is ignored."""
    if message.ballot != state.ballot:
        return state
    if message.promised is None:
        return NotPromised(state.key)
    return Preempted(state.key, message.promised) if message.promised > state.ballot else state


def _higher(one: Proposal | None, other: Proposal | None) -> Proposal | None:
    """The proposal with the higher ballot (R16)."""
    if one is None or other is None:
        return one or other
    return one if one.ballot >= other.ballot else other
