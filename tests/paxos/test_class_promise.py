"""The class promise, rule by rule: phase 1 once, for all keys that a node is home to."""

import pytest

from decreed.registry.paxos import acceptor, class_promise, proposer
from decreed.registry.paxos.class_promise import AskingClass, GrantedClass
from decreed.registry.paxos.instance import EMPTY, Class, Contradiction, Instance
from decreed.registry.paxos.messages import Accept, Accepted, Nack, Prepare, PrepareClass, Promise
from decreed.registry.paxos.proposer import NotPromised, Preempted, Prepared, Proposing
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process

from ..support.world import claim

KEY = Key("k")
FIRST, SECOND = Process(NodeId("n1"), 1), Process(NodeId("n1"), 2)
DIGEST = bytes(16)
FIVE = tuple(NodeId(f"n{number}") for number in range(1, 6))


def quorums(size: int, prepare: int = 0, accept: int = 0) -> Quorums:
    majority = size // 2 + 1
    return Quorums(FIVE[:size], prepare or majority, accept or majority)


def asks(process: Process) -> PrepareClass:
    return PrepareClass(Ballot.of_home(process), DIGEST)


def proposal(ballot: Ballot, value: bytes = b"v") -> Accept:
    return Accept(KEY, ballot, Decree.of(claim(KEY, value, b"id-" + value), ballot, 0))


def granted(*in_doubt: Key) -> GrantedClass:
    state: AskingClass | GrantedClass = class_promise.ask(FIRST)
    for node in ("n1", "n2"):
        state = class_promise.on_promise(state, node, frozenset(in_doubt), quorums(3))
    assert isinstance(state, GrantedClass)
    return state


def test_R05_each_incarnation_of_a_home_has_one_ballot_above_those_of_earlier_ones() -> None:
    assert class_promise.ask(FIRST).ballot == Ballot.of_home(FIRST)
    assert class_promise.ask(FIRST).ballot < class_promise.ask(SECOND).ballot


def test_R06_a_home_ballot_lies_below_every_ballot_of_an_attempt_at_one_key() -> None:
    last = Ballot.of_home(Process(NodeId("z"), 1_000_000))
    lowest = proposer.start(KEY, Process(NodeId("a"), 1), None).ballot
    assert last < lowest
    assert last < proposer.start(KEY, FIRST, last).ballot


def test_R10_a_lower_home_ballot_is_refused_once_a_higher_one_was_promised() -> None:
    held = class_promise.on_prepare_class(None, asks(SECOND))
    assert held == Class(Ballot.of_home(SECOND), DIGEST)
    assert class_promise.on_prepare_class(held, asks(FIRST)) is None


def test_R02_a_repeated_question_is_promised_again() -> None:
    held = class_promise.on_prepare_class(None, asks(FIRST))
    assert class_promise.on_prepare_class(held, asks(FIRST)) == held


def test_R11_after_the_promise_to_a_later_incarnation_nothing_of_an_earlier_one_is_accepted() -> (
    None
):
    message = proposal(Ballot.of_home(FIRST))
    instance, answer = acceptor.on_accept(EMPTY, message, Ballot.of_home(SECOND))
    assert (instance, answer) == (EMPTY, Nack(KEY, message.ballot, Ballot.of_home(SECOND)))


@pytest.mark.parametrize("promised", [None, Ballot.of_home(FIRST)], ids=["none", "an older one"])
def test_R19_without_exactly_that_promise_a_proposal_in_a_home_ballot_is_refused(
    promised: Ballot | None,
) -> None:
    message = proposal(Ballot.of_home(SECOND))
    instance, answer = acceptor.on_accept(EMPTY, message, promised)
    assert (instance, answer) == (EMPTY, Nack(KEY, message.ballot, None))


def test_R19_with_it_a_proposal_in_a_home_ballot_is_accepted_and_stored() -> None:
    message = proposal(Ballot.of_home(FIRST))
    instance, answer = acceptor.on_accept(EMPTY, message, message.ballot)
    assert answer == Accepted(KEY, message.ballot)
    assert instance.promised == message.ballot
    assert instance.accepted is not None and instance.accepted.decree == message.decree


def test_R11_a_promise_for_the_single_key_outranks_every_home_ballot() -> None:
    higher = Ballot(1, Process(NodeId("n2"), 1))
    message = proposal(Ballot.of_home(FIRST))
    instance, answer = acceptor.on_accept(Instance(promised=higher), message, message.ballot)
    assert instance == Instance(promised=higher)
    assert answer == Nack(KEY, message.ballot, higher)


