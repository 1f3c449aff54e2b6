"""Classic mistakes, each a small patch of the code that ships, to try the checking itself on.

A bug that nothing catches means that the checking is too weak. The patches know nothing of who looks
for them: `with bug.seeded():` puts them into the modules, and takes them out again.

They sit where nothing behind them makes them harmless, mostly in the acceptor and in the counting.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from decreed.registry.paxos import acceptor, proposer
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.messages import Accept, Accepted, Nack, Prepare, Promise
from decreed.registry.paxos.proposer import Chosen, Prepared, Preparing, Proposing, Vacant
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.replica.coordinator import Attempt, Coordinator
from decreed.registry.replica.effects import Outgoing, Send
from decreed.registry.replica.node import Node
from decreed.registry.replica.turn import Turn
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, Proposal

# what ships, whatever is patched later
_on_prepare, _on_accept = acceptor.on_prepare, acceptor.on_accept
_on_promise, _on_accepted = proposer.on_promise, proposer.on_accepted
_propose, _vouch, _send = proposer.propose, Turn.vouch, Coordinator._send

Answer = tuple[Instance, Any]


@dataclass(frozen=True)
class Bug:
    """A mistake.

    Attributes:
        name: what is wrong, as a sentence without its end.
        patches: what is replaced by what: an owner, its attribute and the new value.
    """

    name: str
    patches: tuple[tuple[object, str, object], ...]

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Make the mistake for a while."""
        with ExitStack() as stack:
            for owner, attribute, wrong in self.patches:
                stack.enter_context(patch.object(owner, attribute, wrong))
            yield

    def __str__(self) -> str:
        return self.name


# -- the acceptor


def _accept_anything(instance: Instance, message: Accept) -> Answer:
    return _on_accept(replace(instance, promised=None), message)


def _accept_above_only(instance: Instance, message: Accept) -> Answer:
    if instance.promised == message.ballot:
        return instance, Nack(message.key, message.ballot, instance.promised)
    return _on_accept(instance, message)


def _accept_without_promising(instance: Instance, message: Accept) -> Answer:
    after, answer = _on_accept(instance, message)
    return replace(after, promised=instance.promised), answer


def _accept_without_storing(instance: Instance, message: Accept) -> Answer:
    _, answer = _on_accept(instance, message)
    return instance, answer


def _promise_anything(instance: Instance, message: Prepare) -> Answer:
    return _on_prepare(replace(instance, promised=None), message)


def _promise_without_storing(instance: Instance, message: Prepare) -> Answer:
    _, answer = _on_prepare(instance, message)
    return instance, answer


def _promise_without_telling(instance: Instance, message: Prepare) -> Answer:
    after, answer = _on_prepare(instance, message)
    return after, replace(answer, accepted=None) if isinstance(answer, Promise) else answer


# -- the proposer


def _insist(state: Prepared, own: Decree | None) -> Proposing | Vacant:
    return _propose(state if own is None else replace(state, highest=None), own)


def _lower(one: Proposal | None, other: Proposal | None) -> Proposal | None:
    if one is None or other is None:
        return one or other
    return one if one.ballot <= other.ballot else other


def _start_at_the_bottom(key: Key, process: Process, above: Ballot | None) -> Preparing:
    return Preparing(key, Ballot(1, process))


def _say_it_anyway(
    self: Coordinator, turn: Turn, attempt: Attempt, state: Preparing | Proposing
) -> None:
    others = [name for name in self._node.config.nodes if name != self._node.name]
    turn.broadcast(others, state.message())
    _send(self, turn, attempt, state)


def _count_any_promise(
    state: Preparing, sender: str, message: Promise, quorums: Quorums
) -> Preparing | Prepared:
    return _on_promise(state, sender, replace(message, ballot=state.ballot), quorums)


def _count_any_vote(
    state: Proposing, sender: str, message: Accepted, quorums: Quorums
) -> Proposing | Chosen:
    return _on_accepted(state, sender, replace(message, ballot=state.ballot), quorums)


def _count_promises_twice(
    state: Preparing, sender: str, message: Promise, quorums: Quorums
) -> Preparing | Prepared:
    return _on_promise(state, _another(sender, state.promises, quorums), message, quorums)


def _count_votes_twice(
    state: Proposing, sender: str, message: Accepted, quorums: Quorums
) -> Proposing | Chosen:
    return _on_accepted(state, _another(sender, state.votes, quorums), message, quorums)


def _another(sender: str, counted: Collection[str], quorums: Quorums) -> str:
    """Whom a repeated answer is taken for: somebody who has not answered yet."""
    fresh = [member for member in quorums.members if member not in counted]
    return fresh[0] if sender in counted and fresh else sender


def _half(quorums: Quorums, voters: Collection[str]) -> bool:
    return len(set(voters).intersection(quorums.members)) >= len(quorums.members) // 2


# -- the contract with the disk


def _vouching_early(kind: type[Promise] | type[Accepted]) -> Callable[[Turn, Key, Outgoing], None]:
    """As if answers of one kind did not have to wait for the disk."""

    def vouch(turn: Turn, key: Key, outgoing: Outgoing) -> None:
        if isinstance(outgoing, Send) and isinstance(outgoing.message, kind):
            turn.at_once(outgoing)
        else:
            _vouch(turn, key, outgoing)

    return vouch


def _first_life(node: Node) -> Process:
    return Process(NodeId(node.name), 1)


BUGS = (
    Bug("an acceptor accepts below its promise", ((acceptor, "on_accept", _accept_anything),)),
    Bug(
        "an acceptor refuses the very ballot that it promised",
        ((acceptor, "on_accept", _accept_above_only),),
    ),
    Bug(
        "accepting does not promise",
        ((acceptor, "on_accept", _accept_without_promising),),
    ),
    Bug("an acceptance is not stored", ((acceptor, "on_accept", _accept_without_storing),)),
    Bug(
        "an acceptor promises again below its promise",
        ((acceptor, "on_prepare", _promise_anything),),
    ),
    Bug("a promise is not stored", ((acceptor, "on_prepare", _promise_without_storing),)),
    Bug(
        "a promise does not tell what was accepted",
        ((acceptor, "on_prepare", _promise_without_telling),),
    ),
    Bug("the own value in spite of a reported one", ((proposer, "propose", _insist),)),
    Bug("the lowest reported value instead of the highest", ((proposer, "_higher", _lower),)),
    Bug("a new attempt in the old ballot", ((proposer, "start", _start_at_the_bottom),)),
    Bug(
        "prepare and accept leave though the own acceptor refuses",
        ((Coordinator, "_send", _say_it_anyway),),
    ),
    Bug("promises for another ballot count", ((proposer, "on_promise", _count_any_promise),)),
    Bug("votes of different ballots count together", ((proposer, "on_accepted", _count_any_vote),)),
    Bug("a node's promise counts twice", ((proposer, "on_promise", _count_promises_twice),)),
    Bug("a node's vote counts twice", ((proposer, "on_accepted", _count_votes_twice),)),
    Bug(
        "half of the members are a quorum",
        ((Quorums, "prepared", _half), (Quorums, "accepted", _half)),
    ),
    Bug("a promise is answered before it is durable", ((Turn, "vouch", _vouching_early(Promise)),)),
    Bug(
        "an acceptance is answered before it is durable",
        ((Turn, "vouch", _vouching_early(Accepted)),),
    ),
    Bug("the same ballots after a restart", ((Node, "process", property(_first_life)),)),
)
