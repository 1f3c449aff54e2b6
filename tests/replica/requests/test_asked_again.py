"""R02: a lost message is repeated, and repeated again if the repetition is lost too, for every kind.

Each question here, or its answer, is lost on every way so often that only a timer which is set
again each time gets it through.
"""

from collections import Counter
from collections.abc import Callable

import pytest

from decreed.registry.keys import home
from decreed.registry.locks.terms import LeaseId, lease_id, term_key
from decreed.registry.paxos.messages import (
    Accept,
    Accepted,
    AcceptedMany,
    AcceptMany,
    Commit,
    Prepare,
    PrepareClass,
    Promise,
    PromiseClass,
)
from decreed.registry.replica.consensus.coordinator import UNWANTED_RESENDS
from decreed.registry.replica.locks.lock_queue import MAX_PAUSE_MS
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.leases import AskLease, GiveUp, GiveUpTaken, LeaseAnswer, Renew, Renewed
from decreed.registry.wire.peers import (
    FeedPage,
    Fetch,
    Fetched,
    PeerMessage,
    Pull,
    Query,
    QueryAnswer,
    Scan,
    ScanAnswer,
)
from decreed.registry.wire.requests import (
    Answer,
    Decreed,
    GetRequest,
    GivenUp,
    Granted,
    HeldBy,
    HolderRequest,
    Kept,
    ListPage,
    ListRequest,
    Undecided,
)

from ...support.batches import asks, keys_of, propose_batch
from ...support.forgetful import N1, N3, cut_off, lagging, tell_floor
from ...support.lockers import RELEASED, TTL_MS, lock, told, want, wanted
from ...support.proven import to_give_up, to_keep
from ...support.world import World, claim, stored

LOSSES = 3
"""The first is covered by a timer that was set, the second by one that was set again."""
LONG_MS = 60_000
Mark = tuple[NodeId, int]


