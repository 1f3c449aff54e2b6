"""Batches that are lost, refused, in doubt or cancelled, and what is learned of them."""

from collections.abc import Sequence

from decreed.registry.errors import ERRORS, OutcomeUnknown
from decreed.registry.paxos.messages import (
    Accept,
    Accepted,
    AcceptedMany,
    AcceptMany,
    Commit,
    CommitMany,
    Nack,
    Prepare,
    PrepareClass,
)
from decreed.registry.replica.step.events import Fired, FromClient, FromPeer, ResendBatch
from decreed.registry.types import Ballot, Key, NodeId, Process
from decreed.registry.wire.peers import QueryAnswer
from decreed.registry.wire.requests import Cancel, Decreed, Failed, GetRequest

from ...support.batches import (
    N1,
    N2,
    N3,
    asks,
    decrees,
    heard,
    identity,
    keys_of,
    proposal,
    propose_batch,
    proposed,
    said,
    settled,
    step,
    take,
    under_way,
    unheard,
)
from ...support.world import World, config, stored

# -- repetition


def test_R02_a_lost_batch_is_repeated_to_the_nodes_that_have_not_voted() -> None:
    world = World(config(5))
    n4, n5 = NodeId("n4"), NodeId("n5")
    world.lose = lambda sender, to, m: isinstance(m, AcceptMany) and to != N2
    world.sent.clear()
    marks = propose_batch(world, keys_of(world))
    world.settle()
    heard(world)
    world.run(400)
    assert len(decrees(world, marks)) == 3
    assert [len(said(world, AcceptMany, N1, node)) for node in (N2, N3, n4, n5)] == [1, 2, 2, 2]


def test_a_batch_without_answers_is_repeated_once_and_then_its_keys_continue_alone() -> None:
    world = World()
    keys = keys_of(world)
    unheard(world, AcceptMany)
    world.sent.clear()
    marks = propose_batch(world, keys)
    world.run(5_000)
    assert len(said(world, AcceptMany, N1, N2)) == 2
    assert {m.key for m in said(world, Prepare, N1, N2) if isinstance(m, Prepare)} == {*keys}
    assert {decree.ballot for decree in decrees(world, marks)} == {identity()}, "adopted"
    assert not under_way(world)


def test_R05_a_key_that_was_in_a_batch_is_proposed_alone_with_the_same_value() -> None:
    world = World()
    keys = keys_of(world)
    unheard(world, AcceptMany, Prepare)
    world.sent.clear()
    for key in keys:
        world.send(N1, asks(world, key, b"first", timeout_ms=400))
    world.run(10_000)
    heard(world)
    again = propose_batch(world, keys, b"again")
    world.run(2_000)
    assert {decree.value for decree in decrees(world, again)} == {b"first"}
    batches = [m for m in said(world, AcceptMany, N1, N2) if isinstance(m, AcceptMany)]
    assert {m.number for m in batches} == {1}, "it is not sent again"


def test_a_completed_batch_is_not_repeated() -> None:
    world = World()
    propose_batch(world, keys_of(world))
    world.settle()
    world.sent.clear()
    world.post(N1, Fired(ResendBatch(1)))
    world.run(2_000)
    assert not [m for _, _, m in world.sent if isinstance(m, AcceptMany | Prepare)]


# -- nodes that have not promised


def test_a_node_without_the_class_promise_refuses_a_batch_and_votes_after_its_promise() -> None:
    world = World()
    world.crash(N1)
    world.lose = lambda sender, to, message: to == N3 and isinstance(message, PrepareClass)
    world.boot(N1)
    world.run(50)
    keys = keys_of(world)
    world.sent.clear()
    world.lose = lambda sender, to, message: sender == N2  # or it would be over before n3 answers
    marks = propose_batch(world, keys)
    world.settle()
    assert said(world, Nack, N3, N1) == [Nack(keys[0], identity(2), None)]
    assert said(world, PrepareClass, N1, N3)
    assert not said(world, AcceptedMany, N3, N1)
    assert stored(world, N3, keys[1]).accepted is None
    world.run(400)
    assert said(world, AcceptedMany, N3, N1) == [AcceptedMany(identity(2), 1, ())]
    assert len(decrees(world, marks)) == 3


def test_R11_a_batch_of_an_earlier_incarnation_is_not_voted_on_after_the_promise_to_a_later_one() -> (
    None
):
    world = World()
    world.crash(N1)
    world.boot(N1)
    world.run(100)
    keys = keys_of(world)
    world.sent.clear()
    take(world, N2, (N1, proposal(keys, identity(1))))
    assert not said(world, AcceptedMany, N2, N1)
    assert said(world, Nack, N2, N1) == [Nack(keys[0], identity(1), identity(2))]
    assert all(stored(world, N2, key).accepted is None for key in keys)


