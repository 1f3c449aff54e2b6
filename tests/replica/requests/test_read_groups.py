"""All reads that one step begins ask each peer once; a key leaves its group when it is unusual."""

import sys
from types import FrameType

import pytest

from decreed.registry.errors import Unreachable
from decreed.registry.paxos.messages import Accept, Commit
from decreed.registry.replica.step.events import ClientGone, FromClient, FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import MAX_QUERIED, PeerMessage, Query, QueryAnswer
from decreed.registry.wire.requests import (
    Answer,
    Cancel,
    Decreed,
    Failed,
    GetRequest,
    Undecided,
    WaitRequest,
)

from ...support.world import World, claim, config

N1, N2, N3, N4, N5 = (NodeId(f"n{number}") for number in range(1, 6))
A, B, C = Key("a"), Key("b"), Key("c")
FIRST = 101


def get(world: World, key: Key, timeout_ms: int = 5_000) -> GetRequest:
    return GetRequest(world.new_id(), timeout_ms, key)


def gets(world: World, *keys: Key, timeout_ms: int = 5_000) -> list[GetRequest]:
    """One frame of gets, at n1."""
    asked = [get(world, key, timeout_ms) for key in keys]
    for request in asked:
        world.answers[N1, request.id] = []
    world.post(N1, FromClient(FIRST, tuple(asked)))
    world.settle()
    return asked


def told(world: World, request: GetRequest) -> Answer | None:
    answers = world.answers[N1, request.id]
    assert len(answers) <= 1
    return answers[0] if answers else None


def questions(world: World, to: NodeId = N2) -> list[Query]:
    return [m for _, receiver, m in world.sent if isinstance(m, Query) and receiver == to]


def unheard(world: World) -> None:
    """All answers are lost; the test gives its own."""
    world.lose = lambda sender, to, message: isinstance(message, QueryAnswer)


def say(world: World, sender: NodeId, answer: QueryAnswer) -> None:
    world.post(N1, FromPeer(sender, answer))
    world.settle()


def accepted_at(world: World, node: NodeId, key: Key) -> None:
    ballot = Ballot(1, Process(N3, 1))
    world.post(node, FromPeer(N3, Accept(key, ballot, Decree.of(claim(key), ballot, 0))))
    world.settle()


def is_idle(world: World) -> bool:
    work = world.replica(N1).pending_work()
    return not work.keys() & {"reads", "requests"}


# -- one question


def test_all_reads_of_a_step_are_one_question_to_each_peer() -> None:
    world = World()
    world.sent.clear()
    asked = gets(world, A, B, C, A)
    assert all(isinstance(told(world, request), Undecided) for request in asked)
    assert [set(query.keys) for query in questions(world)] == [{A, B, C}]
    assert is_idle(world)


def test_reads_of_several_clients_and_waits_are_in_the_same_question() -> None:
    world = World()
    world.sent.clear()
    first = world.new_id()
    world.answers[N1, first] = []
    world.post(N1, FromClient(FIRST, (GetRequest(first, 5_000, A),)))
    world.post(N1, FromClient(FIRST + 1, (WaitRequest(world.new_id(), 5_000, B),)))
    world.settle()
    assert [set(query.keys) for query in questions(world)] == [{A, B}]
    assert [type(answer) for answer in world.answers[N1, first]] == [Undecided]


def test_more_reads_than_a_question_may_name_are_several_questions() -> None:
    world = World()
    world.sent.clear()
    asked = gets(world, *(Key(f"k{number}") for number in range(2 * MAX_QUERIED + 1)))
    assert all(isinstance(told(world, request), Undecided) for request in asked)
    assert [len(query.keys) for query in questions(world)] == [MAX_QUERIED, MAX_QUERIED, 1]


def test_decided_and_undecided_gets_of_a_frame_each_get_their_answer() -> None:
    world = World()
    world.freeze("n1", A)
    asked = gets(world, A, B)
    assert isinstance(told(world, asked[0]), Decreed)
    assert isinstance(told(world, asked[1]), Undecided)


def test_a_node_alone_is_its_own_quorum() -> None:
    world = World(config(1))
    asked = gets(world, A, B)
    assert all(isinstance(told(world, request), Undecided) for request in asked)


# -- what is counted


def test_a_read_never_joins_a_question_that_has_left() -> None:
    """The answer "undecided" needs a quorum that was asked after the read arrived."""
    world = World()
    unheard(world)
    (first,) = gets(world, A)
    (query,) = questions(world)
    (later,) = gets(world, A)
    say(world, N2, QueryAnswer(query.id))
    assert isinstance(told(world, first), Undecided)
    assert told(world, later) is None


def test_a_key_that_somebody_has_accepted_leaves_its_group_and_is_finished() -> None:
    world = World()
    accepted_at(world, N2, A)
    world.lose = lambda sender, to, _: N3 in (sender, to)
    asked = gets(world, A, B)
    world.run(1_000)
    assert isinstance(told(world, asked[0]), Decreed)
    assert isinstance(told(world, asked[1]), Undecided)


def test_a_get_considers_the_acceptance_of_its_own_node() -> None:
    world = World()
    accepted_at(world, N1, A)
    accepted_at(world, N3, A)  # a quorum: it is chosen
    world.lose = lambda sender, to, _: N3 in (sender, to)
    asked = gets(world, A, B)
    world.run(1_000)
    assert isinstance(told(world, asked[0]), Decreed)
    assert isinstance(told(world, asked[1]), Undecided)


