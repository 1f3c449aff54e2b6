"""From one holder to the next: a queue asks about a term neither too early nor too late."""

from collections.abc import Sequence

import pytest

from decreed.registry.keys import homes
from decreed.registry.locks.terms import LeaseId, Previous, lease_id, lock_and_term, term_key
from decreed.registry.paxos.messages import Accept, Commit, Prepare
from decreed.registry.replica.locks.lock_queue import FRESH_MS
from decreed.registry.replica.step.effects import Effects, Send
from decreed.registry.replica.step.events import FromClient, FromPeer
from decreed.registry.types import Ballot, Decree, NodeId, Process
from decreed.registry.wire.leases import AskLease, EndTerm, LeaseAnswer, Renew
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import HeldBy, LockRequest

from ...support.batches import heard, step, take, unheard
from ...support.lockers import RELEASED, TTL_MS, lock, release, term, told, want, wanted
from ...support.proven import to_end
from ...support.world import World

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
SOON_MS = FRESH_MS * 17 / 16 + 2
"""By then the question has left that waited for the fresh time of a term."""


def asked(world: World, node: NodeId) -> list[int]:
    """The terms that a node has asked another about."""
    return [
        message.lease_id.term
        for sender, to, message in world.sent
        if sender == node != to and isinstance(message, AskLease)
    ]


def proposes(messages: Sequence[PeerMessage], number: int) -> bool:
    return any(
        isinstance(message, Accept | Prepare) and message.key == term_key("l", number)
        for message in messages
    )


def leaving(effects: Effects) -> list[PeerMessage]:
    items = (*effects.at_once, *effects.after)
    return [item.message for item in items if isinstance(item, Send)]


def lock_queues(world: World, node: NodeId) -> int:
    return len(world.replica(node).pending_work().get("lock queues", ()))


def over(held: LeaseId) -> EndTerm:
    return EndTerm(held, TTL_MS, RELEASED)


def second(held: LeaseId, name: str = "b") -> Decree:
    """The term after the first, granted at another node."""
    claim = wanted(name).claim(held.next_key, Previous(held.claim_id, TTL_MS, RELEASED))
    return Decree.of(claim, Ballot(1, Process(N2, 1)), 0)


def held_here(world: World, node: NodeId = N1) -> LeaseId:
    return lease_id(lock(world, node, "a").decree)


def told_from_elsewhere() -> tuple[World, Commit, EndTerm]:
    """A waiter at n3, which hears of the second term and of its end only by these messages."""
    world = World()
    held = held_here(world)
    want(world, N3, "c")
    world.run(10)
    heard_of = second(held)
    world.sent.clear()
    return world, Commit(heard_of.key, heard_of), over(lease_id(heard_of))


# -- no sooner and no later


def test_a_queue_asks_about_a_new_term_only_after_the_fresh_time() -> None:
    world = World()
    held = held_here(world)
    marks = [want(world, N1, name) for name in "bc"]
    world.run(10)
    world.sent.clear()
    release(world, N1, held)
    began_ms = world.now_ms
    assert term(told(world, marks[0])) == 2
    world.run(began_ms + FRESH_MS - 6 - world.now_ms)
    assert not asked(world, N1)
    world.run(began_ms + SOON_MS - world.now_ms)
    assert set(asked(world, N1)) == {2}, "however far off the timer was that was set before"


def test_a_queue_asks_about_a_term_even_if_the_question_about_the_last_one_is_open() -> None:
    world = World()
    held = held_here(world)
    unheard(world, AskLease)
    mark = want(world, N1, "b")
    want(world, N1, "c")
    world.run(10)
    assert set(asked(world, N1)) == {1}
    heard(world)
    world.sent.clear()
    release(world, N1, held)
    assert term(told(world, mark)) == 2
    world.run(SOON_MS)
    assert set(asked(world, N1)) == {2}


def test_quick_hand_overs_do_not_postpone_the_question_forever() -> None:
    world = World()
    held = held_here(world)
    marks = [want(world, N1, f"w{number}") for number in range(12)]
    world.run(10)
    world.sent.clear()
    for number, mark in enumerate(marks[:10], 2):
        release(world, N1, held)
        granted = told(world, mark)
        assert term(granted) == number
        held = LeaseId("l", number, wanted(f"w{number - 2}").claim_id)
        world.run(45)
    assert len(set(asked(world, N1))) >= 2