# -- learning


def test_R20_a_commit_of_a_batch_is_learned_only_for_keys_accepted_in_exactly_that_ballot() -> None:
    world = World()
    proposed_in_batch, other, unseen, known = keys_of(world, 4)
    take(world, N2, (N1, proposal([proposed_in_batch])))
    elsewhere = Ballot(5, Process(N3, 1))
    take(world, N2, (N3, Accept(other, elsewhere, proposed(other, elsewhere, b"other"))))
    take(world, N2, (N3, Commit(known, proposed(known, elsewhere))))
    world.lose = lambda *_: True
    take(world, N2, (N1, CommitMany(identity(), (unseen, other, proposed_in_batch, known))))
    assert stored(world, N2, proposed_in_batch).learned == proposed(proposed_in_batch, identity())
    assert stored(world, N2, other).learned is None
    assert stored(world, N2, unseen).learned is None
    assert stored(world, N2, known).learned == proposed(known, elsewhere)


def test_a_commit_of_an_earlier_incarnation_is_not_learned_for_the_batches_of_this_one() -> None:
    world = World()
    keys = keys_of(world)
    world.crash(N1)
    world.boot(N1)
    world.run(100)
    world.lose = lambda *_: True
    take(world, N2, (N1, proposal(keys, identity(2))))
    take(world, N2, (N1, CommitMany(identity(1), tuple(keys))))
    assert all(stored(world, N2, key).learned is None for key in keys)
    take(world, N2, (N1, CommitMany(identity(2), tuple(keys))))
    assert all(stored(world, N2, key).learned is not None for key in keys)


def test_a_node_that_missed_the_batch_learns_from_a_feed() -> None:
    world = World()
    world.lose = lambda sender, to, message: to == N3 and isinstance(message, AcceptMany)
    keys = keys_of(world)
    proposed_in_batch = settled(world, propose_batch(world, keys))
    assert all(stored(world, N3, key).learned is None for key in keys)
    heard(world)
    world.run(2_000)
    assert [stored(world, N3, key).learned for key in keys] == proposed_in_batch


def test_a_commit_that_comes_with_its_batch_in_one_step_is_learned_in_it() -> None:
    world = World()
    keys = keys_of(world)
    take(world, N2, (N1, proposal(keys)), (N1, CommitMany(identity(), tuple(keys))))
    assert [stored(world, N2, key).learned for key in keys] == [
        proposed(key, identity()) for key in keys
    ]


# -- claims that end early


def test_a_claim_that_is_cancelled_in_the_step_in_which_it_is_queued_is_never_proposed() -> None:
    world = World()
    keys = keys_of(world)
    world.sent.clear()
    first, *rest = propose_batch(world, keys)
    world.post(N1, FromClient(1, (Cancel(first[1]),)))
    world.settle()
    world.run(5_000)
    assert len(decrees(world, rest)) == 2
    assert not any(
        (isinstance(m, Accept) and m.key == keys[0])
        or (isinstance(m, AcceptMany) and keys[0] in {decree.key for decree in m.decrees})
        for _, _, m in world.sent
    )
    assert "attempts" not in world.replica(N1).pending_work()


def test_a_read_that_joined_a_claim_that_was_never_proposed_gets_the_result_of_both_phases() -> (
    None
):
    """The class promise shows only that nothing was accepted when it was given."""
    world = World()
    (key,) = keys_of(world, 1)
    ballot = Ballot(5, Process(N3, 1))
    world.lose = lambda sender, to, m: isinstance(m, QueryAnswer | Commit) or N3 in (sender, to)
    take(world, N2, (N3, Accept(key, ballot, proposed(key, ballot, b"in doubt"))))
    mark = world.send(N1, GetRequest(world.new_id(), 5_000, key))
    world.settle()
    (answer,) = said(world, QueryAnswer, N2, N1)
    heard(world)
    (cancelled,) = propose_batch(world, [key])
    world.post(N1, FromPeer(N2, answer))
    world.post(N1, FromClient(1, (Cancel(cancelled[1]),)))
    world.run(1_000)
    (found,) = world.answers[mark]
    assert isinstance(found, Decreed) and found.decree.value == b"in doubt"