def test_a_class_promise_hinders_no_attempt_at_one_key() -> None:
    ballot = Ballot(1, Process(NodeId("n3"), 1))
    _, promise = acceptor.on_prepare(EMPTY, Prepare(KEY, ballot))
    assert isinstance(promise, Promise)
    _, accepted = acceptor.on_accept(EMPTY, proposal(ballot), Ballot.of_home(SECOND))
    assert isinstance(accepted, Accepted)


def test_R12_what_was_accepted_in_a_home_ballot_is_reported_to_any_attempt() -> None:
    message = proposal(Ballot.of_home(FIRST))
    instance, _ = acceptor.on_accept(EMPTY, message, message.ballot)
    _, promise = acceptor.on_prepare(instance, Prepare(KEY, Ballot(1, SECOND)))
    assert isinstance(promise, Promise) and promise.accepted is not None
    assert promise.accepted.decree == message.decree


def test_R05_one_home_ballot_never_carries_two_values_for_a_key() -> None:
    ballot = Ballot.of_home(FIRST)
    instance, _ = acceptor.on_accept(EMPTY, proposal(ballot, b"one"), ballot)
    with pytest.raises(Contradiction):
        acceptor.on_accept(instance, proposal(ballot, b"other"), ballot)


@pytest.mark.parametrize(
    ("size", "prepare", "accept", "needed"),
    [(1, 0, 0, 1), (3, 0, 0, 2), (3, 3, 1, 3), (3, 1, 3, 1), (5, 0, 0, 3), (5, 4, 2, 4)],
)
def test_R15_it_is_granted_by_a_prepare_quorum_of_members_each_counted_once(
    size: int, prepare: int, accept: int, needed: int
) -> None:
    among = quorums(size, prepare, accept)
    state: AskingClass | GrantedClass = class_promise.ask(FIRST)
    for count, node in enumerate(FIVE[:size], 1):
        for name in ("stranger", node, node):
            state = class_promise.on_promise(state, name, frozenset(), among)
        assert isinstance(state, GrantedClass) == (count >= needed)


def test_R15_before_it_is_granted_all_of_phase_1_is_needed() -> None:
    state = class_promise.on_promise(class_promise.ask(FIRST), "n2", frozenset(), quorums(3))
    assert class_promise.prepared(state, KEY, EMPTY) is None


def test_R16_a_key_that_is_in_doubt_somewhere_needs_all_of_phase_1() -> None:
    state = granted(KEY)
    assert class_promise.prepared(state, KEY, EMPTY) is None
    assert class_promise.prepared(state, Key("other"), EMPTY) is not None


def test_R16_keys_that_promises_after_the_quorum_report_as_in_doubt_count_too() -> None:
    state = class_promise.on_promise(granted(), "n3", frozenset({KEY}), quorums(3))
    assert isinstance(state, GrantedClass)
    assert class_promise.prepared(state, KEY, EMPTY) is None


def test_R17_any_other_key_with_an_empty_instance_needs_phase_2_alone() -> None:
    state = granted()
    prepared = class_promise.prepared(state, KEY, EMPTY)
    assert prepared == Prepared(KEY, Ballot.of_home(FIRST), None)
    own = proposal(state.ballot).decree
    assert proposer.propose(prepared, own) == Proposing(KEY, state.ballot, own)


@pytest.mark.parametrize(
    "own",
    [
        Instance(promised=Ballot(1, FIRST)),
        acceptor.on_accept(EMPTY, proposal(Ballot.of_home(FIRST)), Ballot.of_home(FIRST))[0],
        Instance(learned=proposal(Ballot.of_home(FIRST)).decree),
    ],
    ids=["promised", "accepted", "learned"],
)
def test_R05_a_key_whose_instance_at_the_home_is_not_empty_needs_all_of_phase_1(
    own: Instance,
) -> None:
    assert class_promise.prepared(granted(), KEY, own) is None


def test_R10_a_refusal_for_lack_of_a_promise_names_no_higher_ballot() -> None:
    message = proposal(Ballot.of_home(FIRST))
    state = Proposing(KEY, message.ballot, message.decree)
    assert proposer.on_nack(state, Nack(KEY, message.ballot, None)) == NotPromised(KEY)
    higher = Ballot.of_home(SECOND)
    assert proposer.on_nack(state, Nack(KEY, message.ballot, higher)) == Preempted(KEY, higher)
    other = Nack(KEY, Ballot(1, FIRST), None)
    assert proposer.on_nack(state, other) == state, "it is about another ballot"
