"""The home promise: which nodes give a class promise, when it counts, and what relies on it."""

import pytest

from decreed.registry.keys import homes
from decreed.registry.locks.terms import Ending, How, lease_id
from decreed.registry.paxos.messages import (
    Accept,
    Accepted,
    Commit,
    Nack,
    Prepare,
    PrepareClass,
    PromiseClass,
)
from decreed.registry.replica.consensus import acceptor
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Claim, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import FeedPage, Fetch, Pull
from decreed.registry.wire.requests import ClaimRequest, Decreed, Ended, Failed

from ...support.lockers import lock, release
from ...support.world import World, claim, config, stored

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def at_home(world: World, node: str = N1, number: int = 0) -> Key:
    """A key whose home is `node`."""
    keys = (Key(f"k{n}") for n in range(1_000))
    return [key for key in keys if homes(key, world.config.nodes)[0] == node][number]


def granted(world: World, node: str = N1) -> bool:
    return world.replica(node).parts.home_promise.granted


def identity(incarnation: int, node: NodeId = N1) -> Ballot:
    return Ballot.of_home(Process(node, incarnation))


def told(world: World, by: str, to: str = N1) -> list[PromiseClass]:
    """The class promises that one node has sent another."""
    said = [message for sender, receiver, message in world.sent if (sender, receiver) == (by, to)]
    return [message for message in said if isinstance(message, PromiseClass)]


def restart(world: World, node: NodeId, ms: float = 0.0) -> None:
    world.crash(node)
    world.boot(node)
    world.run(ms)


def refusals(world: World, ballot: Ballot, key: Key, decree: Decree) -> list[object]:
    """What n2 answers when n1 proposes."""
    world.sent.clear()
    world.post(N2, FromPeer(N1, Accept(key, ballot, decree)))
    world.settle()
    return [message for sender, to, message in world.sent if (sender, to) == (N2, N1)]


def proposed(key: Key, ballot: Ballot, value: bytes = b"v") -> Decree:
    return Decree.of(claim(key, value, b"id-" + value), ballot, 0)


def kinds(world: World) -> set[type]:
    """The kinds of Paxos messages that went between nodes."""
    paxos = Prepare, Accept, Accepted, Commit, Nack
    return {type(m) for sender, to, m in world.sent if sender != to and isinstance(m, paxos)}


# -- one round trip


@pytest.mark.parametrize(
    ("size", "prepare", "accept"),
    [(1, 0, 0), (3, 0, 0), (3, 3, 1), (3, 1, 3), (5, 0, 0), (5, 4, 2)],
)
def test_a_new_key_at_its_home_needs_phase_2_alone(size: int, prepare: int, accept: int) -> None:
    world = World(config(size, prepare, accept))
    world.sent.clear()
    decreed = world.freeze("n1", at_home(world))
    assert decreed.decree.ballot == identity(1)
    assert Prepare not in kinds(world)


def test_at_any_other_node_a_claim_goes_through_phase_1() -> None:
    world = World()
    answer = world.claim("n2", claim(at_home(world)), here=True)
    assert isinstance(answer, Decreed)
    assert answer.decree.ballot.round == 1


def test_the_home_sends_before_its_own_write_and_counts_its_own_vote_after_it() -> None:
    world = World()
    world.lose = lambda sender, to, message: sender != N1 and isinstance(message, Accepted)
    key = at_home(world)
    world.send("n1", ClaimRequest(world.new_id(), 5_000, False, claim(key)))
    world.machines[N1].disk.fail_writes = 1
    world.settle()
    assert any(to == N2 and isinstance(m, Accept) for _, to, m in world.sent)
    assert not any(to == N1 == sender and isinstance(m, Accepted) for sender, to, m in world.sent)


# -- giving it