def test_a_key_that_is_learned_in_the_step_in_which_it_is_queued_is_in_no_batch() -> None:
    world = World()
    keys = keys_of(world)
    other = proposed(keys[0], Ballot(1, Process(N3, 1)), b"other")
    world.sent.clear()
    marks = propose_batch(world, keys)
    take(world, N1, (N3, Commit(keys[0], other)))
    assert decrees(world, marks)[0] == other
    (batch,) = said(world, AcceptMany, N1, N2)
    assert isinstance(batch, AcceptMany)
    assert [decree.key for decree in batch.decrees] == keys[1:]


# -- disks and incarnations


def test_a_node_whose_disk_has_failed_votes_on_no_batch() -> None:
    world = World()
    world.machines[N2].disk.fail_writes = 1
    take(world, N2, (N1, proposal(keys_of(world))))
    assert not world.replica(N2).node.voting
    effects = step(world, N2, FromPeer(N1, proposal(keys_of(world), number=2)))
    assert not (effects.records or effects.after or effects.at_once)


def test_when_the_own_disk_fails_claims_in_a_batch_are_unknown_and_no_vote_counts() -> None:
    world = World()
    keys = keys_of(world)
    world.lose = lambda sender, to, m: isinstance(m, AcceptedMany) and sender != to
    world.machines[N1].disk.fail_writes = 1
    world.sent.clear()
    marks = propose_batch(world, keys)
    world.settle()
    for mark in marks:
        (answer,) = world.answers[mark]
        assert isinstance(answer, Failed) and ERRORS[answer.code] is OutcomeUnknown
    assert said(world, AcceptMany, N1, N2), "it had left by then"
    assert not said(world, AcceptedMany, N1, N1)
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())), (N3, AcceptedMany(identity(), 1, ())))
    world.run(2_000)
    assert not said(world, CommitMany, N1, N2)
    assert not under_way(world)
    heard(world)
    world.run(10_000)
    assert {stored(world, node, keys[0]).learned for node in world.up()} != {None}, "R22"


def half_chosen(world: World, keys: Sequence[Key]) -> None:
    """n2 and n3 accept what n1 proposes together; n1 dies before its own write."""
    world.machines[N1].disk.fail_writes = 1
    unheard(world, AcceptedMany)
    propose_batch(world, keys, b"first")
    world.settle()
    assert all(stored(world, node, key).accepted for node in (N2, N3) for key in keys)
    world.crash(N1)
    heard(world)


def test_a_home_that_restarts_respects_what_an_earlier_incarnation_of_it_had_in_its_batches() -> (
    None
):
    world = World()
    keys = keys_of(world, 5)
    half_chosen(world, keys[:3])
    world.boot(N1)
    world.run(50)
    assert all(stored(world, N1, key).accepted is None for key in keys[:3])
    world.sent.clear()
    marks = propose_batch(world, keys, b"second")
    world.run(1_000)
    values = [decree.value for decree in decrees(world, marks)]
    assert values == [b"first"] * 3 + [b"second"] * 2
    (batch,) = said(world, AcceptMany, N1, N2)
    assert isinstance(batch, AcceptMany)
    assert [decree.key for decree in batch.decrees] == keys[3:]


def test_a_vote_on_a_batch_of_an_earlier_incarnation_is_not_counted_for_one_of_this_incarnation() -> (
    None
):
    world = World()
    world.crash(N1)
    world.boot(N1)
    world.run(100)
    unheard(world, AcceptMany)
    marks = propose_batch(world, keys_of(world))
    world.settle()
    late = AcceptedMany(identity(1), 1, ())
    take(world, N1, (N2, late), (N3, late))
    assert not any(world.answers[mark] for mark in marks)


def test_a_batch_in_doubt_of_a_dead_home_is_finished_by_the_others() -> None:
    world = World()
    keys = keys_of(world)
    half_chosen(world, keys)
    world.run(20_000)
    for key in keys:
        learned = {stored(world, node, key).learned for node in world.up()}
        assert [decree.value for decree in learned if decree] == [b"first"]


def test_a_vote_on_a_single_key_counts_for_a_key_in_a_batch() -> None:
    """An acceptance counts the same in either message (R20)."""
    world = World()
    keys = keys_of(world)
    unheard(world, AcceptMany)
    marks = propose_batch(world, keys)
    world.settle()
    take(world, N1, (N2, Accepted(keys[0], identity())), (N3, Accepted(keys[0], identity())))
    assert [bool(world.answers[mark]) for mark in marks] == [True, False, False]
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    assert len(decrees(world, marks)) == 3
