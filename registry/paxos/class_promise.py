"""The class promise, which gives the fast path: phase 1 once, for all keys of a home. R09 to R16.

After each start a home asks all acceptors to promise one ballot for its whole *class*: all keys
that it is home to. After a prepare quorum of such promises a new key needs phase 2 alone: one round
trip.

Why it is safe. A *home ballot* has round 0 of its epoch, so it lies below every ballot of an attempt
at one key in that epoch, which begin in round 1. An acceptor that took part in such an attempt
therefore refuses the home ballot for that key, without having to report anything (R10). A proposal
in a home ballot must not overrule proposals in lower ballots (R16). Those are the home ballots of
earlier incarnations of the same home, since no other node may use round 0 for a key of the class, and
proposals of earlier epochs, which the acceptor adopted and reports like its own (M14). An acceptor
that promises reports what it has accepted in the class (R12), in two parts:

* the keys whose outcome it does not know: the home runs both phases on them (`GrantedClass.unlearned`);
* its feed, which has everything that it has learned: the promise counts only after the home has learned
  everything below the position that came with it (`on_promise` is called then).

The home's own instance is a second safeguard. A proposer counts votes only after its own durable
acceptance. So whatever an earlier incarnation of the home has seen chosen is in the home's own
instance, and such a key gets both phases (`prepared`). The reports matter only for proposals whose
outcome no earlier incarnation has seen.

Neither part has what the acceptor has *forgotten*. So for a key that may be forgotten, a term of a
lock, the caller must know by other means that no earlier incarnation of the home can have proposed
it.

The promise is durable before it is sent (R13), since a proposal of an earlier incarnation may still
arrive. It does not bind the acceptor above that ballot: any node may run plain Paxos on any key at
any time.
"""

from ..types import Ballot, Key, Process, Value
from .instance import EMPTY, Class, Instance
from .messages import PrepareClass
from .proposer import Prepared, Voters
from .quorums import Quorums


def on_prepare_class(held: Class | None, message: PrepareClass) -> Class | None:
    """R10, R11: the class promise held from now on; None if a later incarnation has a higher one.

    A repeated question is promised again: the first answer may have been lost (R02).
    """
    if held is not None and held.ballot > message.ballot:
        return None
    return Class(message.ballot, message.digest)


class AskingClass(Value, frozen=True):
    """The home has asked: which acceptors have promised, and which keys they had in doubt."""

    ballot: Ballot
    promises: Voters = frozenset()
    unlearned: frozenset[Key] = frozenset()


class GrantedClass(Value, frozen=True):
    """A prepare quorum has promised `ballot` for the whole class, except the keys in `unlearned`."""

    ballot: Ballot
    promises: Voters
    unlearned: frozenset[Key]


def ask(process: Process, epoch: int = 0) -> AskingClass:
    """Begin, in the only home ballot of this incarnation of the home in `epoch` (R05, M14)."""
    return AskingClass(Ballot.of_home(process, epoch))


def on_promise(
    state: AskingClass | GrantedClass, sender: str, unlearned: frozenset[Key], quorums: Quorums
) -> AskingClass | GrantedClass:
    """Count a promise of `state.ballot`, after everything that its sender had learned is learned here.

    Promises after the quorum still add the keys that their senders had in doubt: both phases are always
    safe.
    """
    if sender not in quorums.members:
        return state
    promises = state.promises | {sender}
    in_doubt = state.unlearned | unlearned
    if quorums.prepared(promises):
        return GrantedClass(state.ballot, promises, in_doubt)
    return AskingClass(state.ballot, promises, in_doubt)


def prepared(state: AskingClass | GrantedClass, key: Key, own: Instance) -> Prepared | None:
    """R15, R16: phase 1 for `key` by the class promises; None if the key needs both phases.

    Args:
        state: the promises so far.
        key: a key of the class.
        own: the home's own instance of it. If that is not empty, there may be a proposal to respect.
            The home may also have used its home ballot for the key already, and must not use it with
            another value (R05).
    """
    if isinstance(state, AskingClass) or key in state.unlearned or own != EMPTY:
        return None
    return Prepared(key, state.ballot, None)
