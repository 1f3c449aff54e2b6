"""Locks: granting the next term, keeping a term, and when a term is over (design 11)."""

import pytest

from decreed.registry.errors import BadRequest, OutcomeUnknown, Unreachable
from decreed.registry.locks.terms import (
    How,
    LeaseId,
    lease_id,
    term_key,
    term_of,
)
from decreed.registry.paxos.messages import Accepted, Prepare
from decreed.registry.replica.locks import latest_terms
from decreed.registry.replica.step.events import ClientGone, FromClient
from decreed.registry.types import NodeId
from decreed.registry.wire.leases import Renewed
from decreed.registry.wire.requests import (
    Ended,
    Failed,
    Granted,
    HeldBy,
    HolderRequest,
    Kept,
    LockRequest,
    Superseded,
    Undecided,
)

from ...support.lockers import RELEASED, TTL_MS, keep, lock, release, term, told, want, wanted
from ...support.proven import to_keep
from ...support.world import World, claim

# -- one after the other


def test_the_first_request_gets_the_first_term() -> None:
    granted = lock(World(), "n1", "a")
    assert granted.decree.key == term_key("l", 1)
    assert granted.decree.claimant == "a"
    assert granted.leased, "with majorities, those who accepted are enough to begin"
    assert term_of(granted.decree).previous is None


def test_after_a_release_the_next_term_follows_at_once_and_records_it() -> None:
    world = World()
    first = lock(world, "n1", "a")
    assert isinstance(release(world, "n1", lease_id(first.decree)), Ended)
    began_ms = world.now_ms
    second = lock(world, "n1", "b")
    assert world.now_ms - began_ms < 100
    assert term(second) == 2
    previous = term_of(second.decree).previous
    assert previous is not None
    assert previous.claim_id == first.decree.claim_id
    assert previous.ending == RELEASED


def test_without_a_release_the_next_term_waits_for_the_lease_to_run_out() -> None:
    world = World()
    lock(world, "n1", "a")
    began_ms = world.now_ms
    second = lock(world, "n2", "b")
    assert TTL_MS - 10 <= world.now_ms - began_ms < 2 * TTL_MS
    previous = term_of(second.decree).previous
    assert previous is not None and previous.ending.how is How.EXPIRED


def test_a_holder_that_is_alive_keeps_its_term_for_as_long_as_it_likes() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    mark = want(world, "n2", "b")
    for _ in range(20):
        world.run(TTL_MS / 3)
        assert isinstance(keep(world, "n3", held), Kept)
    assert told(world, mark) is None
    world.run(2 * TTL_MS)
    assert term(told(world, mark)) == 2


def test_waiters_get_the_lock_in_order_of_arrival() -> None:
    world = World()
    held = lock(world, "n1", "a")
    marks = [want(world, "n1", f"w{number}") for number in range(5)]
    world.run(10)
    for number, mark in enumerate(marks):
        release(world, "n1", lease_id(held.decree))
        world.run(50)
        answer = told(world, mark)
        assert isinstance(answer, Granted), f"waiter {number} has it"
        assert [told(world, later) for later in marks[number + 1 :]] == [None] * (4 - number)
        held = answer


def test_waiters_whose_connection_has_ended_are_passed_over_without_a_wait() -> None:
    world = World()
    held = lock(world, "n1", "a")
    for number in range(50):
        request = LockRequest(world.new_id(), 20_000, "l", True, wanted(f"dead{number}"))
        world.post(NodeId("n1"), FromClient(100 + number, (request,)))
    mark = want(world, "n1", "alive")
    world.run(10)
    for number in range(50):
        world.post(world.config.nodes[0], ClientGone(100 + number))
    release(world, "n1", lease_id(held.decree))
    world.run(50)
    assert term(told(world, mark)) == 2


def test_a_candidate_that_leaves_does_not_delay_the_next_waiter() -> None:
    world = World()
    held = lock(world, "n1", "a")
    world.lose = lambda sender, to, message: isinstance(message, Prepare)
    dead = LockRequest(world.new_id(), 20_000, "l", True, wanted("dead"))
    world.post(NodeId("n1"), FromClient(100, (dead,)))
    mark = want(world, "n1", "alive")
    release(world, "n1", lease_id(held.decree))
    world.run(50)
    world.post(world.config.nodes[0], ClientGone(100))
    world.lose = lambda *_: False
    world.run(TTL_MS / 2)
    assert term(told(world, mark)) == 2


# -- answers to requests that do not wait


def test_a_request_that_does_not_wait_learns_the_holder_and_the_remaining_time() -> None:
    world = World()
    granted = lock(world, "n1", "a")
    world.run(400)
    answer = world.ask("n2", LockRequest(world.new_id(), 1_000, "l", False, wanted("b")))
    assert isinstance(answer, HeldBy)
    assert answer.decree == granted.decree
    assert 500 <= answer.remaining_ms <= 610