def test_an_answer_does_not_count_for_the_keys_that_it_leaves_out() -> None:
    world = World()
    unheard(world)
    asked = gets(world, A, B)
    (query,) = questions(world)
    say(world, N2, QueryAnswer(query.id, left_out=(A,)))
    assert told(world, asked[0]) is None
    assert isinstance(told(world, asked[1]), Undecided)


def test_the_answers_before_count_for_a_key_that_is_left_out_and_that_of_its_sender_does_not() -> (
    None
):
    world = World(config(5))
    unheard(world)
    asked = gets(world, A, B)
    (query,) = questions(world)
    say(world, N2, QueryAnswer(query.id))
    say(world, N3, QueryAnswer(query.id, left_out=(A,)))
    assert [isinstance(told(world, one), Undecided) for one in asked] == [False, True]
    apart = questions(world, N4)[-1]
    assert apart.keys == (A,) and apart.id != query.id
    say(world, N4, QueryAnswer(apart.id))
    assert isinstance(told(world, asked[0]), Undecided)


def test_a_learned_key_is_told_and_the_others_are_counted() -> None:
    world = World()
    world.lose = lambda sender, to, message: to == N1 and sender != N2
    decree = Decree.of(claim(A), Ballot(1, Process(N3, 1)), 0)
    world.post(N2, FromPeer(N3, Commit(A, decree)))
    asked = gets(world, A, B)
    world.run(50)
    assert told(world, asked[0]) == Decreed(asked[0].id, decree)
    assert isinstance(told(world, asked[1]), Undecided)


def test_a_question_that_is_asked_again_is_answered_from_the_present_state() -> None:
    world = World()
    world.sent.clear()
    world.post(N1, FromPeer(N2, Query(7, (A, B))))
    world.settle()
    accepted_at(world, N1, A)
    world.post(N1, FromPeer(N2, Query(7, (A, B))))
    world.settle()
    answers = [m for _, _, m in world.sent if isinstance(m, QueryAnswer)]
    assert answers == [QueryAnswer(7), QueryAnswer(7, accepted=(A,))]


# -- late voters, and requests that end


def test_a_question_is_repeated_to_those_alone_that_have_not_answered() -> None:
    world = World(config(5))
    world.lose = lambda sender, to, message: isinstance(message, QueryAnswer) and sender != N2
    gets(world, A, B)
    world.sent.clear()
    world.run(1_000)
    assert questions(world, N3) and not questions(world, N2)


@pytest.mark.parametrize("timeout_ms", [300, 1_000, 3_000])
def test_a_get_that_finds_no_quorum_ends_in_its_time(timeout_ms: int) -> None:
    world = World()
    unheard(world)
    (request,) = gets(world, A, timeout_ms=timeout_ms)
    world.run(timeout_ms - 10)
    assert told(world, request) is None
    world.run(100)
    answer = told(world, request)
    assert isinstance(answer, Failed) and answer.code == Unreachable.code
    world.run(5_000)
    assert is_idle(world)


def test_a_get_among_others_can_be_cancelled() -> None:
    world = World()
    unheard(world)
    first, second = gets(world, A, B)
    (query,) = questions(world)
    world.post(N1, FromClient(FIRST, (Cancel(first.id),)))
    world.settle()
    assert isinstance(told(world, first), Failed)
    say(world, N2, QueryAnswer(query.id))
    assert isinstance(told(world, second), Undecided)
    assert is_idle(world)


def test_nothing_is_asked_any_more_for_a_client_that_is_gone() -> None:
    world = World()
    unheard(world)
    gets(world, A, B)
    world.post(N1, ClientGone(FIRST))
    world.settle()
    assert is_idle(world)


def test_a_get_is_answered_when_its_key_is_learned_while_the_quorum_is_late() -> None:
    world = World()
    unheard(world)
    first, second = gets(world, A, B)
    world.freeze("n2", A)
    world.run(20)
    assert isinstance(told(world, first), Decreed)
    assert told(world, second) is None


def test_all_reads_that_are_open_are_counted() -> None:
    world = World()
    unheard(world)

    def lose(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        return isinstance(message, QueryAnswer)

    world.lose = lose
    gets(world, A, B, A)
    replica = world.replica(N1)
    assert (replica.reads_under_way, replica.in_flight) == (3, 3)
    world.run(1_000)  # they are pending requests now
    assert (replica.reads_under_way, replica.in_flight) == (3, 3)


# -- what a read costs

MOST_CALLS = 12
"""Calls of Python functions for a read, at all three nodes, the simulated disk and network included."""


def test_an_undecided_read_among_many_costs_few_calls() -> None:
    world = World()
    keys = [Key(f"k{number}") for number in range(MAX_QUERIED)]
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and "registry" in frame.f_code.co_filename

    sys.setprofile(count)
    try:
        asked = gets(world, *keys)
    finally:
        sys.setprofile(None)
    assert all(isinstance(told(world, request), Undecided) for request in asked)
    assert calls / len(keys) <= MOST_CALLS


def test_who_leaves_a_key_out_is_no_part_of_the_quorum_of_that_key() -> None:
    world = World(config(5))
    unheard(world)
    (request,) = gets(world, A)
    (query,) = questions(world)
    say(world, N3, QueryAnswer(query.id, left_out=(A,)))
    say(world, N4, QueryAnswer(questions(world, N4)[-1].id))
    assert told(world, request) is None
    say(world, N5, QueryAnswer(questions(world, N4)[-1].id))
    assert isinstance(told(world, request), Undecided)