def lose_first(world: World, kind: type, times: int = LOSSES) -> None:
    """Lose that many messages of a kind on each way, then deliver all."""
    lost = Counter[tuple[NodeId, NodeId, type]]()

    def lose(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        if not isinstance(message, kind):
            return False
        way = (sender, to, type(message))
        lost[way] += 1
        return lost[way] <= times

    world.lose = lose


def elsewhere(world: World) -> Key:
    """A key that n1 claims with both phases."""
    return next(k for n in range(99) if home(k := Key(f"e{n}"), world.config.nodes) != N1)


def reads(world: World) -> Mark:
    return world.send(N1, GetRequest(world.new_id(), LONG_MS, Key("undecided")))


def lists(world: World) -> Mark:
    return world.send(N1, ListRequest(world.new_id(), LONG_MS, "", "", 10))


def claims(world: World) -> Mark:
    return world.send(N1, asks(world, elsewhere(world), timeout_ms=LONG_MS))


def proposes_batch(world: World) -> Mark:
    marks = propose_batch(world, keys_of(world, 2))
    return marks[0]


def held(world: World) -> LeaseId:
    return lease_id(lock(world, "n1", "a").decree)


def asks_who_has_it(world: World) -> Mark:
    held(world)
    return world.send(N1, HolderRequest(world.new_id(), LONG_MS, "l"))


def keeps(world: World) -> Mark:
    return world.send(N1, to_keep(world.new_id(), LONG_MS, held(world)))


def gives_up(world: World) -> Mark:
    return world.send(N1, to_give_up(world.new_id(), LONG_MS, "l", wanted("a")))


CASES: list[tuple[Callable[[World], Mark], type[Answer], tuple[type, type]]] = [
    (reads, Undecided, (Query, QueryAnswer)),
    (lists, ListPage, (Scan, ScanAnswer)),
    (claims, Decreed, (Prepare, Promise)),
    (claims, Decreed, (Accept, Accepted)),
    (proposes_batch, Decreed, (AcceptMany, AcceptedMany)),
    (asks_who_has_it, HeldBy, (AskLease, LeaseAnswer)),
    (keeps, Kept, (Renew, Renewed)),
    (gives_up, GivenUp, (GiveUp, GiveUpTaken)),
]
EACH = [
    pytest.param(begin, expected, kind, id=f"{begin.__name__}-{kind.__name__}")
    for begin, expected, kinds in CASES
    for kind in kinds
]


@pytest.mark.parametrize(("begin", "expected", "kind"), EACH)
def test_a_question_is_asked_again_until_it_is_answered(
    begin: Callable[[World], Mark], expected: type[Answer], kind: type
) -> None:
    world = World()
    lose_first(world, kind)
    mark = begin(world)
    world.run(10_000)
    assert isinstance(told(world, mark), expected), f"{kind.__name__} was not said often enough"


@pytest.mark.parametrize("kind", [AcceptMany, AcceptedMany])
def test_a_batch_is_repeated_and_then_its_keys_continue_alone(kind: type) -> None:
    world = World()
    keys = keys_of(world, 2)
    world.lose = lambda sender, to, message: isinstance(message, kind)
    marks = propose_batch(world, keys)
    world.run(10_000)
    assert all(isinstance(told(world, mark), Decreed) for mark in marks)


@pytest.mark.parametrize("kind", [Pull, FeedPage, Fetch, Fetched])
def test_a_page_of_the_feed_that_is_lost_twice_is_asked_for_again(kind: type) -> None:
    world = World()
    world.lose = lambda sender, to, message: N3 in (sender, to)
    world.freeze("n1", "k")
    lose_first(world, kind)
    world.run(30_000)
    assert stored(world, "n3", "k").learned is not None


@pytest.mark.parametrize("kind", [PrepareClass, PromiseClass])
def test_a_class_promise_is_asked_for_again(kind: type) -> None:
    world = World()
    world.crash(N1)
    lose_first(world, kind, 2 * LOSSES)
    world.boot(N1)
    world.run(30_000)
    assert world.replica("n1").parts.home_promise.granted


# -- finishing keys in doubt


def in_doubt_at(world: World, node: NodeId) -> Key:
    """A key for which one node has accepted a proposal of a dead proposer."""
    ballot = Ballot(1, Process(N3, 1))
    decree = Decree.of(claim("in-doubt"), ballot, 0)
    world.post(node, FromPeer(N3, Accept(decree.key, ballot, decree)))
    world.settle()
    return decree.key


@pytest.mark.parametrize("kind", [Prepare, Promise, Accept, Accepted])
def test_a_key_in_doubt_is_finished_again_until_it_is_decided(kind: type) -> None:
    """An attempt without requests gives up; the next one begins with a sweep, and so does the third."""
    world = World()
    lose_first(world, kind, 3 * (UNWANTED_RESENDS + 1))
    key = in_doubt_at(world, N1)
    world.run(90_000)
    assert stored(world, "n1", key).learned is not None


# -- a lock queue continues, however long it takes


def test_a_queue_asks_about_a_live_holder_again_and_again() -> None:
    """Each check for the waiter sets the timer of the next one."""
    world = World()
    has_it = held(world)
    mark = want(world, "n2", "b", timeout_ms=LONG_MS)
    for _ in range(20):
        assert isinstance(world.ask("n1", to_keep(world.new_id(), 1_000, has_it)), Kept)
        world.run(400)
    assert told(world, mark) is None
    world.run(3 * TTL_MS + MAX_PAUSE_MS)
    assert isinstance(told(world, mark), Granted), "it was not told that the holder is dead"


@pytest.mark.parametrize("kind", [Prepare, Promise])
def test_a_next_term_that_may_be_chosen_is_checked_again(kind: type) -> None:
    """One node has accepted the next term, and all messages about it are lost."""
    world = World()
    held(world)
    world.lose = lambda sender, to, message: isinstance(message, Accepted) and sender != to
    want(world, "n2", "b", timeout_ms=300)
    world.run(4_000)
    lose_first(world, kind, 2 * LOSSES)
    mark = want(world, "n1", "c", timeout_ms=LONG_MS)
    world.run(30_000)
    assert isinstance(told(world, mark), Granted)


# -- the term at the floor


@pytest.mark.parametrize("kind", [Query, Commit])
def test_the_term_at_the_floor_is_read_again_until_it_is_known(kind: type) -> None:
    world = lagging(40)
    tell_floor(world)
    cut, times = cut_off(N3), Counter[tuple[NodeId, NodeId]]()

    def lose(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        is_cut = cut(sender, to, message)
        if isinstance(message, kind):
            times[sender, to] += 1
            return times[sender, to] <= LOSSES
        return is_cut

    world.lose = lose
    mark = world.send("n3", HolderRequest(world.new_id(), LONG_MS, "l"))
    world.run(20_000)
    answer = told(world, mark)
    assert isinstance(answer, HeldBy) and answer.decree.key == term_key("l", 41)
    assert answer.ending == RELEASED


def test_the_term_at_the_floor_is_read_for_the_next_waiter_if_the_first_is_gone() -> None:
    world = lagging(40)
    tell_floor(world)
    world.lose = lambda sender, to, message: N3 in (sender, to)
    first = world.send("n3", HolderRequest(world.new_id(), 500, "l"))
    second = world.send("n3", HolderRequest(world.new_id(), LONG_MS, "l"))
    world.run(1_000)
    assert told(world, first) is not None and told(world, second) is None
    world.lose = cut_off(N3)
    world.run(10_000)
    assert isinstance(told(world, second), HeldBy)