def test_a_class_promise_is_sent_only_after_it_is_on_disk() -> None:
    world = World()
    world.crash(N1)
    world.machines[N2].disk.fail_writes = 1_000
    world.sent.clear()
    world.boot(N1)
    world.run(3_000)
    assert told(world, N3) and not told(world, N2)


def test_a_node_that_restarts_keeps_the_class_promise_that_it_gave() -> None:
    world = World()
    restart(world, N1, 100)
    restart(world, N2, 100)
    key = at_home(world)
    late = identity(1)
    assert refusals(world, late, key, proposed(key, late)) == [Nack(key, late, identity(2))]


def test_a_class_promise_reports_the_keys_in_doubt_of_that_home_and_the_end_of_the_feed() -> None:
    world = World()
    world.freeze("n3", at_home(world, N3))
    in_doubt = [at_home(world, node, 1) for node in (N1, N2, N3)]
    for key in in_doubt:
        ballot = Ballot(3, Process(N3, 1))
        world.post(N2, FromPeer(N3, Accept(key, ballot, proposed(key, ballot))))
    world.settle()
    world.crash(N1)
    world.sent.clear()
    world.boot(N1)
    world.settle()
    promise = told(world, N2)[0]
    assert promise.unlearned == (in_doubt[0],)
    assert promise.feed_end == world.replica(N2).node.feed_end == 1


def test_a_lower_home_ballot_is_not_promised_after_a_higher_one() -> None:
    world = World()
    digest = world.config.class_digest()
    restart(world, N1, 100)
    world.sent.clear()
    world.post(N2, FromPeer(N1, PrepareClass(identity(1), digest)))
    world.settle()
    assert not told(world, N2)
    world.post(N2, FromPeer(N1, PrepareClass(identity(2), digest)))
    world.settle()
    assert [promise.ballot for promise in told(world, N2)] == [identity(2)]


@pytest.mark.parametrize(
    ("ballot", "digest"),
    [(identity(9, N3), None), (identity(9), bytes(16)), (Ballot(1, Process(N1, 9)), None)],
    ids=["another node's", "by other rules", "no home ballot"],
)
def test_a_class_promise_is_given_only_to_its_home(ballot: Ballot, digest: bytes | None) -> None:
    world = World()
    world.sent.clear()
    asks = PrepareClass(ballot, world.config.class_digest() if digest is None else digest)
    world.post(N2, FromPeer(N1, asks))
    world.settle()
    assert not told(world, N2)
    assert world.alarms == ["node n1 asks for a class promise that is not its to ask for"]
    world.alarms.clear()


def test_with_too_many_keys_in_doubt_no_class_promise_is_given_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    key, ballot = at_home(world), Ballot(3, Process(N3, 1))
    world.post(N2, FromPeer(N3, Accept(key, ballot, proposed(key, ballot))))
    world.settle()
    monkeypatch.setattr(acceptor, "MAX_UNLEARNED", 0)
    world.crash(N1)
    world.sent.clear()
    world.boot(N1)
    world.settle()
    assert not told(world, N2)
    world.run(10_000)  # it is finished meanwhile, so there is nothing left to report
    assert told(world, N2)


# -- counting it


def test_a_class_promise_counts_only_after_the_feed_is_read_to_the_end_that_it_names() -> None:
    world = World()
    world.crash(N1)
    world.freeze("n2", at_home(world))
    world.run(500)
    world.lose = lambda sender, to, m: N1 in (sender, to) and isinstance(m, Pull | FeedPage | Fetch)
    world.boot(N1)
    world.run(1_000)
    assert told(world, N2) and told(world, N3)
    assert not granted(world)
    answer = world.claim("n1", claim(at_home(world, N1, 1)))
    assert isinstance(answer, Decreed) and answer.decree.ballot.round == 1
    world.lose = lambda *_: False
    world.run(5_000)
    assert granted(world)


