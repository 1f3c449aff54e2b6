"""The rules of changing members that need a whole node, one test or more for each."""

from collections.abc import Sequence

import pytest

from decreed.registry.disk import EpochRecord, InstanceRecord, PeerSeatRecord
from decreed.registry.errors import NotFormed
from decreed.registry.keys import home
from decreed.registry.members import MembersChange, change_of, claim_of, members_key
from decreed.registry.paxos.decrees import Decrees
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.messages import (
    Accept,
    Accepted,
    AcceptMany,
    Commit,
    Nack,
    PrepareClass,
    Promise,
    PromiseClass,
)
from decreed.registry.replica.step.effects import Send
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.replica.step.node import refusal
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, Proposal
from decreed.registry.wire.handshake import DirectoryRefusal
from decreed.registry.wire.peers import (
    AskedIn,
    AskState,
    Fetch,
    Query,
    QueryAnswer,
    SeatTold,
    StatePage,
)
from decreed.registry.wire.requests import Decreed, GetRequest, Undecided

from ...support.changed import (
    N1,
    N2,
    N3,
    N4,
    changed,
    decree_of,
    of_kind,
    prepared,
    said,
    sealed,
    step,
)
from ...support.changing import ChangingWorld
from ...support.world import config, stored

KEY = Key("k")
STRANGER = Process(N2, 9)


# -- M03


def test_M03_a_change_takes_both_phases_though_the_home_promise_is_held() -> None:
    world = ChangingWorld([N4])
    world.freeze(N1, "warm")
    world.change(N1, N1, N2, N4)
    decree = stored(world, N1, members_key(1)).learned
    assert decree is not None and not decree.ballot.is_of_home and decree.ballot.epoch == 0


def test_M03_voters_of_an_epoch_vote_on_the_next_one_alone() -> None:
    world = changed()
    ballot = Ballot.first(STRANGER, 1)
    assert of_kind(said(step(world, N1, prepared(N2, members_key(2), ballot))), Promise)
    assert said(step(world, N1, prepared(N2, members_key(3), ballot))) == []


def test_M03_no_home_ballot_carries_a_change() -> None:
    world = ChangingWorld()
    key = members_key(1)
    home_ballot = Ballot.of_home(Process(N2, 1))
    accept = Accept(key, home_ballot, decree_of(key, home_ballot))
    answers = said(step(world, N1, FromPeer(N2, accept)))
    assert of_kind(answers, Accepted) == [] and len(of_kind(answers, Nack)) == 1


def test_M03_no_batch_carries_a_change_though_its_home_promise_is_held() -> None:
    world = ChangingWorld()
    key = members_key(1)
    of_home = home(key, world.config.nodes)
    other = next(node for node in world.config.nodes if node != of_home)
    world.freeze(of_home, "warm")
    ballot = Ballot.of_home(world.replica(of_home).node.process)
    assert world.replica(other).parts.acceptors.covers(ballot)
    batch = AcceptMany(ballot, 1, Decrees((decree_of(key, ballot),)))
    effects = step(world, other, FromPeer(of_home, batch))
    assert not [record for record in effects.records if isinstance(record, InstanceRecord)]


def test_M03_nobody_finishes_a_half_done_change_by_himself() -> None:
    world = ChangingWorld([N4])
    world.lose = lambda _, __, message: isinstance(message, Accepted | Commit)
    world.propose(N1, world.epoch(1, N4))
    world.run(500)
    world.crash(N1)
    world.lose = lambda *_: False
    world.run(10_000)
    assert stored(world, N2, members_key(1)).accepted is not None
    read = world.ask(N2, GetRequest(world.new_id(), 1_000, members_key(1)))
    assert not isinstance(read, Decreed | Undecided)
    assert world.voters() == [N2, N3]


# -- M04, M05


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_M04_a_sealed_node_answers_no_ballot_of_any_epoch(epoch: int) -> None:
    world = sealed()
    answers = said(step(world, N1, prepared(N2, KEY, Ballot.first(STRANGER, epoch))))
    assert of_kind(answers, Promise, Nack) == []


def test_M04_a_ready_voter_promises_in_its_epoch_alone_and_tells_who_is_behind() -> None:
    world = changed()
    assert of_kind(said(step(world, N1, prepared(N2, KEY, Ballot.first(STRANGER, 1)))), Promise)
    behind = said(step(world, N1, prepared(N3, KEY, Ballot.first(STRANGER, 0))))
    assert [message.key for message in behind if isinstance(message, Commit)] == [members_key(1)]
    ahead = said(step(world, N1, prepared(N3, KEY, Ballot.first(STRANGER, 2))))
    assert ahead == [Fetch((members_key(2),))]


