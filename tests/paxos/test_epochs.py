"""The pure rules of changing members, one test or more for each: M01 to M09, M14, M18."""

import pytest

from decreed.registry.paxos import acceptor, class_promise, epochs, proposer
from decreed.registry.paxos.epochs import Epoch, Gathering, Page, Seat, Series
from decreed.registry.paxos.instance import EMPTY, Class, Contradiction, Instance
from decreed.registry.paxos.messages import Prepare, PrepareClass
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, Proposal
from decreed.registry.wire.codec import decode, encode

from ..support.world import claim

KEY, OTHER = Key("k"), Key("l")
A, B, C, J = (NodeId(name) for name in "abcj")
ONE = Process(A, 1)
SIZES = [
    (count, prepare, accept)
    for count in (1, 3, 5, 7)
    for prepare in range(1, count + 1)
    for accept in range(count - prepare + 1, count + 1)
]


def epoch(*names: str, number: int = 0, prepare: int = 0, accept: int = 0) -> Epoch:
    majority = len(names) // 2 + 1
    members = tuple(NodeId(name) for name in names)
    quorums = Quorums(members, prepare or majority, accept or majority)
    return Epoch(number, quorums, tuple(name.encode() * 16 for name in names))


ABC = epoch(*"abc")


def proposal(ballot: Ballot, value: bytes = b"v") -> Proposal:
    return Proposal(ballot, Decree.of(claim(KEY, value, b"id-" + value), ballot, 0))


def page(
    after: Key | None = None,
    next: Key | None = None,
    whole: bool = False,
    feed_end: int = 0,
    unreadable: tuple[Key, ...] = (),
) -> Page:
    return Page(after, whole, next, feed_end, unreadable)


def taken(*pages: tuple[NodeId, Page], of: Epoch = ABC) -> Gathering:
    gathering = Gathering(of)
    for source, shown in pages:
        gathering = gathering.with_page(source, 1, shown)
    return gathering


# -- M01: voters, sizes, seal


@pytest.mark.parametrize(("count", "prepare", "accept"), SIZES)
def test_M01_the_seal_meets_every_quorum_of_both_phases_and_no_smaller_number_does(
    count: int, prepare: int, accept: int
) -> None:
    seal = epoch(*"abcdefg"[:count], prepare=prepare, accept=accept).seal
    assert seal + prepare > count and seal + accept > count
    assert seal - 1 + min(prepare, accept) <= count


@pytest.mark.parametrize(("count", "prepare", "accept"), SIZES)
def test_M01_as_many_as_choose_a_change_are_enough_to_take_over(
    count: int, prepare: int, accept: int
) -> None:
    of = epoch(*"abcdefg"[:count], prepare=prepare, accept=accept)
    assert max(prepare, accept) >= of.seal


def test_M01_quorums_that_need_not_meet_are_no_epoch() -> None:
    with pytest.raises(ValueError, match="need not meet"):
        epoch(*"abc", prepare=1, accept=2)


def test_M01_an_epoch_names_one_disk_for_each_voter() -> None:
    with pytest.raises(ValueError, match="one disk"):
        Epoch(1, Quorums.majority((A, B, C)), (bytes(16),))


def test_M01_an_epoch_names_disks_so_another_directory_of_that_name_is_no_voter() -> None:
    assert ABC.has("a", b"a" * 16)
    assert not ABC.has("a", b"z" * 16) and not ABC.has("z", b"a" * 16)


def test_M01_epoch_0_has_the_members_that_formed_whatever_their_disks() -> None:
    formed = Epoch.formed(Quorums((A, B, C), 1, 3))
    assert (formed.number, formed.nodes, formed.seal) == (0, (A, B, C), 3)
    assert formed.has("a", b"a" * 16) and not formed.has("j", b"j" * 16)


# -- M02: ballots


def test_M02_the_epoch_counts_before_the_round_and_the_round_before_the_process() -> None:
    late = Ballot(2**32 - 1, Process(NodeId("z"), 9))
    assert late.epoch == 0
    assert late < Ballot.of_home(ONE, 1) < Ballot.first(ONE, 1) < Ballot.of_home(ONE, 2)
    assert [Ballot.first(ONE, 7).epoch, Ballot.of_home(ONE, 7).epoch] == [7, 7]