def test_a_home_that_restarts_asks_again_in_its_new_ballot() -> None:
    world = World()
    restart(world, N1, 1_000)
    assert {promise.ballot for promise in told(world, N2)} == {identity(1), identity(2)}
    assert world.freeze("n1", at_home(world)).decree.ballot == identity(2)


def test_without_a_quorum_of_promises_a_home_runs_plain_paxos() -> None:
    world = World()
    world.crash(N1)
    world.lose = lambda sender, to, message: isinstance(message, PromiseClass)
    world.boot(N1)
    world.run(1_000)
    assert not granted(world)
    assert world.freeze("n1", at_home(world)).decree.ballot.round == 1


def test_lost_questions_and_answers_are_repeated() -> None:
    world = World()
    seen: set[object] = set()

    def lose_once(sender: NodeId, to: NodeId, message: object) -> bool:
        first = (sender, to, message) not in seen
        seen.add((sender, to, message))
        return first and isinstance(message, PrepareClass | PromiseClass)

    world.crash(N1)
    world.lose = lose_once
    world.boot(N1)
    world.run(10_000)
    assert granted(world)


# -- relying on it


def half_chosen(world: World, key: Key) -> Claim:
    """n2 and n3 accept what n1 proposes in its home ballot; n1 dies before its own write."""
    wanted = claim(key, b"first", b"first")
    world.machines[N1].disk.fail_writes = 1
    world.lose = lambda sender, to, message: isinstance(message, Accepted)
    world.send("n1", ClaimRequest(world.new_id(), 5_000, False, wanted))
    world.settle()
    assert all(stored(world, node, key).accepted for node in (N2, N3))
    world.crash(N1)
    world.lose = lambda *_: False
    return wanted


def test_a_proposal_that_an_earlier_incarnation_made_and_lost_is_respected() -> None:
    world = World()
    key = at_home(world)
    first = half_chosen(world, key)
    world.boot(N1)
    world.run(50)
    assert stored(world, N1, key).accepted is None, "its own write was lost"
    assert granted(world), "other keys need not wait"
    answer = world.claim("n1", claim(key, b"second", b"second"))
    assert isinstance(answer, Decreed)
    assert (answer.decree.value, answer.decree.ballot) == (first.value, identity(1))
    world.run(1_000)
    assert {stored(world, node, key).learned for node in world.up()} == {answer.decree}


def test_a_late_proposal_of_an_earlier_incarnation_is_refused_after_the_promise() -> None:
    world = World()
    key = at_home(world)
    late = identity(1)
    restart(world, N1, 100)
    assert refusals(world, late, key, proposed(key, late)) == [Nack(key, late, identity(2))]
    assert stored(world, N2, key).accepted is None


def test_a_node_that_has_not_promised_refuses_and_is_asked_for_its_promise() -> None:
    world = World()
    world.crash(N1)
    world.lose = lambda sender, to, message: to == N3 and isinstance(message, PrepareClass)
    world.boot(N1)
    world.run(50)
    assert granted(world)
    key = at_home(world)
    world.sent.clear()
    world.lose = lambda sender, to, message: sender == N2  # or it would be over before n3 answers
    world.send("n1", ClaimRequest(world.new_id(), 5_000, False, claim(key)))
    world.settle()
    said = [(sender, to, message) for sender, to, message in world.sent if N3 in (sender, to)]
    assert (N3, N1, Nack(key, identity(2), None)) in said
    assert any(isinstance(m, PrepareClass) for _, to, m in said if to == N3)


def test_the_home_promise_does_not_cover_a_key_of_another_home() -> None:
    world = World()
    key = at_home(world, N2)
    ballot = identity(1)
    (answer,) = refusals(world, ballot, key, proposed(key, ballot))
    assert isinstance(answer, Nack)
    assert answer.promised in (None, identity(1, N2))
    assert stored(world, N2, key).accepted is None