def test_M04_what_is_learned_is_told_in_every_epoch() -> None:
    world = ChangingWorld([N4])
    decree = world.freeze(N1, "k").decree
    world.change(N1, N1, N2, N4)
    for epoch in (0, 1, 2):
        for node in (N1, N3):
            answers = said(step(world, node, prepared(N2, KEY, Ballot.first(STRANGER, epoch))))
            assert answers == [Commit(KEY, decree)]


def test_M05_the_seal_is_in_the_batch_of_the_step_that_learns_the_change() -> None:
    world = ChangingWorld([N4])
    change = MembersChange(world.epoch(1, N1, N2, N4), world.replica(N1).node.epoch, ("a:1",) * 3)
    decree = Decree.of(claim_of(change, "operator", b"id"), Ballot.first(STRANGER), 0)
    late = prepared(N2, KEY, Ballot.first(STRANGER, 0))
    effects = step(world, N3, FromPeer(N1, Commit(decree.key, decree)), late)
    assert EpochRecord(1, 0, 0) in effects.records and effects.sync
    assert of_kind(said(effects), Promise) == []


def test_M05_a_seal_outlives_a_restart() -> None:
    world = sealed()
    world.crash(N1)
    world.boot(N1)
    assert world.replica(N1).node.seat.known == 1 and not world.replica(N1).node.voting
    assert (
        of_kind(said(step(world, N1, prepared(N2, KEY, Ballot.first(STRANGER, 0)))), Promise) == []
    )


def test_M05_a_node_that_cannot_read_who_votes_has_no_vote() -> None:
    world = changed()
    world.crash(N1)
    world.machines[N1].disk.flip(b"i$members@\x011", 9)
    world.boot(N1)
    assert not world.replica(N1).node.voting
    assert (
        of_kind(said(step(world, N1, prepared(N2, KEY, Ballot.first(STRANGER, 0)))), Promise) == []
    )


# -- M06, M07


def test_M06_a_page_leaves_after_the_sync_of_what_was_written_before_it() -> None:
    world = sealed()
    decree = decree_of("k", Ballot.first(STRANGER))
    learns, asks = FromPeer(N3, Commit(KEY, decree)), FromPeer(N4, AskState(1, 1, None))
    effects = step(world, N1, learns, asks)
    pages = [item for item in effects.after if isinstance(item, Send)]
    assert of_kind([item.message for item in pages], StatePage) and effects.sync
    assert of_kind([i.message for i in effects.at_once if isinstance(i, Send)], StatePage) == []


def test_M06_pages_go_through_all_keys_in_order() -> None:
    world = ChangingWorld([N4])
    world.lose = lambda _, __, message: isinstance(message, Accepted)
    keys = [Key(f"half/{number:03}") for number in range(300)]
    ballot = Ballot.first(STRANGER)
    for key in keys:
        world.post(N1, FromPeer(N2, Accept(key, ballot, decree_of(key, ballot))))
    world.settle()
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    world.change(N3, N1, N2, N4, ms=100)
    after: Key | None = None
    shown: list[Key] = []
    for _ in range(10):
        pages = of_kind(said(step(world, N1, FromPeer(N4, AskState(1, 1, after)))), StatePage)
        assert len(pages) == 1 and isinstance(pages[0], StatePage)
        assert pages[0].after == after
        shown += [proposal.decree.key for proposal in pages[0].proposals]
        after = pages[0].next
        if after is None:
            break
    assert shown == keys


def test_M06_a_node_that_was_no_voter_and_is_not_ready_shows_nothing() -> None:
    world = sealed()
    assert said(step(world, N4, FromPeer(N1, AskState(1, 1, None)))) == []


def test_M06_nothing_is_shown_for_another_epoch() -> None:
    world = changed()
    behind = said(step(world, N1, FromPeer(N4, AskState(1, 0, None))))
    assert len(of_kind(behind, Commit)) == 1 and of_kind(behind, StatePage) == []
    assert said(step(world, N1, FromPeer(N4, AskState(1, 2, None)))) == [Fetch((members_key(2),))]