def test_a_question_about_the_previous_term_is_not_repeated_and_its_answers_do_not_count() -> None:
    world = World()
    held = held_here(world)
    unheard(world, LeaseAnswer)
    want(world, N3, "c")
    world.run(10)
    (question,) = {m for s, _, m in world.sent if s == N3 and isinstance(m, AskLease)}
    world.sent.clear()
    heard_of = second(held)
    take(world, N3, (N2, Commit(heard_of.key, heard_of)))
    late = LeaseAnswer(question.id, 0, RELEASED, False, None)
    take(world, N3, (N1, late), (N2, late))
    assert not proposes([message for _, _, message in world.sent], 2)
    world.run(SOON_MS)
    assert set(asked(world, N3)) == {2}


@pytest.mark.parametrize(("queue", "timeout_ms"), [(True, 300), (False, 5_000)])
def test_a_request_with_little_time_or_that_does_not_queue_learns_the_holder_at_once(
    queue: bool, timeout_ms: int
) -> None:
    """Its question about the previous term was never answered."""
    world = World()
    held = held_here(world)
    want(world, N1, "b")
    world.run(10)
    unheard(world, AskLease)
    mark = want(world, N1, "c", queue=queue, timeout_ms=timeout_ms)
    world.run(240)
    assert told(world, mark) is None
    heard(world)
    release(world, N1, held)
    assert queue or isinstance(told(world, mark), HeldBy)
    world.run(80)
    answer = told(world, mark)
    assert isinstance(answer, HeldBy)
    assert lock_and_term(answer.decree.key)[1] == 2


def test_a_lock_queue_ends_with_the_grant_to_its_last_waiter() -> None:
    world = World()
    mark = want(world, N1, "a")
    world.settle()
    assert term(told(world, mark)) == 1
    assert lock_queues(world, N1) == 0


# -- at once


def test_a_term_whose_end_is_known_before_its_decree_is_followed_at_once() -> None:
    world, commit, end = told_from_elsewhere()
    take(world, N3, (N1, end))
    assert not proposes([message for _, _, message in world.sent], 3)
    take(world, N3, (N1, commit))
    assert proposes([m for sender, _, m in world.sent if sender == N3], 3)


def test_a_term_may_begin_and_end_in_one_step() -> None:
    world, commit, end = told_from_elsewhere()
    take(world, N3, (N1, commit), (N1, end))
    assert proposes([m for sender, _, m in world.sent if sender == N3], 3)


@pytest.mark.parametrize("node", [N1, N2])
def test_a_release_and_the_proposal_of_the_next_term_leave_together(node: NodeId) -> None:
    world = World()
    held = held_here(world, node)
    want(world, node, "b")
    world.run(10)
    world.sent.clear()
    request = to_end(world.new_id(), 1_000, held, RELEASED)
    messages = leaving(step(world, node, FromClient(1, (request,))))
    assert proposes(messages, 2)
    assert over(held) not in messages, "the accept tells it"


def test_a_release_reported_by_a_peer_lets_the_next_term_be_proposed_in_the_same_step() -> None:
    world = World()
    held = held_here(world)
    want(world, N3, "b")
    world.run(10)
    assert proposes(leaving(step(world, N3, FromPeer(N1, over(held)))), 2)


def test_no_next_term_is_tried_while_the_disk_is_searched_for_the_latest_one() -> None:
    """The term is learned meanwhile, and all instances are loaded; one question is enough."""
    world = World()
    first = lock(world, N1, "a").decree
    world.crash(N3)
    world.boot(N3)
    world.run(100)
    world.sent.clear()
    requests = [LockRequest(world.new_id(), 3_000, "l", True, wanted(name)) for name in ("b", "c")]
    world.answers |= {(N3, request.id): [] for request in requests}
    world.post(N3, FromClient(1, (requests[0],)))
    world.post(N3, FromPeer(N1, Commit(first.key, first)))
    world.post(N3, FromPeer(N1, Renew(7, lease_id(first), TTL_MS, None)))
    world.post(N3, FromClient(1, (requests[1],)))
    world.settle()
    questions = {m.id for s, _, m in world.sent if s == N3 and isinstance(m, AskLease)}
    assert len(questions) == 1


def test_a_free_lock_is_proposed_in_the_very_step_in_which_it_is_asked_for() -> None:
    """The home promise covers the term, so its accept need not wait for what happens next."""
    world = World()
    home = homes(term_key("l", 1), world.config.nodes)[0]
    world.run(2_000)
    for name in "ab":
        release(world, home, lease_id(lock(world, home, name).decree))
    world.run(200)
    asks = LockRequest(world.new_id(), 20_000, "l", True, wanted("c"))
    effects = step(world, home, FromClient(1, (asks,)))
    assert any(isinstance(message, Accept) for message in leaving(effects))
    assert proposes(leaving(effects), 3)
