"""`HeldBy`, and so `LockHeld`, rest on answers to questions that were asked after the request.

An answer to an older question may be from before the lock was released or granted.
"""

from collections.abc import Callable

import pytest

from decreed.registry.errors import OutcomeUnknown, Unreachable
from decreed.registry.locks.terms import lease_id
from decreed.registry.paxos.messages import Accepted
from decreed.registry.types import NodeId
from decreed.registry.wire.leases import AskLease, LeaseAnswer
from decreed.registry.wire.requests import (
    Failed,
    HeldBy,
    HolderRequest,
    LockRequest,
    Request,
)

from ...support.lockers import TTL_MS, lock, release, told, want, wanted
from ...support.world import World, config

N1, N2 = NodeId("n1"), NodeId("n2")
SLOW_MS = 100.0
Ask = Callable[[World], Request]


def who_has_it(world: World) -> Request:
    return HolderRequest(world.new_id(), 5_000, "l")


def tries(world: World) -> Request:
    return LockRequest(world.new_id(), 5_000, "l", False, wanted(f"t{world.new_id()}"))


def slow_answers(world: World) -> None:
    world.delays = lambda sender, to, message: (
        SLOW_MS if isinstance(message, LeaseAnswer) else 0.0,
    )


def questions(world: World) -> int:
    """How many questions about terms have been asked of n2."""
    return sum(isinstance(m, AskLease) and to == N2 for _, to, m in world.sent)


@pytest.mark.parametrize("asks", [who_has_it, tries])
def test_a_question_asked_before_the_request_does_not_answer_it(asks: Ask) -> None:
    world = World()
    lock(world, "n1", "a")
    slow_answers(world)
    world.sent.clear()
    first = world.send("n1", asks(world))
    world.run(SLOW_MS / 2)
    second = world.send("n1", asks(world))
    world.run(SLOW_MS / 2 + 10)
    assert isinstance(told(world, first), HeldBy)
    assert told(world, second) is None, "its question has not been answered yet"
    world.run(SLOW_MS + 10)
    assert isinstance(told(world, second), HeldBy)
    assert questions(world) == 2


@pytest.mark.parametrize("asks", [who_has_it, tries])
def test_an_answer_given_before_the_request_does_not_answer_it(asks: Ask) -> None:
    """A waiter's question is answered; the next request needs a new question."""
    world = World()
    lock(world, "n1", "a")
    want(world, "n1", "b")
    world.run(50)
    world.sent.clear()
    slow_answers(world)
    mark = world.send("n1", asks(world))
    world.run(SLOW_MS / 2)
    assert told(world, mark) is None
    world.run(SLOW_MS)
    assert isinstance(told(world, mark), HeldBy) and questions(world) == 1


def test_a_request_after_a_release_is_not_answered_with_the_released_holder() -> None:
    """An answer from before the release arrives after it, and is not for a request from after it."""
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    slow_answers(world)
    early = world.send("n2", who_has_it(world))
    world.run(SLOW_MS / 2)
    release(world, "n1", held)
    late = world.send("n2", who_has_it(world))
    world.run(3 * SLOW_MS)
    assert told(world, early) is not None
    answer = told(world, late)
    assert isinstance(answer, HeldBy)
    assert answer.ending is not None and answer.remaining_ms == 0, "it was over before he asked"


def test_a_free_lock_is_reported_only_to_requests_from_before_the_question() -> None:
    """The lease has run out: a request since then may have come after the next grant."""
    world = World()
    lock(world, "n1", "a")
    world.run(2 * TTL_MS)
    slow_answers(world)
    world.sent.clear()
    first = world.send("n1", who_has_it(world))
    world.run(SLOW_MS / 2)
    second = world.send("n1", who_has_it(world))
    world.run(SLOW_MS / 2 + 10)
    assert isinstance(told(world, first), HeldBy) and told(world, second) is None
    world.run(SLOW_MS + 10)
    assert isinstance(told(world, second), HeldBy) and questions(world) == 2


def test_a_request_that_ends_before_its_question_is_answered_gets_no_holder() -> None:
    """Earlier questions were answered, but its own was not."""
    world = World()
    lock(world, "n1", "a")
    want(world, "n1", "b")
    world.run(50)
    world.lose = lambda sender, to, message: isinstance(message, LeaseAnswer)
    mark = want(world, "n1", "c", timeout_ms=200)
    world.run(400)
    answer = told(world, mark)
    assert isinstance(answer, Failed) and answer.code == Unreachable.code


def test_an_answer_to_a_question_from_before_a_request_proves_nothing_for_it() -> None:
    world = World()
    lock(world, "n1", "a")
    slow_answers(world)
    want(world, "n1", "b")
    world.run(SLOW_MS / 2)
    mark = want(world, "n1", "c", timeout_ms=300)
    world.run(SLOW_MS / 2 + 10)
    world.lose = lambda sender, to, message: isinstance(message, LeaseAnswer)
    world.run(400)
    answer = told(world, mark)
    assert isinstance(answer, Failed) and answer.code == Unreachable.code


@pytest.mark.parametrize("answering", [0, 1, 2])
def test_an_overtaken_question_proves_nothing_before_a_quorum_has_answered_it(
    answering: int,
) -> None:
    world = World(config(5))
    held = lease_id(lock(world, "n1", "a").decree)
    want(world, "n1", "next")
    world.run(50)
    speaking = ["n1", "n2", "n3"][:answering]
    slow_answers(world)
    world.lose = lambda sender, to, message: (
        isinstance(message, LeaseAnswer) and sender not in speaking
    )
    mark = want(world, "n1", "c", timeout_ms=400)
    world.run(20)
    release(world, "n1", held)
    world.run(600)
    answer = told(world, mark)
    assert isinstance(answer, Failed) and answer.code == Unreachable.code


def test_held_is_not_answered_to_a_claim_that_may_still_be_chosen() -> None:
    """A quorum has answered before; then the claim was proposed, and its time ends."""
    world = World()
    lock(world, "n1", "a")
    world.lose = lambda sender, to, message: isinstance(message, Accepted) and sender != to
    mark = want(world, "n1", "b", timeout_ms=2 * TTL_MS)
    world.run(4 * TTL_MS)
    answer = told(world, mark)
    assert isinstance(answer, Failed) and answer.code == OutcomeUnknown.code


def test_a_try_in_doubt_does_not_have_the_holder_asked_for_without_a_pause() -> None:
    """Its claim may be the next term, so it cannot be told that the lock is held; nor is it asked again
    before the lease may be over."""
    world = World()
    lock(world, "n1", "a")
    slow_answers(world)
    mark = world.send("n1", tries(world))
    world.run(SLOW_MS / 2)
    [pending] = world.replica(N1).parts.requests.all()
    pending.indefinite = True
    world.delays = lambda *_: (0.0,)
    world.sent.clear()
    world.run(SLOW_MS)
    assert told(world, mark) is None
    assert questions(world) <= 2