def test_a_higher_promise_for_the_single_key_outranks_the_home_promise() -> None:
    world = World()
    key, higher = at_home(world), Ballot(1, Process(N3, 1))
    world.post(N2, FromPeer(N3, Prepare(key, higher)))
    world.settle()
    ballot = identity(1)
    assert refusals(world, ballot, key, proposed(key, ballot)) == [Nack(key, ballot, higher)]


def test_any_node_runs_plain_paxos_on_any_key_whatever_was_promised_to_its_home() -> None:
    world = World()
    world.crash(N1)
    answer = world.claim("n3", claim(at_home(world)))
    assert isinstance(answer, Decreed)
    assert answer.decree.ballot.process.node == N3


def test_if_too_few_accept_the_proposal_is_repeated_and_then_phase_1_begins() -> None:
    world = World()
    world.crash(N3)
    world.crash(N1)
    world.lose = lambda sender, to, message: (sender, to) == (N1, N2)
    world.boot(N1)
    world.boot(N3)
    world.run(500)
    assert granted(world), "n1 and n3 have promised"
    world.crash(N3)
    lost = True
    world.lose = lambda sender, to, m: lost and to == N2 and isinstance(m, PrepareClass)
    key = at_home(world)
    world.sent.clear()
    answer = world.claim("n1", claim(key))
    assert isinstance(answer, Decreed)
    sent = [m for sender, to, m in world.sent if (sender, to) == (N1, N2)]
    proposals = [m for m in sent if isinstance(m, Accept | Prepare)]
    assert [type(message) for message in proposals] == [Accept, Accept, Prepare, Accept]
    assert answer.decree.ballot == identity(2), "the proposal itself is the one that was made first"


def test_a_home_proposes_a_key_with_one_value_only_in_one_incarnation() -> None:
    world = World()
    key = at_home(world)
    world.lose = lambda sender, to, message: isinstance(message, Accept | Prepare)
    first = world.send("n1", ClaimRequest(world.new_id(), 400, False, claim(key, b"1", b"1")))
    world.run(10_000)
    (unknown,) = world.answers[first]
    assert isinstance(unknown, Failed)
    world.lose = lambda *_: False
    answer = world.claim("n1", claim(key, b"2", b"2"))
    assert isinstance(answer, Decreed)
    accepts = [m for _, _, m in world.sent if isinstance(m, Accept) and m.key == key]
    assert {m.decree.value for m in accepts if m.ballot == identity(1)} == {b"1"}


def test_after_a_failed_write_no_class_promise_is_given_and_none_is_relied_on() -> None:
    world = World()
    key = at_home(world)
    world.machines[N1].disk.fail_writes = 1
    world.send("n1", ClaimRequest(world.new_id(), 5_000, False, claim(key)))
    world.settle()
    world.sent.clear()
    answer = world.claim("n1", claim(at_home(world, N1, 1)))
    assert isinstance(answer, Failed)
    restart(world, N2, 1_000)
    said = [message for sender, _, message in world.sent if sender == N1]
    assert not any(isinstance(m, PromiseClass | PrepareClass | Accept | Accepted) for m in said)


# -- the terms of locks


def home_of_lock(world: World) -> NodeId:
    return homes(Key("$locks/l"), world.config.nodes)[0]


def next_term(world: World, node: NodeId, name: str) -> Decree:
    """Get the lock and release it."""
    decree = lock(world, node, name).decree
    assert isinstance(release(world, node, lease_id(decree), Ending(How.RELEASED)), Ended)
    return decree


def test_a_term_relies_on_it_only_after_one_that_this_incarnation_was_the_first_to_propose() -> (
    None
):
    world = World()
    node = home_of_lock(world)
    rounds = [next_term(world, node, f"a{n}").ballot.round for n in range(3)]
    assert rounds == [1, 0, 0]
    restart(world, node, 1_000)
    assert granted(world, node)
    rounds = [next_term(world, node, f"b{n}").ballot.round for n in range(3)]
    assert rounds == [1, 0, 0]