def test_a_request_that_does_not_wait_gets_a_free_lock() -> None:
    world = World()
    release(world, "n1", lease_id(lock(world, "n1", "a").decree))
    answer = world.ask("n3", LockRequest(world.new_id(), 1_000, "l", False, wanted("b")))
    assert term(answer) == 2


def test_a_waiter_that_ends_in_the_queue_learns_the_holder() -> None:
    world = World()
    held = lock(world, "n1", "a")
    mark = want(world, "n1", "b", timeout_ms=300)
    world.run(500)
    answer = told(world, mark)
    assert isinstance(answer, HeldBy)
    assert answer.decree == held.decree


def test_a_waiter_learns_the_holder_though_many_other_locks_were_used_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latest_terms, "MAX_LOCKS", 1)
    world = World()
    held = lock(world, "n1", "a")
    mark = want(world, "n1", "b", timeout_ms=900)
    world.run(50)
    world.ask("n1", LockRequest(world.new_id(), 300, "another", True, wanted("c")))
    world.run(1_000)
    answer = told(world, mark)
    assert isinstance(answer, HeldBy)
    assert answer.decree == held.decree


def test_held_is_never_answered_without_a_quorum_nor_after_an_accept_was_sent() -> None:
    world = World()
    lock(world, "n1", "a")
    world.lose = lambda *_: True
    alone = world.ask("n1", LockRequest(world.new_id(), 300, "l", False, wanted("b")))
    assert isinstance(alone, Failed) and alone.code == Unreachable.code
    world.lose = lambda sender, to, message: isinstance(message, Accepted)
    mark = want(world, "n1", "c", timeout_ms=3 * TTL_MS)
    world.run(4 * TTL_MS)
    answer = told(world, mark)
    assert isinstance(answer, Failed) and answer.code == OutcomeUnknown.code


def test_a_question_is_answered_with_the_holder_and_whether_its_term_is_over() -> None:
    world = World()
    assert isinstance(world.ask("n1", HolderRequest(world.new_id(), 1_000, "l")), Undecided)
    granted = lock(world, "n1", "a")
    mark = want(world, "n2", "b")
    world.run(10)
    held = world.ask("n2", HolderRequest(world.new_id(), 1_000, "l"))
    assert isinstance(held, HeldBy)
    assert (held.decree, held.ending, held.waiters) == (granted.decree, None, 1)
    assert held.remaining_ms > 0
    world.post(world.config.nodes[1], ClientGone(1))
    release(world, "n1", lease_id(granted.decree))
    over = world.ask("n3", HolderRequest(world.new_id(), 1_000, "l"))
    assert isinstance(over, HeldBy)
    assert (over.remaining_ms, over.ending) == (0, RELEASED)
    assert told(world, mark) is None


# -- keeping


def test_a_keep_alive_is_answered_only_when_a_prepare_quorum_keeps_the_term() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    world.lose = lambda sender, to, message: isinstance(message, Renewed)
    alone = world.send("n1", to_keep(world.new_id(), 300, held))
    world.run(400)
    answer = world.answers[alone][0]
    assert isinstance(answer, Failed) and answer.code == Unreachable.code
    assert not any("keep-alives" in world.replica(n).pending_work() for n in ("n2", "n3"))


def test_no_keep_alive_is_taken_once_the_next_term_is_decided() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    world.run(2 * TTL_MS)
    lock(world, "n2", "b")
    for node in world.config.nodes:
        assert isinstance(keep(world, node, held), Superseded)


def test_a_node_that_accepted_the_next_term_refuses_keep_alives_for_the_previous_one() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    world.run(2 * TTL_MS)
    world.lose = lambda sender, to, message: isinstance(message, Accepted) and sender != to
    want(world, "n2", "b", timeout_ms=300)
    world.run(100)
    assert isinstance(keep(world, "n1", held), Superseded), "all have accepted, no node has learned"


def test_no_client_keeps_or_ends_a_term_of_another() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    other = LeaseId("l", 1, b"another id")
    assert isinstance(keep(world, "n1", other), Superseded)
    refused = release(world, "n1", other)
    assert isinstance(refused, Failed) and refused.code == BadRequest.code
    future = release(world, "n1", LeaseId("l", 7, held.claim_id))
    assert isinstance(future, Failed) and future.code == BadRequest.code
    assert isinstance(keep(world, "n1", held), Kept), "neither did any harm"


def test_a_released_term_is_not_renewed() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    release(world, "n1", held)
    assert isinstance(keep(world, "n2", held), Superseded)


def test_a_plain_claim_never_names_a_term_not_even_one_that_is_learned() -> None:
    world = World()
    learned = lock(world, "n1", "somebody").decree
    answers = [world.claim("n1", claim(f"$locks/l@{n}", b"v", b"id")) for n in (1, 2)]
    assert learned.key == "$locks/l@1"
    assert [answer.code for answer in answers if isinstance(answer, Failed)] == [
        BadRequest.code
    ] * 2
