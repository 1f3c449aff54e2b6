"""M20: late words of the directory that had a name before are none of the one that has it now."""

import pytest
from msgspec.structs import replace

from decreed.registry.members import MembersChange, claim_of
from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.step.events import FromPeer, Greeted
from decreed.registry.types import Ballot, Decree, Process
from decreed.registry.wire.handshake import NO_MEMBERS
from decreed.registry.wire.peers import SeatTold, StatePage

from ...support.changed import N1, N2, N3, step
from ...support.changing import ChangingWorld

SECOND = bytes(range(16))


def sealed_by_n1() -> ChangingWorld:
    """n1 learns that another directory has the name n3 in epoch 1, and has not met it yet."""
    world = ChangingWorld()
    world.disks[N3] = SECOND
    change = MembersChange(world.epoch(1, N1, N2, N3), world.replica(N1).node.epoch, ("a:1",) * 3)
    decree = Decree.of(claim_of(change, "operator", b"id"), Ballot.first(Process(N2, 9)), 0)
    step(world, N1, FromPeer(N2, Commit(decree.key, decree)))
    return world


def second_greets(world: ChangingWorld, incarnation: int = 1) -> bytes:
    """The second directory of n3 greets n1; returns the disk id of the first."""
    first = world.replica(N3).membership.identity()
    second = replace(first, disk_id=SECOND, digest=NO_MEMBERS, incarnation=incarnation)
    step(world, N1, Greeted(4711, second, 0, None))
    assert world.replica(N1).membership.disk_of(N3) == SECOND
    return first.disk_id


def test_M08_a_late_page_of_the_first_directory_is_not_followed_by_the_feed_of_the_second() -> None:
    """What the first one had learned and left out of its page may not be in the other feed."""
    world = sealed_by_n1()
    late = StatePage(world.replica(N1).parts.taking_over.token, 1, None, 1, False, (), (), None, 0)
    second_greets(world)
    step(world, N1, FromPeer(N3, late))
    assert not world.replica(N1).node.voting


@pytest.mark.parametrize("life", [1, 3], ids=["in the same life", "in a later life"])
def test_M20_a_late_word_of_the_first_directory_is_none_of_the_seconds(life: int) -> None:
    """It would count as its readiness and its base, or make it look like an older copy of itself."""
    world = sealed_by_n1()
    first = second_greets(world, incarnation=life)
    late = FromPeer(N3, SeatTold(first, 1, 1, 1, 7, 1))
    effects = step(world, N1, late, FromPeer(N3, SeatTold(SECOND, life, 1, None, 0)))
    seats = world.replica(N1).parts.seats
    assert effects.alarms == [] and N3 not in seats.refused
    told = seats.told_by(N3)
    assert told is not None and (told.incarnation, told.ready) == (life, None)


def test_M20_a_directory_whose_name_was_given_away_is_not_the_ready_voter_of_that_name() -> None:
    """It may have taken the epoch over, as one that left, and the second one has not greeted yet."""
    world = sealed_by_n1()
    first = world.replica(N3).node.identity
    told = SeatTold(first.disk_id, first.incarnation, 1, 1, 0, first.incarnation)
    effects = step(world, N1, FromPeer(N3, told))
    step(world, N1, *effects.again)
    assert N3 not in world.replica(N1).parts.seats.ready_voters
