"""M13: what a node does that has no vote any more, and what becomes of the requests that wait there."""

from collections.abc import Callable

import pytest

from decreed.registry.errors import NotMember, OutcomeUnknown
from decreed.registry.keys import home
from decreed.registry.locks.terms import TermClaim
from decreed.registry.members import MembersChange, claim_of
from decreed.registry.paxos.messages import Accepted, Commit
from decreed.registry.replica.step.effects import Reply
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, Process
from decreed.registry.wire.peers import PassedClaim
from decreed.registry.wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    GiveUpRequest,
    Granted,
    HolderRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    LockRequest,
    Request,
    WaitRequest,
    WatchPage,
    WatchRequest,
)

from ...support.changed import N1, N2, N3, N4, changed, step
from ...support.changing import ChangingWorld
from ...support.world import claim

WANTED = TermClaim("me", b"1", 1_000, bytes(32))
NEEDS_A_VOTE: list[Callable[[int], Request]] = [
    lambda id: ClaimRequest(id, 1_000, True, claim("k")),
    lambda id: ClaimNextRequest(id, 1_000, True, claim("s@1")),
    lambda id: GetRequest(id, 1_000, claim("k").key),
    lambda id: WaitRequest(id, 1_000, claim("k").key),
    lambda id: LatestRequest(id, 1_000, "s"),
    lambda id: LockRequest(id, 1_000, "jobs", True, WANTED),
    lambda id: HolderRequest(id, 1_000, "jobs"),
    lambda id: GiveUpRequest(id, 1_000, "jobs", b"1", 1_000, bytes(16)),
]


@pytest.mark.parametrize("request_of", NEEDS_A_VOTE)
def test_M13_a_node_that_left_refuses_what_needs_a_vote_and_says_who_votes(
    request_of: Callable[[int], Request],
) -> None:
    world = changed()
    answer = world.ask(N3, request_of(world.new_id()))
    assert isinstance(answer, Failed) and answer.code == NotMember.code
    assert "the voters of epoch 1 are n1, n2, n4" in answer.message


def test_M13_what_is_learned_is_served_by_a_node_that_left() -> None:
    world = ChangingWorld([N4])
    decree = world.freeze(N1, "k").decree
    world.change(N1, N1, N2, N4)
    for asked in (GetRequest, WaitRequest):
        answer = world.ask(N3, asked(world.new_id(), 1_000, decree.key))
        assert isinstance(answer, Decreed) and answer.decree == decree


def test_M13_what_waits_at_a_node_ends_when_it_leaves_and_its_queues_are_empty() -> None:
    world = ChangingWorld([N4])
    held = TermClaim("me", b"1", 60_000, bytes(32))
    lock = LockRequest(world.new_id(), 60_000, "jobs", True, held)
    assert isinstance(world.ask(N3, lock), Granted)
    other = TermClaim("other", b"2", 60_000, bytes(32))
    world.run(10)
    marks = [
        world.send(N3, WaitRequest(world.new_id(), 60_000, claim("open").key)),
        world.send(N3, LockRequest(world.new_id(), 60_000, "jobs", True, other)),
    ]
    world.run(100)
    assert [world.answers[mark] for mark in marks] == [[], []]
    change = MembersChange(world.epoch(1, N1, N2, N4), world.replica(N3).node.epoch, ("a:1",) * 3)
    decree = Decree.of(claim_of(change, "operator", b"id"), Ballot.first(Process(N1, 1)), 0)
    sealed = step(world, N3, FromPeer(N1, Commit(decree.key, decree)))
    effects = step(world, N3, *sealed.again)
    failed = [i.answer for i in effects.at_once if isinstance(i, Reply)]
    assert [f.code for f in failed if isinstance(f, Failed)] == [NotMember.code] * len(marks)
    assert not world.replica(N3).pending_work().keys() & {"lock queues", "questions", "requests"}


def test_M13_watches_and_lists_go_on_at_a_node_that_left() -> None:
    world = ChangingWorld([N4])
    world.freeze(N1, "k")
    start = world.ask(N3, WatchRequest(world.new_id(), 1_000, "later", None, 10))
    assert isinstance(start, WatchPage)
    watch = world.send(N3, WatchRequest(world.new_id(), 30_000, "later", start.position, 10))
    world.run(100)
    world.change(N1, N1, N2, N4)
    page = world.ask(N3, ListRequest(world.new_id(), 5_000, "", "", 10))
    assert isinstance(page, ListPage) and [d.key for d in page.decrees] == ["k"]
    world.freeze(N1, "later/on")
    world.run(10_000)
    [answer] = world.answers[watch]
    assert isinstance(answer, WatchPage) and [d.key for d in answer.decrees] == ["later/on"]


def test_M13_a_claim_whose_accept_left_ends_as_unknown_when_its_node_leaves() -> None:
    world = ChangingWorld([N4])
    world.lose = lambda _, to, message: to == N3 and isinstance(message, Accepted)
    mark = world.send(N3, ClaimRequest(world.new_id(), 60_000, True, claim("k")))
    world.run(50)
    assert world.answers[mark] == []
    world.lose = lambda sender, to, message: (
        to == N3 and (isinstance(message, Accepted) or _is_commit_of(message, "k"))
    )
    world.change(N1, N1, N2, N4, ms=100)
    [answer] = world.answers[mark]
    assert isinstance(answer, Failed) and answer.code == OutcomeUnknown.code
    assert "epoch 1" in answer.message


def _is_commit_of(message: object, key: str) -> bool:
    return isinstance(message, Commit) and message.key == key


def test_M13_a_claim_that_was_passed_to_a_node_that_left_goes_to_the_next_one() -> None:
    """n1 has not heard of the change; n3, which has, is the home of the key by the old members."""
    world = ChangingWorld()
    nodes = world.replica(N1).node.nodes
    key = next(key for key in map("k{}".format, range(100)) if home(Key(key), nodes) == N3)
    world.lose = lambda _, to, message: to == N3
    mark = world.send(N1, ClaimRequest(world.new_id(), 20_000, False, claim(key)))
    world.settle()
    [passed] = [m.request.id for _, to, m in world.sent if to == N3 and isinstance(m, PassedClaim)]
    world.post(N1, FromPeer(N3, Failed(passed, NotMember.code, "n3 has no vote")))
    world.run(1_000)
    [answer] = world.answers[mark]
    assert isinstance(answer, Decreed), answer


def test_M13_a_node_that_left_and_reaches_no_voter_refuses_a_claim() -> None:
    world = changed()
    for node in (N1, N2, N4):
        world.crash(node)
    answer = world.ask(N3, ClaimRequest(world.new_id(), 1_000, False, claim("k")))
    assert isinstance(answer, Failed) and answer.code == NotMember.code


def test_one_that_left_and_missed_the_next_change_is_told_as_a_guest() -> None:
    """n3 is needed in epoch 1, since n4 is down; the voters of epoch 2 do not know n3 any more."""
    world = ChangingWorld([N4, "n5"])
    world.crash(N4)
    world.change(N1, N1, N2, N4)
    assert N3 in world.replica(N1).node.sources
    world.lose = lambda _, to, message: to == N3
    world.propose(N1, world.epoch(2, N1, N2, "n5"))  # and nobody greets again
    world.run(500)
    node = world.replica(N1).node
    assert node.seat.known == 2 and world.replica(N3).node.seat.known == 1
    assert N3 not in node.sources and N3 in node.guests
