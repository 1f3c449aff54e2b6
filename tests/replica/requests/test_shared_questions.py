"""Several requests wait for one answer; when one of them leaves, the others still get theirs."""

from collections.abc import Callable

import pytest

from decreed.registry.keys import home
from decreed.registry.locks.terms import Ending, How, Previous, lease_id
from decreed.registry.paxos.messages import Accept, Prepare, Promise
from decreed.registry.replica.step.events import ClientGone, FromClient, FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.leases import AskLease, LeaseAnswer
from decreed.registry.wire.peers import PeerMessage, QueryAnswer
from decreed.registry.wire.requests import (
    Answer,
    Cancel,
    ClaimRequest,
    Decreed,
    GetRequest,
    Granted,
    HeldBy,
    HolderRequest,
    ListPage,
    ListRequest,
    LockRequest,
    Request,
    Undecided,
    WaitRequest,
)

from ...support.lockers import TTL_MS, lock, release, wanted
from ...support.proven import wish
from ...support.world import World, claim

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
KEY = Key("k")
LONG_MS = 60_000
FIRST, SECOND = 101, 102
Leave = Callable[[World, Request], None]


def cancels(world: World, request: Request) -> None:
    world.post(N1, FromClient(FIRST, (Cancel(request.id),)))


def hangs_up(world: World, request: Request) -> None:
    world.post(N1, ClientGone(FIRST))


LEAVES = pytest.mark.parametrize("leave", [cancels, hangs_up])


def send(world: World, connection: int, request: Request) -> Request:
    """Send a request from a connection of its own, so that it can end separately."""
    world.post(N1, FromClient(connection, (request,)))
    world.settle()
    return request


def answer(world: World, request: Request) -> Answer | None:
    answers = world.answers.get((N1, request.id), [])
    return answers[0] if answers else None