def test_M07_adopting_answers_nothing_and_starts_no_lease() -> None:
    world = sealed()
    ballot = Ballot.first(STRANGER)
    replica = world.replica(N4)
    token = replica.parts.taking_over.token
    proposal = Proposal(ballot, decree_of("k", ballot))
    page = StatePage(token, 1, None, 1, False, (proposal,), (), None, 0)
    effects = step(world, N4, FromPeer(N3, page))
    assert of_kind(said(effects), Accepted, Promise) == []
    assert Instance(promised=ballot, accepted=proposal) in [
        record.instance for record in effects.records if hasattr(record, "instance")
    ]
    assert len(replica.parts.leases) == 0


# -- M08, M09


def test_M08_a_gap_in_a_feed_is_followed_before_the_node_is_ready() -> None:
    world = sealed()
    replica = world.replica(N4)
    parts, token = replica.parts, replica.parts.taking_over.token
    builder = world.builder()
    parts.taking_over.on_read(builder, N3, 10_000)
    for node in (N1, N3):
        end = parts.catchup.cursor(node)
        page = StatePage(token, 1, None, 1, False, (), (), None, end)
        parts.taking_over.on_page(builder, node, page)
    assert replica.node.seat.ready is None, "n3's feed is not read as far as the gap demands"
    page = StatePage(token, 1, None, 1, False, (), (), None, parts.catchup.cursor(N2))
    parts.taking_over.on_page(builder, N2, page)
    assert replica.node.seat.ready == 1, "n1 and n2 are enough"


def test_M09_readiness_is_durable_with_what_was_adopted() -> None:
    world = sealed()
    replica = world.replica(N4)
    token, ballot = replica.parts.taking_over.token, Ballot.first(STRANGER)
    proposal = Proposal(ballot, decree_of("k", ballot))
    ends = {node: replica.parts.catchup.cursor(node) for node in (N1, N2)}
    pages = [
        FromPeer(node, StatePage(token, 1, None, 1, False, (proposal,), (), None, end))
        for node, end in ends.items()
    ]
    effects = step(world, N4, *pages)
    assert effects.sync and EpochRecord(1, 1, replica.node.feed_end, 1) in effects.records
    told = [item for item in effects.at_once if isinstance(item, Send)]
    assert of_kind([item.message for item in told], SeatTold) == [], (
        "M10: it is told after the sync"
    )
    assert of_kind(said(effects), SeatTold)


def test_M07_what_a_source_shows_when_it_is_asked_again_is_adopted_too() -> None:
    """Its series of two pages was not whole; it is ready by now, and shows all in one page."""
    world = sealed()
    replica, ballot = world.replica(N4), Ballot.first(STRANGER)
    token, end = replica.parts.taking_over.token, replica.parts.catchup.cursor(N1)
    proposal = Proposal(ballot, decree_of("k", ballot))
    middle = Key("a")
    step(world, N4, FromPeer(N1, StatePage(token, 1, None, 1, False, (), (), middle, 0)))
    step(world, N4, FromPeer(N1, StatePage(token, 1, middle, 1, False, (), (), None, end)))
    assert replica.node.seat.ready is None
    page = StatePage(token, 1, None, 1, True, (proposal,), (), None, end)
    effects = step(world, N4, FromPeer(N1, page))
    assert replica.node.seat.ready == 1
    assert Instance(promised=ballot, accepted=proposal) in [
        record.instance for record in effects.records if hasattr(record, "instance")
    ]


def test_M09_readiness_and_what_was_adopted_outlive_a_restart() -> None:
    world = changed()
    world.crash(N4)
    world.boot(N4)
    assert world.replica(N4).node.voting


# -- M12 to M15


def test_M12_answers_of_two_epochs_are_never_counted_together() -> None:
    """The answer to a question of epoch 0 comes in the very step in which the node seals."""
    world = ChangingWorld(["n6"], config(5))
    world.lose = lambda _, __, message: isinstance(
        message, Query | QueryAnswer | StatePage | AskedIn
    )
    mark = world.send(N1, GetRequest(world.new_id(), 5_000, KEY))
    world.settle()
    token = next(message.id for _, _, message in world.sent if isinstance(message, Query))
    epoch = world.epoch(1, N1, N2, "n6")
    change = MembersChange(epoch, world.replica(N1).node.epoch, ("a:1",) * 3)
    decree = Decree.of(claim_of(change, "operator", b"id"), Ballot.first(STRANGER), 0)
    world.post(N1, FromPeer(N3, Commit(decree.key, decree)))
    world.post(N1, FromPeer(N2, QueryAnswer(token)))
    world.settle()
    assert world.answers[mark] == []