def test_M02_the_bytes_of_epoch_0_are_those_from_before_there_were_epochs() -> None:
    assert encode(Ballot.of_home(ONE)) == encode([0, ["a", 1]])
    assert encode(Ballot.first(ONE).above(ONE)) == encode([2, ["a", 1]])
    old = decode(encode([3, ["a", 1]]), Ballot)
    assert (old.epoch, old.is_of_home, str(old)) == (0, False, "3.a#1")


def test_M02_a_ballot_of_a_later_epoch_shows_it() -> None:
    assert str(Ballot.first(ONE, 2).above(ONE)) == "2/2.a#1"


def test_M02_round_0_of_any_epoch_is_the_homes() -> None:
    assert Ballot.of_home(ONE).is_of_home and Ballot.of_home(ONE, 3).is_of_home
    assert not Ballot.first(ONE).is_of_home and not Ballot.first(ONE, 3).is_of_home


def test_M02_the_last_round_of_an_epoch_has_none_above_it() -> None:
    with pytest.raises(AssertionError):
        Ballot(2**32 - 1, ONE).above(ONE)


def test_M02_an_attempt_begins_in_the_epoch_in_which_its_node_votes() -> None:
    first = proposer.start(KEY, ONE, Ballot(9, Process(B, 1)), 4)
    assert first.ballot == Ballot.first(ONE, 4)
    assert proposer.start(KEY, ONE, first.ballot, 4).ballot == first.ballot.above(ONE)


def test_M02_no_attempt_begins_below_a_ballot_of_a_later_epoch() -> None:
    with pytest.raises(AssertionError, match="later epoch"):
        proposer.start(KEY, ONE, Ballot.first(ONE, 5), 4)


def test_M02_an_acceptor_refuses_every_ballot_of_an_earlier_epoch_for_an_adopted_proposal() -> None:
    held = epochs.adopt(EMPTY, proposal(Ballot.first(ONE, 1)))
    _, answer = acceptor.on_prepare(held, Prepare(KEY, Ballot(999, ONE)))
    assert answer.__class__.__name__ == "Nack"


# -- M04, M05: seats


def test_M04_a_node_votes_only_in_the_epoch_that_it_knows_and_is_ready_for() -> None:
    seat = Seat(known=2, ready=2)
    assert seat.votes_in(2)
    assert not seat.votes_in(1) and not seat.votes_in(3)


def test_M04_a_directory_that_never_voted_votes_nowhere() -> None:
    assert not any(Seat(0, None).votes_in(number) for number in (0, 1))


def test_M05_who_seals_votes_neither_in_the_old_epoch_nor_yet_in_the_new_one() -> None:
    sealed = Seat().sealed(1)
    assert not sealed.votes_in(0) and not sealed.votes_in(1)
    assert sealed.taken().votes_in(1) and not sealed.taken().votes_in(0)


def test_M05_a_seal_may_skip_epochs_and_never_goes_back() -> None:
    seat = Seat().sealed(4)
    assert seat == Seat(4, 0)
    assert seat.sealed(2) == seat


def test_M05_a_second_seal_on_the_way_to_ready_needs_a_new_taking_over() -> None:
    seat = Seat().sealed(1).taken().sealed(2)
    assert not seat.votes_in(1) and not seat.votes_in(2)


# -- M06: series


def test_M06_a_series_is_taken_when_its_last_page_has_come_and_its_feed_is_read() -> None:
    series = Series(1).with_page(page(next=KEY)).with_page(page(KEY, feed_end=5))
    assert not series.is_taken(4)
    assert series.is_taken(5)


def test_M06_the_position_of_the_feed_is_that_of_the_last_page() -> None:
    series = Series(1).with_page(page(next=KEY, feed_end=3))
    assert not series.is_taken(100)
    assert series.with_page(page(KEY, feed_end=7)).feed_end == 7


def test_M06_a_late_page_is_not_taken_for_the_answer_to_another_question() -> None:
    """The page that ended an earlier try comes after the series was begun again."""
    again = Series(1).with_page(page(KEY, feed_end=2))
    assert again == Series(1) and not again.is_taken(100)


