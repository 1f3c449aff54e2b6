"""Changes of members in a whole cluster: who votes, and that nothing is lost or decided again."""

import pytest
from msgspec.structs import replace

from decreed.registry.locks.terms import TermClaim
from decreed.registry.members import change_of, members_key
from decreed.registry.paxos.messages import Accepted, Commit
from decreed.registry.types import NodeId
from decreed.registry.wire.peers import StatePage
from decreed.registry.wire.requests import (
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    Granted,
    ListPage,
    ListRequest,
    LockRequest,
    Undecided,
)

from ...support.changing import ChangingWorld
from ...support.world import claim, config, stored

N1, N2, N3, N4 = (NodeId(f"n{number}") for number in range(1, 5))


def test_one_of_three_is_replaced() -> None:
    world = ChangingWorld([N4])
    world.freeze(N1, "before")
    world.change(N1, N1, N2, N4)
    assert world.voters() == [N1, N2, N4]
    assert world.ready() == {N1: 1, N2: 1, N3: 1, N4: 1}
    assert stored(world, N4, "before").learned == stored(world, N1, "before").learned
    world.crash(N3)
    world.crash(N1)
    assert world.freeze(N4, "after").decree.ballot.epoch == 1
    assert world.alarms == []


def test_a_change_wakes_nobody_who_had_no_part_in_it_and_the_removed_voter_says_who_votes() -> None:
    world = ChangingWorld([N4])
    world.change(N1, N1, N2, N4)
    answer = world.ask(N3, GetRequest(world.new_id(), 1_000, claim("x").key))
    assert isinstance(answer, Failed) and "voters of epoch 1 are n1, n2, n4" in answer.message


@pytest.mark.parametrize("sizes", [(0, 0), (1, 3), (3, 1)], ids=["majority", "1 of 3", "3 of 1"])
@pytest.mark.parametrize("way", [(N1, N2, N4), (N4, "n5", "n6"), (N1,), (N1, N2, N3, N4, "n5")])
def test_every_decree_and_every_undecided_key_stays_over_a_change(
    way: tuple[str, ...], sizes: tuple[int, int]
) -> None:
    prepare, accept = sizes
    world = ChangingWorld([N4, "n5", "n6"], config(3, prepare, accept))
    decree = world.freeze(N2, "kept").decree
    epoch = world.change(N1, *way)
    assert world.voters() == sorted(way)
    for name in way:
        assert stored(world, name, "kept").learned == decree
        read = world.ask(name, GetRequest(world.new_id(), 5_000, claim("open").key))
        assert isinstance(read, Undecided)
        assert world.freeze(name, f"new/{name}").decree.ballot.epoch == epoch.number
    assert world.alarms == []


def test_many_changes_one_after_the_other_and_back_again() -> None:
    world = ChangingWorld([N4, "n5"])
    ways = [(N1, N2, N4), (N4,), (N4, "n5", N3), (N1, N2, N3), (N1, N2, N3, N4, "n5"), (N2,)]
    for number, way in enumerate(ways, 1):
        world.freeze(world.voters()[0], f"in/{number - 1}")
        world.change(world.voters()[0], *way)
        assert world.voters() == sorted(way)
    for number in range(len(ways)):
        assert stored(world, N2, f"in/{number}").learned is not None


def test_a_proposal_that_was_half_done_is_finished_by_the_new_voters() -> None:
    """n1 and n2 accept, the votes are lost, and the proposer is gone: it may have been chosen."""
    world = ChangingWorld([N4])
    world.lose = lambda _, __, message: isinstance(message, Accepted | Commit)
    world.send(N1, ClaimRequest(world.new_id(), 500, True, claim("half")))
    world.run(600)
    accepted = stored(world, N2, "half").accepted
    assert accepted is not None
    world.lose = lambda *_: False
    world.change(N2, N2, N3, N4, ms=200)
    assert world.freeze(N4, "half", b"other").decree == accepted.decree