def test_M12_a_question_without_an_epoch_is_of_epoch_0() -> None:
    world = changed()
    asked = said(step(world, N1, FromPeer(N2, Query(1, (KEY,)))))
    assert of_kind(asked, QueryAnswer) == [] and len(of_kind(asked, Commit)) == 1
    asked = said(step(world, N1, FromPeer(N2, AskedIn(1, Query(1, (KEY,))))))
    assert len(of_kind(asked, QueryAnswer)) == 1


def test_M14_a_class_promise_is_for_one_epoch() -> None:
    world = changed()
    old = PrepareClass(Ballot.of_home(Process(N2, 5)), world.config.class_digest())
    assert of_kind(said(step(world, N1, FromPeer(N2, old))), PromiseClass) == []
    assert world.replica(N1).parts.home_promise.granted
    world.freeze(N1, "warm")
    assert world.alarms == []


def test_M15_readiness_is_a_start_for_leases() -> None:
    world = ChangingWorld([N4])
    world.run(5_000)
    world.change(N1, N1, N2, N4)
    for node in (N1, N2, N4):
        assert world.replica(node).parts.leases.started_ms > 5_000


# -- M21, M22


def test_M21_two_decrees_for_the_voters_of_an_epoch_end_the_voting() -> None:
    world = changed()
    known = stored(world, N1, members_key(1)).learned
    assert known is not None
    other = MembersChange(world.epoch(1, N1, N2, N3), change_of(known).before, ("a:1",) * 3)
    decree = Decree.of(claim_of(other, "somebody", b"else"), known.ballot, 0)
    effects = step(world, N1, FromPeer(N2, Commit(decree.key, decree)))
    assert not world.replica(N1).node.voting
    assert any("votes no more" in alarm for alarm in effects.alarms)


def test_M22_a_vote_counts_only_after_the_seat_of_its_sender_is_durable_here() -> None:
    world = changed("n5")
    seats = world.replica(N1).parts.seats
    builder = world.builder()
    vote, disk = Accepted(KEY, Ballot.first(STRANGER, 1)), world.disks[NodeId("n5")]
    assert seats.counts(builder, N2, vote)
    assert not seats.counts(builder, NodeId("n5"), vote)
    assert not seats.on_told(builder, NodeId("n5"), SeatTold(disk, 1, 1, None, 0))
    assert seats.on_told(builder, NodeId("n5"), SeatTold(disk, 1, 1, 1, 0))
    assert not seats.counts(builder, NodeId("n5"), vote), "it is in the batch of this step"
    assert FromPeer(NodeId("n5"), vote) in builder.finish().again


def test_M22_a_later_life_that_shows_less_is_refused() -> None:
    world = changed()
    world.lose = lambda _, __, message: isinstance(message, SeatTold)
    world.crash(N4)
    world.boot(N4)
    world.run(100)
    effects = step(world, N1, FromPeer(N4, SeatTold(world.disks[N4], 2, 1, None, 0)))
    [refusal] = of_kind(said(effects), DirectoryRefusal)
    assert isinstance(refusal, DirectoryRefusal) and len(effects.alarms) == 1
    assert (refusal.evidence.known, refusal.evidence.ready) == (1, 1)
    assert not world.replica(N4).parts.bears_out(refusal.evidence), "this one has lost nothing"
    vote = Accepted(KEY, Ballot.first(STRANGER, 1))
    assert not world.replica(N1).parts.seats.counts(world.builder(), N4, vote)


def test_M22_a_late_message_of_an_earlier_seat_is_no_fault() -> None:
    world = changed()
    effects = step(world, N1, FromPeer(N4, SeatTold(world.disks[N4], 1, 1, None, 0)))
    assert said(effects) == [] and effects.alarms == []


def test_M22_what_peers_told_outlives_a_restart() -> None:
    world = changed()
    world.crash(N1)
    storage_told = _told(world, N1)
    assert {record.node: record.ready for record in storage_told}[N4] == 1


def _told(world: ChangingWorld, node: NodeId) -> Sequence[PeerSeatRecord]:
    world.boot(node)
    storage = world.machines[node].storage
    assert storage is not None
    return storage.recovered().seats


def test_a_node_that_takes_over_says_so() -> None:
    world = sealed()
    error, message = refusal(world.replica(N1).node)
    assert error is NotFormed and "taking over for epoch 1" in message