def test_M06_a_repeated_page_changes_nothing() -> None:
    first = page(next=KEY)
    series = Series(1).with_page(first)
    assert series.with_page(first) == series
    whole = series.with_page(page(KEY))
    assert whole.with_page(page(KEY, feed_end=9)) == whole


def test_M06_another_life_of_the_sender_begins_its_series_again() -> None:
    gathering = taken((B, page(next=KEY)))
    assert gathering.awaited(B, 1) == KEY
    assert gathering.awaited(B, 2) is None
    gathering = gathering.with_page(B, 2, page(KEY, feed_end=0))
    assert not gathering.with_own(A, 1).is_ready({}), "its first page is missing"


# -- M07: adopting


def test_M07_the_highest_ballot_is_held_in_whatever_order_it_is_shown() -> None:
    low, high = proposal(Ballot.first(ONE)), proposal(Ballot(2, ONE), b"w")
    for shown in ([low, high], [high, low]):
        held = EMPTY
        for each in shown:
            held = epochs.adopt(held, each)
        assert held == Instance(promised=high.ballot, accepted=high)


def test_M07_a_promise_never_goes_down() -> None:
    promised = Ballot(9, ONE)
    held = epochs.adopt(Instance(promised=promised), proposal(Ballot.first(ONE)))
    assert held.promised == promised and held.accepted == proposal(Ballot.first(ONE))


def test_M07_what_is_learned_stays() -> None:
    learned = Instance(learned=proposal(Ballot.first(ONE)).decree)
    assert epochs.adopt(learned, proposal(Ballot(2, ONE), b"w")) == learned


def test_M07_two_values_of_one_ballot_are_a_contradiction() -> None:
    ballot = Ballot.first(ONE)
    with pytest.raises(Contradiction):
        epochs.adopt(epochs.adopt(EMPTY, proposal(ballot)), proposal(ballot, b"w"))


# -- M08: feeds


def test_M08_a_gap_in_a_feed_moves_the_position_that_must_be_read() -> None:
    gathering = taken((B, page(feed_end=3)), (C, page())).after_gap(B, 8)
    assert not gathering.is_ready({B: 3})
    assert gathering.is_ready({B: 8})


def test_M08_a_gap_counts_though_it_was_met_before_the_series_came() -> None:
    """The page of the feed is younger than that of the series, and overtakes it."""
    gathering = Gathering(ABC).with_own(A, 1).after_gap(B, 8).after_gap(B, 5)
    gathering = gathering.with_page(B, 1, page(feed_end=3))
    assert not gathering.is_ready({B: 7})
    assert gathering.is_ready({B: 8})


# -- M09: ready


def test_M09_pages_of_a_seal_quorum_are_enough_and_one_fewer_is_not() -> None:
    assert taken((A, page()), (B, page())).is_ready({})
    assert not taken((A, page())).is_ready({})
    three_one = epoch(*"abc", prepare=1, accept=3)
    assert not taken((A, page()), (B, page()), of=three_one).is_ready({})
    assert taken((A, page()), (B, page()), (C, page()), of=three_one).is_ready({})


def test_M09_what_a_voter_holds_itself_counts_for_one() -> None:
    assert taken((B, page())).with_own(A, 1).is_ready({})
    assert not Gathering(ABC).with_own(A, 1).is_ready({})


def test_M09_only_voters_of_the_epoch_before_count() -> None:
    assert not taken((A, page()), (J, page())).is_ready({})
    assert not taken((A, page())).with_own(J, 1).is_ready({})


def test_M09_one_source_counts_once() -> None:
    assert not taken((A, page()), (A, page())).is_ready({})
    assert not taken((A, page())).with_page(A, 2, page()).is_ready({})


def test_M09_one_whole_series_is_enough_from_any_sender() -> None:
    assert taken((J, page(whole=True))).is_ready({})
    assert not taken((J, page(whole=True, feed_end=1))).is_ready({})


