"""The acceptor: it promises and accepts. R10 to R14 and R19.

Each handler takes the instance and a message, and returns the new instance and the answer. The
caller must make the new instance durable before the answer leaves (R13, R14). In a node, `Effects`
allow no other order.

An acceptor that has learned the decree answers every message with it. No ballot can change the
decree any more (R21), and the sender is done at once.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from ..types import Ballot, Decree, Key, Proposal
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

    Accepting is also promising: an acceptor that took no part in phase 1 must not accept anything lower
    afterwards.

    Args:
        instance: the state of the key.
        message: the proposal.
        class_promise: the ballot of the class promise given to the key's home; None if there is none.
            A proposal in a home ballot relies on it, and is accepted only in exactly that ballot.

    Raises:
        Contradiction: if another value was accepted in the same ballot.
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
    check_one_value_per_ballot(instance.accepted, proposal)
    accepted = replace(instance, promised=message.ballot, accepted=proposal)
    return accepted, Accepted(message.key, message.ballot)


def accept_first(ballot: Ballot, decrees: Iterable[Decree]) -> dict[Key, Instance]:
    """R19 for keys without a promise, acceptance or decree, where there is no reason to refuse.

    Args:
        ballot: the home ballot that was promised for the class of these keys.
        decrees: the proposed decrees.
    """
    return {each.key: Instance(ballot, Proposal(ballot, each)) for each in decrees}


def check_one_value_per_ballot(held: Proposal | None, shown: Proposal) -> None:
    """R05: ballots are unique, so one ballot never carries two values of a key."""
    if held is not None and held.ballot == shown.ballot and held.decree != shown.decree:
        raise Contradiction(
            f"ballot {shown.ballot} of key {shown.decree.key!r} was shown with two values:"
            f" held {held.decree!r}, shown {shown.decree!r}"
        )
