"""The class promise, which makes the fast path: phase 1 once, for all keys of a home. R09 to R16.

After each start a home asks all acceptors to promise one ballot for its whole *class*, all keys that
it is home to. With a prepare quorum of such promises, a new key needs phase 2 alone: one round trip.

Why it is safe. A *home ballot* is (0, process), so it lies below every ballot of an attempt at one
key, which begin in round 1. An acceptor that has taken part in such an attempt therefore refuses the
home ballot for that key, and needs no telling (R10). What a proposal in a home ballot must not overrule
are proposals in lower ballots (R16), and those are the home ballots of the home's own earlier
incarnations, for nobody else may use round 0 for a key of the class. An acceptor that promises
says what it has accepted in the class (R12), in two parts:

* the keys whose outcome it does not know: the home runs all of phase 1 on them
  (`GrantedClass.unlearned`);
* its feed, in which all that it has learned stands: the promise counts only once the home has
  learned everything below the position that came with it (`on_promise` is called then).

There is a second net: a proposer counts votes only behind its own durable acceptance, so a home finds
whatever an earlier incarnation of it has seen chosen in its own instance, and asks in full
(`prepared`). The reports alone are for what no incarnation of it had seen the end of.

What the acceptor has *forgotten* is in neither part. So for a key that may be forgotten, a term of a
lock, the caller must know by other means that no earlier incarnation of the home can have proposed it.

The promise is durable before it is told (R13), since a proposal of an earlier incarnation may
still be under way. And it binds the acceptor to nothing above it: any node may run plain Paxos on
any key, as ever.
"""

from ..types import Ballot, Key, Process, Value
from .instance import EMPTY, Class, Instance
from .messages import PrepareClass
from .proposer import Prepared, Voters
from .quorums import Quorums


def on_prepare_class(held: Class | None, message: PrepareClass) -> Class | None:
    """R10, R11: what the acceptor holds from now on; None if it refuses, for a later incarnation's
    sake.

    A repeated question is promised again: the first answer may have been lost (R02).
    """
    if held is not None and held.ballot > message.ballot:
        return None
    return Class(message.ballot, message.digest)


class AskingClass(Value, frozen=True):
    """The home has asked; who has promised, and what they had in doubt."""

    ballot: Ballot
    promises: Voters = frozenset()
    unlearned: frozenset[Key] = frozenset()


class GrantedClass(Value, frozen=True):
    """A prepare quorum has promised `ballot` for the whole class, except the keys in `unlearned`."""

    ballot: Ballot
    promises: Voters
    unlearned: frozenset[Key]


def ask(process: Process) -> AskingClass:
    """Begin, in the only home ballot of this incarnation of the home (R05)."""
    return AskingClass(Ballot.of_home(process))


def on_promise(
    state: AskingClass | GrantedClass, sender: str, unlearned: frozenset[Key], quorums: Quorums
) -> AskingClass | GrantedClass:
    """Count a promise of `state.ballot`, once all that the sender had learned is learned here.

    Promises behind the quorum add what their senders had in doubt: plain Paxos is always right.
    """
    if sender not in quorums.members:
        return state
    promises = state.promises | {sender}
    in_doubt = state.unlearned | unlearned
    if quorums.prepared(promises):
        return GrantedClass(state.ballot, promises, in_doubt)
    return AskingClass(state.ballot, promises, in_doubt)


def prepared(state: AskingClass | GrantedClass, key: Key, own: Instance) -> Prepared | None:
    """R15, R16: what the class promise says of `key`; None if all of phase 1 is needed.

    Args:
        state: how far the home has come.
        key: a key of the class.
        own: what the home itself holds for it. If that is not empty there may be a proposal to
            respect; and the home itself may have used its home ballot for the key already,
            which it must not do with another value (R05).
    """
    if isinstance(state, AskingClass) or key in state.unlearned or own != EMPTY:
        return None
    return Prepared(key, state.ballot, None)
