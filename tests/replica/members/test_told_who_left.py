"""Whether a node that lost its vote was told stays known, wherever and whenever one asks for it."""

from decreed.registry.paxos.messages import Commit
from decreed.registry.types import NodeId
from decreed.registry.wire.members import MembersReport, MembersRequest, Role
from decreed.registry.wire.peers import SeatTold
from decreed.storage.memory import MemoryDisk

from ...support.changing import ChangingWorld
from ...support.machine import Machine

N1, N2, N3, N4 = (NodeId(f"n{number}") for number in range(1, 5))


def known_of(world: ChangingWorld, asked: NodeId, left: NodeId = N3) -> int | None:
    """Which epoch a node that left knows, as another one reports."""
    answer = world.ask(asked, MembersRequest(world.new_id(), 5_000))
    assert isinstance(answer, MembersReport), answer
    (seat,) = (s for s in answer.seats if s.node == left and s.role == Role.EARLIER)
    return seat.known


def left_while_down() -> ChangingWorld:
    """n3 was down when it lost its vote, and comes back when the others need it no more."""
    world = ChangingWorld([N4])
    world.crash(N3)
    world.change(N1, N1, N2, N4, ms=10_000)
    assert known_of(world, N1) in (None, 0)
    world.boot(N3)
    world.meet()
    world.run(10_000)
    return world


def test_who_was_told_as_a_guest_is_known_as_told_when_it_has_stopped() -> None:
    world = left_while_down()
    world.crash(N3)
    world.run(2_000)
    assert [known_of(world, node) for node in (N1, N2, N4)] == [1, 1, 1]


def test_it_is_known_after_restarts_of_all_others() -> None:
    world = left_while_down()
    world.crash(N3)
    for node in (N1, N2, N4):
        world.crash(node)
        world.boot(node)
    world.meet()
    world.run(10_000)
    assert [known_of(world, node) for node in (N1, N2, N4)] == [1, 1, 1]


def test_one_that_was_not_told_itself_is_told_by_another() -> None:
    world = ChangingWorld([N4])
    world.lose = lambda sender, to, message: (
        to == N2 and sender == N3 and isinstance(message, SeatTold | Commit)
    )
    world.change(N1, N1, N2, N4, ms=10_000)
    world.crash(N3)
    world.run(2_000)
    assert world.replica(N2).parts.seats.told_by(N3) is None
    assert known_of(world, N2) == 1


def test_nobody_says_told_of_one_that_was_never_up() -> None:
    world = ChangingWorld([N4])
    world.crash(N3)
    world.change(N1, N1, N2, N4, ms=10_000)
    assert [known_of(world, node) in (None, 0) for node in (N1, N2, N4)] == [True] * 3


def test_nobody_says_told_of_one_that_told_an_earlier_epoch_and_was_down_at_the_change() -> None:
    world = ChangingWorld([N4])
    world.change(N1, N1, N2, N3)
    world.run(2_000)
    world.crash(N3)
    world.change(N1, N1, N2, N4, ms=10_000)
    assert world.replica(N1).node.seat.ready == 2
    assert [known_of(world, node) for node in (N1, N2)] == [1, 1]


def test_M20_what_a_second_directory_of_the_name_tells_does_not_count_for_the_one_that_left() -> (
    None
):
    """n4 has never met the one that left: the directory that it meets is another one."""
    world = ChangingWorld()
    world.change(N1, N1, N2, N3, ms=10_000)
    world.wipe(N3)
    world.machines[N4] = Machine(MemoryDisk(N4))
    world.boot(N4)
    world.disks[N4] = world.replica(N4).node.identity.disk_id
    world.run(5_000)
    world.change(N1, N1, N2, N4, ms=10_000)
    world.joiners.add(N3)
    world.boot(N3)
    world.meet()
    world.run(10_000)
    assert world.replica(N3).node.seat.known == 2
    assert [known_of(world, node) in (None, 0, 1) for node in (N1, N2, N4)] == [True] * 3
