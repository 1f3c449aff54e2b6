"""Batches: what a home proposes in one step travels, is voted on and is learned together."""

import pytest

from decreed.registry.config import MIB
from decreed.registry.disk import AcceptedBatch
from decreed.registry.paxos.decrees import MAX_BATCH
from decreed.registry.paxos.messages import (
    Accept,
    AcceptedMany,
    AcceptMany,
    Commit,
    CommitMany,
    Nack,
    Prepare,
    SingleMessage,
)
from decreed.registry.replica.consensus import batches as flights_module
from decreed.registry.replica.consensus.acceptor import LIGHT_BYTES
from decreed.registry.replica.consensus.batches import MAX_QUEUED_MS
from decreed.registry.replica.step.effects import Send
from decreed.registry.replica.step.events import FromClient, FromPeer
from decreed.registry.types import (
    MAX_KEY_BYTES,
    MAX_NOTE_CHARS,
    Ballot,
    Claim,
    Decree,
    Key,
    NodeId,
    Process,
)
from decreed.registry.wire.codec import encode
from decreed.registry.wire.requests import ClaimRequest, Decreed

from ...support.batches import (
    N1,
    N2,
    N3,
    asks,
    decrees,
    heard,
    identity,
    keys_of,
    promised_to,
    proposal,
    propose_batch,
    said,
    settled,
    step,
    take,
    under_way,
    unheard,
    without_n3,
)
from ...support.world import World, claim, config, stored

# -- together


@pytest.mark.parametrize(
    ("size", "prepare", "accept"), [(3, 0, 0), (3, 3, 1), (3, 1, 3), (5, 0, 0), (5, 4, 2)]
)
def test_what_a_home_proposes_in_one_step_takes_one_message_one_vote_and_one_commit_of_each_node(
    size: int, prepare: int, accept: int
) -> None:
    world = World(config(size, prepare, accept))
    keys = keys_of(world)
    world.sent.clear()
    marks = propose_batch(world, keys)
    world.settle()
    for decree in decrees(world, marks):
        assert decree.ballot == identity()
        assert {stored(world, node, decree.key).learned for node in world.up()} == {decree}
    for node in world.replica(N1).node.others:
        (batch,) = said(world, AcceptMany, N1, node)
        assert isinstance(batch, AcceptMany) and [d.key for d in batch.decrees] == keys
        assert said(world, AcceptedMany, node, N1) == [AcceptedMany(identity(), 1, ())]
        assert said(world, CommitMany, N1, node) == [CommitMany(identity(), tuple(keys))]
    assert not any(isinstance(m, SingleMessage) for s, to, m in world.sent if s != to)
    assert not under_way(world)


def test_a_cluster_of_one_node_decides_without_messages() -> None:
    world = World(config(1))
    assert {d.ballot for d in settled(world, propose_batch(world, keys_of(world)))} == {identity()}
    assert not under_way(world)


def test_a_single_claim_and_a_large_value_travel_alone() -> None:
    world = World()
    small, other, large = keys_of(world)
    world.sent.clear()
    settled(world, propose_batch(world, [small]))
    marks = propose_batch(world, [other])
    marks.append(world.send(N1, asks(world, large, b"x" * (LIGHT_BYTES + 1))))
    settled(world, marks)
    assert not said(world, AcceptMany, N1, N2)
    assert [m.key for m in said(world, Accept, N1, N2) if isinstance(m, Accept)] == [
        small,
        large,
        other,
    ]


def test_a_full_batch_fits_the_smallest_frame_that_a_cluster_may_allow() -> None:
    world = World()
    world.sent.clear()
    for number, key in enumerate(keys_of(world, 2 * MAX_BATCH)):
        note = "\U0001f512" * (0 if number % 2 else MAX_NOTE_CHARS)
        wanted = Claim(key, b"v" * LIGHT_BYTES, "t" * 128, "c" * 256, key.encode(), note)
        world.send(N1, ClaimRequest(world.new_id(), 5_000, True, wanted))
    world.settle()
    (batch,) = said(world, AcceptMany, N1, N2)
    assert isinstance(batch, AcceptMany)
    assert len(batch.decrees) == MAX_BATCH
    assert len(encode(batch)) + MAX_BATCH * MAX_KEY_BYTES < 4 * MIB