def test_M09_a_series_is_whole_only_if_each_of_its_pages_is() -> None:
    """The source became ready between its pages: it never showed what it adopted meanwhile."""
    gathering = taken((B, page(next=KEY)), (B, page(KEY, whole=True)))
    assert not gathering.is_ready({})
    assert taken((B, page(next=KEY, whole=True)), (B, page(KEY, whole=True))).is_ready({})


def test_M09_a_source_that_became_ready_later_may_show_all_in_one_whole_page() -> None:
    """It shows everything again, so the page takes the place of the series, with its own feed end."""
    series = Series(1).with_page(page(feed_end=2, unreadable=(KEY,)))
    again = series.with_page(page(whole=True, feed_end=5))
    assert again == Series(1).with_page(page(whole=True, feed_end=5))
    assert again.whole and not again.is_taken(4) and again.is_taken(5)


@pytest.mark.parametrize(
    "late",
    [page(feed_end=5), page(next=KEY, whole=True), page(KEY, whole=True, feed_end=5)],
)
def test_M09_a_series_that_is_over_gives_way_to_nothing_less_than_a_whole_page(late: Page) -> None:
    series = Series(1).with_page(page(feed_end=2))
    assert series.with_page(late) == series


def test_M09_a_whole_series_stays_as_it_is() -> None:
    series = Series(1).with_page(page(whole=True, feed_end=2))
    assert series.with_page(page(whole=True, feed_end=5)) == series


def test_M09_a_single_voter_is_taken_over_from_it_alone() -> None:
    alone = epoch("a")
    assert alone.seal == 1
    assert taken((A, page()), of=alone).is_ready({})


# -- M14: class promises


def test_M14_a_home_asks_in_a_ballot_of_its_epoch_which_is_above_those_of_earlier_ones() -> None:
    assert class_promise.ask(ONE, 3).ballot == Ballot.of_home(ONE, 3)
    later = Process(A, 2)
    held = class_promise.on_prepare_class(None, PrepareClass(Ballot.of_home(ONE, 1), bytes(16)))
    assert held == Class(Ballot.of_home(ONE, 1), bytes(16))
    old = PrepareClass(Ballot.of_home(later, 0), bytes(16))
    assert class_promise.on_prepare_class(held, old) is None


def test_M14_an_adopted_proposal_keeps_the_home_from_its_fast_path() -> None:
    granted = class_promise.GrantedClass(Ballot.of_home(ONE, 1), frozenset({A, B}), frozenset())
    adopted = epochs.adopt(EMPTY, proposal(Ballot.first(ONE)))
    assert class_promise.prepared(granted, KEY, EMPTY) is not None
    assert class_promise.prepared(granted, KEY, adopted) is None


# -- M18: what a source cannot show


def test_M18_a_key_that_a_source_cannot_show_is_withheld_unless_a_seal_quorum_shows_it() -> None:
    unreadable = page(unreadable=(KEY,))
    assert taken((A, unreadable), (B, page())).withheld({}) == {KEY}
    assert taken((A, unreadable), (B, page()), (C, page())).withheld({}) == frozenset()


def test_M18_it_is_withheld_until_a_sound_whole_series_has_come_whenever_that_is() -> None:
    gathering = taken((A, page(unreadable=(KEY, OTHER))), (B, page()))
    assert gathering.is_ready({}) and gathering.withheld({}) == {KEY, OTHER}
    whole = gathering.with_page(C, 1, page(whole=True, unreadable=(OTHER,)))
    assert whole.withheld({}) == {OTHER}


def test_M18_what_a_node_cannot_read_itself_it_does_not_show_itself() -> None:
    gathering = taken((B, page())).with_own(A, 1, (KEY,))
    assert gathering.is_ready({}) and gathering.withheld({}) == {KEY}


def test_M06_a_late_page_of_an_earlier_life_does_not_begin_a_series_again() -> None:
    epoch = Epoch.formed(Quorums.majority((NodeId("a"), NodeId("b"), NodeId("c"))))
    taken = Gathering(epoch).with_page(NodeId("a"), 2, Page(None, False, Key("k"), 0))
    assert taken.with_page(NodeId("a"), 1, Page(None, False, None, 9)) == taken
    assert taken.with_page(NodeId("a"), 3, Page(None, False, None, 9)) != taken