def unheard(world: World, *kinds: type) -> None:
    def lose(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        return isinstance(message, kinds)

    world.lose = lose


def first_goes(world: World, leave: Leave, first: Request, pause_ms: float = 1_500) -> None:
    """The first leaves; some time passes, with timers and sweeps; then all messages arrive again."""
    leave(world, first)
    world.run(pause_ms)
    world.lose = lambda *_: False


def get(world: World, key: Key = KEY) -> GetRequest:
    return GetRequest(world.new_id(), LONG_MS, key)


def claims(world: World, name: bytes, key: Key = KEY) -> ClaimRequest:
    return ClaimRequest(world.new_id(), LONG_MS, True, claim(key, name, name))


def who_has_it(world: World) -> HolderRequest:
    return HolderRequest(world.new_id(), LONG_MS, "l")


def acquires(world: World, name: str, timeout_ms: int = LONG_MS) -> LockRequest:
    return LockRequest(world.new_id(), timeout_ms, "l", True, wanted(name))


def in_doubt(world: World) -> Key:
    """A key for which n1 has accepted the proposal of a dead proposer."""
    ballot = Ballot(1, Process(N3, 1))
    decree = Decree.of(claim("in-doubt"), ballot, 0)
    world.post(N1, FromPeer(N3, Accept(decree.key, ballot, decree)))
    world.settle()
    return decree.key


# -- keys


@LEAVES
def test_a_read_continues_when_another_of_the_same_key_ends(leave: Leave) -> None:
    world = World()
    unheard(world, QueryAnswer)
    first, second = send(world, FIRST, get(world)), send(world, SECOND, get(world))
    first_goes(world, leave, first)
    world.run(1_000)
    assert isinstance(answer(world, second), Undecided)


@LEAVES
def test_a_read_continues_though_the_answer_to_another_comes_too_late(leave: Leave) -> None:
    world = World()
    world.delays = lambda sender, to, message: (50.0 if isinstance(message, QueryAnswer) else 0.0,)
    first, second = send(world, FIRST, get(world)), send(world, SECOND, get(world))
    leave(world, first)
    world.run(1_000)
    assert isinstance(answer(world, second), Undecided)


@LEAVES
def test_a_wait_continues_when_another_for_the_same_key_ends(leave: Leave) -> None:
    world = World()
    first = send(world, FIRST, WaitRequest(world.new_id(), LONG_MS, KEY))
    second = send(world, SECOND, WaitRequest(world.new_id(), LONG_MS, KEY))
    first_goes(world, leave, first, 5_000)
    world.freeze("n2", KEY)
    world.run(1_000)
    assert isinstance(answer(world, second), Decreed)


@LEAVES
def test_a_key_in_doubt_is_finished_for_the_requests_that_are_left(leave: Leave) -> None:
    world = World()
    key = in_doubt(world)
    unheard(world, Prepare, Promise)
    first, second = send(world, FIRST, get(world, key)), send(world, SECOND, get(world, key))
    first_goes(world, leave, first, 10_000)
    world.run(2_500)
    assert isinstance(answer(world, second), Decreed)


@LEAVES
def test_a_read_continues_when_the_claim_whose_attempt_it_joined_ends(leave: Leave) -> None:
    world = World()
    key = in_doubt(world)
    unheard(world, Prepare, Promise)
    first = send(world, FIRST, claims(world, b"first", key))
    second = send(world, SECOND, get(world, key))
    first_goes(world, leave, first, 10_000)
    world.run(2_500)
    assert isinstance(answer(world, second), Decreed)


@LEAVES
def test_a_claim_continues_when_the_one_before_it_ends(leave: Leave) -> None:
    world = World()
    key = next(k for n in range(99) if home(k := Key(f"e{n}"), world.config.nodes) != N1)
    unheard(world, Prepare, Promise)
    first = send(world, FIRST, claims(world, b"first", key))
    second = send(world, SECOND, claims(world, b"second", key))
    first_goes(world, leave, first, 10_000)
    world.run(2_500)
    told = answer(world, second)
    assert isinstance(told, Decreed) and told.decree.claim_id == b"second"


@LEAVES
def test_a_list_continues_when_another_that_finishes_the_same_key_ends(leave: Leave) -> None:
    world = World()
    key = in_doubt(world)
    unheard(world, Prepare, Promise)
    lists = [ListRequest(world.new_id(), LONG_MS, "", "", 10) for _ in range(2)]
    first, second = send(world, FIRST, lists[0]), send(world, SECOND, lists[1])
    world.run(50)
    first_goes(world, leave, first, 10_000)
    world.run(2_500)
    page = answer(world, second)
    assert isinstance(page, ListPage) and [decree.key for decree in page.decrees] == [key]


# -- locks


@LEAVES
@pytest.mark.parametrize("kind", [AskLease, LeaseAnswer])
def test_a_question_about_a_term_continues_when_its_first_request_ends(
    leave: Leave, kind: type
) -> None:
    world = World()
    lock(world, "n2", "a")
    unheard(world, kind)
    first, second = send(world, FIRST, who_has_it(world)), send(world, SECOND, who_has_it(world))
    world.run(10)
    first_goes(world, leave, first, 500)
    world.run(3_000)
    assert isinstance(answer(world, second), HeldBy)


@LEAVES
def test_a_question_is_answered_though_another_of_its_requests_ends_in_between(
    leave: Leave,
) -> None:
    """Without another question: the answers that are on their way count for the other request."""
    world = World()
    lock(world, "n2", "a")
    world.delays = lambda sender, to, message: (50.0 if isinstance(message, LeaseAnswer) else 0.0,)
    first, second = send(world, FIRST, who_has_it(world)), send(world, SECOND, who_has_it(world))
    world.run(100)
    world.sent.clear()
    asked = [send(world, one, who_has_it(world)) for one in (FIRST, SECOND)]
    world.run(10)
    leave(world, asked[0])
    world.run(150)
    assert isinstance(answer(world, asked[1]), HeldBy)
    assert answer(world, first) and answer(world, second)
    assert sum(isinstance(message, AskLease) for _, _, message in world.sent) <= 6


@LEAVES
def test_the_queue_continues_when_the_candidate_for_the_next_term_ends(leave: Leave) -> None:
    world = World()
    held = lease_id(lock(world, "n2", "a").decree)
    first, second = (
        send(world, FIRST, acquires(world, "b")),
        send(world, SECOND, acquires(world, "c")),
    )
    world.run(10)
    unheard(world, Prepare, Promise, Accept)
    release(world, "n1", held)
    world.run(3_000)  # no timer is left from before
    first_goes(world, leave, first, 100)
    world.run(500)
    told = answer(world, second)
    assert isinstance(told, Granted) and told.decree.claimant == "c"


@LEAVES
def test_the_queue_continues_when_the_first_ends_while_a_term_that_may_be_chosen_is_finished(
    leave: Leave,
) -> None:
    """n3 has accepted the next term; it is being finished for the first waiter, and n3 crashes."""
    world = World()
    held = lease_id(lock(world, "n2", "a").decree)
    other = wish("x", b"x", TTL_MS)
    ballot = Ballot(1, Process(N2, 1))
    previous = Previous(held.claim_id, TTL_MS, Ending(How.RELEASED))
    decree = Decree.of(other.claim(held.next_key, previous), ballot, 0)
    world.post(N3, FromPeer(N2, Accept(held.next_key, ballot, decree)))
    world.settle()
    unheard(world, Prepare, Promise)
    first, second = (
        send(world, FIRST, acquires(world, "b")),
        send(world, SECOND, acquires(world, "c")),
    )
    world.run(10)
    world.crash(N3)
    first_goes(world, leave, first, 10_000)
    world.run(10_000)
    assert isinstance(answer(world, second), Granted)