def test_no_batch_is_larger_than_a_message_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights_module, "MAX_BATCH", 2)
    world = World()
    world.sent.clear()
    settled(world, propose_batch(world, keys_of(world, 5)))
    batches = [m for m in said(world, AcceptMany, N1, N2) if isinstance(m, AcceptMany)]
    assert [(m.number, len(m.decrees)) for m in batches] == [(1, 2), (2, 2)]
    assert len(said(world, Accept, N1, N2)) == 1, "what is left is no company"


def test_a_claim_for_a_key_that_is_in_a_batch_joins_its_attempt() -> None:
    world = World()
    keys = keys_of(world)
    unheard(world, AcceptedMany)
    first = propose_batch(world, keys, b"first")
    world.settle()
    world.sent.clear()
    later = propose_batch(world, keys, b"later")
    world.settle()
    assert not [m for s, to, m in world.sent if s != to]
    heard(world)
    world.run(1_000)
    assert decrees(world, later) == decrees(world, first)
    assert {decree.value for decree in decrees(world, first)} == {b"first"}


def test_two_batches_are_in_flight_and_their_votes_come_in_any_order_and_repeated() -> None:
    world = World()
    keys = keys_of(world, 4)
    unheard(world, AcceptMany)
    first, second = propose_batch(world, keys[:2]), None
    world.settle()
    second = propose_batch(world, keys[2:])
    world.run(2 * MAX_QUEUED_MS)
    assert under_way(world) == 2
    votes = [AcceptedMany(identity(), number, ()) for number in (1, 2)]
    for _ in range(2):
        take(world, N1, (N2, votes[1]))
        assert len(decrees(world, second)) == 2
        assert not any(world.answers[mark] for mark in first)
    for _ in range(2):
        take(world, N1, (N3, votes[0]), (N2, votes[1]))
        assert len(decrees(world, first)) == 2
    assert not under_way(world)


# -- counting


def test_R20_a_vote_is_counted_once_for_each_member_and_only_for_its_own_batch_and_incarnation() -> (
    None
):
    world = World(config(5))
    unheard(world, AcceptMany)
    marks = propose_batch(world, keys_of(world))
    world.settle()
    vote = AcceptedMany(identity(), 1, ())
    another_batch, another_incarnation = (
        AcceptedMany(identity(), 2, ()),
        AcceptedMany(identity(2), 1, ()),
    )
    take(world, N1, (N2, vote), (N2, vote), (NodeId("stranger"), vote))
    take(world, N1, (N3, another_batch), (N3, another_incarnation))
    assert not any(world.answers[mark] for mark in marks)
    take(world, N1, (N3, vote))
    assert len(decrees(world, marks)) == 3


def test_R14_a_vote_on_a_batch_leaves_only_after_the_records_of_all_its_keys() -> None:
    world = World()
    batch = proposal(keys_of(world))
    effects = step(world, N2, FromPeer(N1, batch))
    vote = Send(N1, AcceptedMany(identity(), 1, ()))
    assert effects.after == [vote] and vote not in effects.at_once
    [record] = effects.records
    assert isinstance(record, AcceptedBatch) and set(record.instances) == {*keys_of(world)}
    assert effects.sync


def test_R14_a_vote_on_keys_of_which_only_one_is_new_waits_for_that_one() -> None:
    world = World()
    keys = keys_of(world)
    take(world, N2, (N1, proposal(keys[:2])))
    effects = step(world, N2, FromPeer(N1, proposal(keys, number=2)))
    assert effects.after == [Send(N1, AcceptedMany(identity(), 2, ()))]
    assert len(effects.records) == 1