def test_all_restart_between_the_seal_and_readiness() -> None:
    world = ChangingWorld([N4])
    world.freeze(N1, "kept")
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    world.change(N1, N1, N2, N4, ms=300)
    assert world.voters() == []
    for node in (N1, N2, N3, N4):
        world.crash(node)
    world.lose = lambda *_: False
    for node in (N1, N2, N3, N4):
        world.boot(node)
    world.run(2_000)
    assert world.voters() == [N1, N2, N4]
    assert world.freeze(N4, "after").decree.ballot.epoch == 1


def test_a_node_that_slept_through_several_epochs_seals_them_all_at_once() -> None:
    world = ChangingWorld([N4, "n5"])
    world.crash(N3)
    world.change(N1, N1, N2, N4)
    world.change(N1, N1, N3, N4, ms=300)
    world.freeze(N1, "meanwhile")
    world.boot(N3)
    world.run(2_000)
    assert world.voters() == [N1, N3, N4]
    assert stored(world, N3, "meanwhile").learned is not None


def test_what_waits_for_a_vote_is_kept_until_its_node_is_ready() -> None:
    """M13: claims, reads, lists and locks at a sealed voter end in answers, not in errors."""
    world = ChangingWorld([N4])
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    world.change(N1, N1, N2, N4, ms=100)
    assert world.voters() == []
    wanted = TermClaim("me", b"1", 1_000, bytes(32))
    marks = [
        world.send(N1, ClaimRequest(world.new_id(), 5_000, True, claim("kept"))),
        world.send(N2, GetRequest(world.new_id(), 5_000, claim("open").key)),
        world.send(N2, ListRequest(world.new_id(), 5_000, "", "", 10)),
        world.send(N1, LockRequest(world.new_id(), 5_000, "jobs", False, wanted)),
    ]
    world.run(300)
    assert [world.answers[mark] for mark in marks] == [[], [], [], []]
    world.lose = lambda *_: False
    world.run(2_000)
    kinds = [type(world.answers[mark][0]) for mark in marks]
    assert kinds == [Decreed, Undecided, ListPage, Granted]


def test_two_changes_at_once_one_wins_and_the_other_is_told_which() -> None:
    world = ChangingWorld([N4, "n5"])
    one, other = world.epoch(1, N1, N2, N4), world.epoch(1, N1, N2, "n5")
    marks = [world.propose(N1, one), world.propose(N2, other)]
    world.run(3_000)
    world.meet()
    world.run(3_000)
    answers = [world.answers[mark][0] for mark in marks]
    decrees = {answer.decree for answer in answers if isinstance(answer, Decreed)}
    assert len(decrees) == 1
    chosen = change_of(decrees.pop()).epoch
    assert chosen in (one, other) and world.voters() == list(chosen.nodes)


def test_a_change_of_another_epoch_than_the_next_is_refused() -> None:
    world = ChangingWorld([N4])
    late = world.epoch(1, N1, N2, N3)
    world.change(N1, N1, N2, N4)
    mark = world.propose(N1, replace(late, number=3), replace(late, number=2))
    world.run(100)
    assert isinstance(world.answers[mark][0], Failed)


def test_nobody_claims_the_voters_by_name_and_everybody_can_read_them() -> None:
    world = ChangingWorld([N4])
    assert isinstance(world.claim(N1, claim("$members@1")), Failed)
    world.change(N1, N1, N2, N4)
    read = world.ask(N4, GetRequest(world.new_id(), 1_000, members_key(1)))
    assert isinstance(read, Decreed) and change_of(read.decree).epoch.nodes == (N1, N2, N4)
    page = world.ask(N4, ListRequest(world.new_id(), 1_000, "$members", "", 10))
    assert isinstance(page, ListPage) and [d.key for d in page.decrees] == [members_key(1)]
    everything = world.ask(N4, ListRequest(world.new_id(), 1_000, "", "", 10))
    assert isinstance(everything, ListPage) and everything.decrees == ()
