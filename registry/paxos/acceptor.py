"""The acceptor: promises and accepts. R10 to R14 and R19.

Each handler takes the instance and a message, and returns the new instance and the answer. The
caller must have the new instance on disk before the answer leaves (R13, R14); the node's `Effects`
make any other order impossible to write.

An acceptor that has learned the decree answers with it, whatever was asked: no ballot can change
it any more (R21), and the requester is done at once.
"""

from msgspec.structs import replace

from ..types import Ballot, Decree, Proposal
from .instance import Contradiction, Instance
from .messages import Accept, Accepted, Commit, Nack, Prepare, Promise


def on_prepare(instance: Instance, message: Prepare) -> tuple[Instance, Promise | Nack | Commit]:
    """R10 to R12: promise `message.ballot`, or refuse it for a higher one.

    A repeated prepare is promised again: the first answer may have been lost (R02).
    """
    if instance.learned is not None:
        return instance, Commit(message.key, instance.learned)
    if instance.promised is not None and instance.promised > message.ballot:
        return instance, Nack(message.key, message.ballot, instance.promised)
    promised = replace(instance, promised=message.ballot)
    return promised, Promise(message.key, message.ballot, instance.accepted)


def on_accept(
    instance: Instance, message: Accept, class_promise: Ballot | None = None
) -> tuple[Instance, Accepted | Nack | Commit]:
    """R19: accept, unless a higher ballot was promised.

    To accept is also to promise: a proposer that skipped this acceptor in phase 1 must not find it
    open to something lower afterwards.

    Args:
        instance: what is held for the key.
        message: what is proposed.
        class_promise: the class promise that was given to the key's home, None if there is none. A
            proposal in a home ballot relies on it, and is accepted in that very ballot alone.

    Raises:
        Contradiction: if another value was accepted in this very ballot.
    """
    if instance.learned is not None:
        return instance, Commit(message.key, instance.learned)
    if instance.promised is not None and instance.promised > message.ballot:
        return instance, Nack(message.key, message.ballot, instance.promised)
    if message.ballot != class_promise and message.ballot.is_of_home:
        higher = (
            class_promise if class_promise is not None and class_promise > message.ballot else None
        )
        return instance, Nack(message.key, message.ballot, higher)
    proposal = Proposal(message.ballot, message.decree)
    _check_one_value_per_ballot(instance.accepted, proposal)
    accepted = replace(instance, promised=message.ballot, accepted=proposal)
    return accepted, Accepted(message.key, message.ballot)


def accept_first(ballot: Ballot, decree: Decree) -> Instance:
    """R19 for a key of which nothing was promised, accepted or learned: there is nothing to refuse for.

    Args:
        ballot: a home ballot, and the very one that was promised for the key's class.
        decree: what is proposed.
    """
    return Instance(promised=ballot, accepted=Proposal(ballot, decree))


def _check_one_value_per_ballot(held: Proposal | None, shown: Proposal) -> None:
    """R05: ballots are unique, so one ballot never carries two values."""
    if held is not None and held.ballot == shown.ballot and held.decree != shown.decree:
        raise Contradiction(
            f"ballot {shown.ballot} of key {shown.decree.key!r} was shown with two values:"
            f" held {held.decree!r}, shown {shown.decree!r}"
        )