def test_R02_a_repeated_batch_is_voted_on_again() -> None:
    world = World()
    batch = proposal(keys_of(world))
    world.sent.clear()
    take(world, N2, (N1, batch))
    take(world, N2, (N1, batch))
    assert said(world, AcceptedMany, N2, N1) == [AcceptedMany(identity(), 1, ())] * 2


def test_R18_a_home_sends_before_its_own_write_and_votes_after_it() -> None:
    world = World()
    requests = [asks(world, key) for key in keys_of(world)]
    effects = step(world, N1, *(FromClient(1, (request,)) for request in requests))
    assert {m.to for m in effects.at_once if isinstance(m, Send)} == {N2, N3}
    assert effects.after == [Send(N1, AcceptedMany(identity(), 1, ()))]
    [record] = effects.records
    assert isinstance(record, AcceptedBatch) and set(record.instances) == {*keys_of(world)}
    assert effects.sync


def test_a_vote_of_a_node_whose_disk_fails_never_leaves() -> None:
    world = World()
    world.machines[N2].disk.fail_writes = 1
    world.sent.clear()
    marks = propose_batch(world, keys_of(world))
    world.run(1_000)
    assert not said(world, AcceptedMany, N2, N1)
    assert len(decrees(world, marks)) == 3, "n1 and n3 are enough"


# -- leaving


def test_a_key_that_one_acceptor_refuses_is_decided_by_both_phases_while_the_rest_completes() -> (
    None
):
    world = World()
    keys = keys_of(world)
    without_n3(world)
    higher = promised_to(world, N2, keys[1:2])
    world.sent.clear()
    marks = propose_batch(world, keys)
    world.settle()
    assert said(world, AcceptedMany, N2, N1) == [AcceptedMany(identity(), 1, (keys[1],))]
    assert said(world, Nack, N2, N1) == [Nack(keys[1], identity(), higher)]
    assert said(world, CommitMany, N1, N2) == [CommitMany(identity(), (keys[0], keys[2]))]
    assert [bool(world.answers[mark]) for mark in marks] == [True, False, True]
    world.run(2_000)
    assert len(decrees(world, marks)) == 3
    alone = {m.key for m in said(world, Prepare, N1, N2) if isinstance(m, Prepare)}
    assert alone == {keys[1]}
    assert not under_way(world)


def test_R13_a_refusal_leaves_only_after_the_promise_that_it_names() -> None:
    world = World()
    keys = keys_of(world)
    higher = Ballot(1, Process(N3, 1))
    proposals = FromPeer(N1, proposal(keys))
    effects = step(world, N2, FromPeer(N3, Prepare(keys[1], higher)), proposals)
    nack = Send(N1, Nack(keys[1], identity(), higher))
    assert nack in effects.after
    assert nack not in effects.at_once


@pytest.mark.parametrize("nacks", [True, False], ids=["with nacks", "without"])
def test_if_all_keys_of_a_batch_are_refused_all_are_decided_alone(nacks: bool) -> None:
    world = World()
    keys = keys_of(world)
    promised_to(world, N2, keys)
    world.lose = lambda sender, to, m: N3 in (sender, to) or (isinstance(m, Nack) and not nacks)
    world.sent.clear()
    marks = propose_batch(world, keys)
    world.settle()
    assert said(world, AcceptedMany, N2, N1) == [AcceptedMany(identity(), 1, tuple(keys))]
    assert not under_way(world)
    heard(world)
    world.run(3_000)
    assert len(decrees(world, marks)) == 3
    assert not said(world, CommitMany, N1, N2)


def test_a_refusal_counts_before_the_vote_that_it_comes_with() -> None:
    world = World(config(3, 3, 1))
    keys = keys_of(world)
    promised_to(world, N2, keys[:1])
    unheard(world, AcceptMany)
    requests = [asks(world, key) for key in keys]
    replica, storage = world.replica(N1), world.machines[N1].storage
    assert storage is not None
    effects = step(world, N1, *(FromClient(1, (request,)) for request in requests))
    storage.write(effects.records, sync=True)  # and the own vote has not come round yet
    effects = step(world, N1, FromPeer(N2, AcceptedMany(identity(), 1, (keys[0],))))
    committed = [m.message for m in effects.at_once if isinstance(m, Send) and m.to == N2]
    assert CommitMany(identity(), tuple(keys[1:])) in committed
    assert not any(isinstance(m, Commit) for m in committed)
    assert len(replica.pending_work()["attempts"]) == 1


def test_a_key_that_the_own_acceptor_has_promised_since_is_not_sent_and_begins_again() -> None:
    world = World()
    keys = keys_of(world)
    higher = Ballot(1, Process(N3, 1))
    requests = [FromClient(1, (asks(world, key),)) for key in keys]
    effects = step(world, N1, *requests, FromPeer(N3, Prepare(keys[0], higher)))
    sent = [m.message for m in effects.at_once if isinstance(m, Send) and m.to == N2]
    assert [{d.key for d in m.decrees} for m in sent if isinstance(m, AcceptMany)] == [{*keys[1:]}]
    (prepare,) = [m for m in sent if isinstance(m, Prepare)]
    assert prepare.key == keys[0] and prepare.ballot > higher
    assert Send(N1, AcceptedMany(identity(), 1, ())) in effects.after


def test_a_nack_takes_its_key_out_of_the_batch_and_the_rest_continues() -> None:
    world = World()
    keys = keys_of(world)
    unheard(world, AcceptMany)
    marks = propose_batch(world, keys)
    world.settle()
    take(world, N1, (N2, Nack(keys[0], identity(), Ballot(7, Process(N3, 1)))))
    take(world, N1, (N3, AcceptedMany(identity(), 1, ())))
    assert [bool(world.answers[mark]) for mark in marks] == [False, True, True]
    heard(world)
    world.run(2_000)
    assert len(decrees(world, marks)) == 3


def test_a_decree_that_an_acceptor_has_learned_is_sent_and_the_rest_completes() -> None:
    world = World()
    keys = keys_of(world)
    world.lose = lambda sender, to, message: to == N1
    decided = world.claim(N2, claim(keys[0], b"before", b"before"), here=True)
    assert isinstance(decided, Decreed)
    without_n3(world)
    world.sent.clear()
    marks = propose_batch(world, keys)
    world.settle()
    assert said(world, Commit, N2, N1) == [Commit(keys[0], decided.decree)]
    assert said(world, AcceptedMany, N2, N1) == [AcceptedMany(identity(), 1, (keys[0],))]
    assert decrees(world, marks)[0] == decided.decree
    assert {decree.ballot for decree in decrees(world, marks)[1:]} == {identity()}


def test_a_decree_learned_from_elsewhere_takes_its_key_out_of_the_batch() -> None:
    world = World()
    keys = keys_of(world)
    unheard(world, AcceptMany)
    marks = propose_batch(world, keys)
    world.settle()
    other = Decree.of(claim(keys[0], b"other", b"other"), Ballot(1, Process(N3, 1)), 0)
    take(world, N1, (N3, Commit(keys[0], other)))
    world.sent.clear()
    take(world, N1, (N2, AcceptedMany(identity(), 1, ())))
    assert said(world, CommitMany, N1, N3) == [CommitMany(identity(), tuple(keys[1:]))]
    assert decrees(world, marks)[0] == other


def test_a_refusal_of_a_key_that_is_not_in_a_batch_does_not_change_it() -> None:
    world = World()
    keys = keys_of(world, 4)
    unheard(world, AcceptMany)
    marks = propose_batch(world, keys[:2])
    world.settle()
    marks += propose_batch(world, keys[2:])
    world.settle()
    world.sent.clear()
    take(world, N1, (N2, AcceptedMany(identity(), 1, (keys[3], Key("unheard-of")))))
    assert [bool(world.answers[mark]) for mark in marks] == [True, True, False, False]
    assert not said(world, Prepare, N1, N2)
    take(world, N1, (N2, AcceptedMany(identity(), 2, ())))
    assert len(decrees(world, marks)) == 4
