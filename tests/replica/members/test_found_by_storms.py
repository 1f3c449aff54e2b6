"""What storms with changes of members have found, each as one interleaving."""

from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.members.seats import Seats
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Key, NodeId, Process
from decreed.registry.wire.peers import FeedPage, SeatTold, StatePage
from decreed.registry.wire.requests import Decreed, GetRequest, ListPage, ListRequest
from decreed.storage.layout import instance_key

from ...support.changed import N1, N2, N3, N4, decree_of, prepared, sealed, step
from ...support.changing import ChangingWorld
from ...support.world import stored

KEY = Key("k")
BALLOT = Ballot.first(Process(N2, 9))


def read(world: ChangingWorld, node: NodeId) -> object:
    return world.ask(node, GetRequest(world.new_id(), 2_000, KEY))


def passed_over() -> ChangingWorld:
    """KEY is chosen, and n3 has read the feeds of the others while it could not read its own record."""
    world = ChangingWorld()
    world.post(N3, prepared(N2, KEY, BALLOT))
    world.settle()
    world.machines[N3].disk.lose(instance_key(KEY))
    world.freeze(N1, KEY)
    world.freeze(N1, "later")
    world.run(5_000)
    assert stored(world, N3, "later").learned is not None, "one bad record stops no feed"
    world.machines[N3].disk.restore()
    assert stored(world, N3, KEY).learned is None
    return world


def test_M08_a_cursor_passes_over_no_key_that_could_not_be_learned() -> None:
    """The record is legible again when n3 becomes the only voter: it must not pass for an empty one."""
    world = passed_over()
    world.change(N1, N3)
    assert world.voters() == [N3]
    assert isinstance(read(world, N3), Decreed)


def test_M08_what_was_passed_over_is_learned_after_a_restart() -> None:
    world = passed_over()
    world.crash(N3)
    world.boot(N3)
    world.run(5_000)
    assert stored(world, N3, KEY).learned is not None
    assert "pulling" not in world.replica(N3).pending_work()


def test_M08_a_cursor_moves_on_when_what_was_passed_over_is_learned() -> None:
    world = passed_over()
    feeds = world.replica(N3).parts.catchup
    assert feeds.cursor(N1) < feeds.read_end(N1) and feeds.passed_over() == {KEY}
    assert isinstance(read(world, N3), Decreed)
    world.run(1_000)
    assert feeds.passed_over() == frozenset()
    assert feeds.cursor(N1) == feeds.read_end(N1) == world.replica(N1).node.feed_end


def test_M12_a_list_at_a_voter_that_is_not_ready_leaves_nothing_out() -> None:
    """What it holds is no answer, so its peers must not leave out what it holds as well."""
    world = ChangingWorld([N4])
    keys = [world.freeze(N1, f"list/{number}").decree.key for number in range(5)]
    world.run(1_000)
    world.lose = lambda _, to, message: to == N1 and isinstance(message, StatePage)
    world.change(N2, N1, N2, N4)
    assert world.voters() == [N2, N4]
    page = world.ask(N1, ListRequest(world.new_id(), 5_000, "list", "", 100))
    assert isinstance(page, ListPage)
    assert [decree.key for decree in page.decrees] == keys


def test_M22_a_node_whose_disk_has_failed_tells_no_seat_that_is_not_durable() -> None:
    """It would be refused when it starts again, forever, as a directory that was rolled back."""
    world = sealed()
    world.lose = lambda *_: False
    world.machines[N4].disk.fail_writes = 1
    world.run(5_000)
    assert world.replica(N4).node.failed and world.replica(N4).node.seat.ready == 1
    world.run(30_000)
    seats: Seats = world.replica(N1).parts.seats
    told = seats.told_by(N4)
    assert told is None or told.ready is None
    assert not [m for sender, _, m in world.sent if sender == N4 and _tells_readiness(m)]
    world.crash(N4)
    world.boot(N4)
    world.run(5_000)
    assert world.voters() == [N1, N2, N4] and seats.refused == {}


def _tells_readiness(message: object) -> bool:
    return isinstance(message, SeatTold) and message.ready == 1


def test_M19_what_was_asked_of_a_voter_that_is_left_is_not_awaited_from_it() -> None:
    """A decree that is awaited from nobody any more would never be fetched from others."""
    world = ChangingWorld([N4])
    world.lose = lambda sender, to, message: (
        (sender, to) == (N3, N1) and isinstance(message, FeedPage)
    )
    world.freeze(N3, KEY)
    world.change(N1, N1, N2, N4)
    assert world.voters() == [N1, N2, N4]
    world.run(10_000)
    assert N3 not in world.replica(N1).node.sources
    assert "pulling" not in world.replica(N1).pending_work()


def test_M12_a_list_at_a_voter_whose_disk_has_failed_counts_no_answer_of_its_own() -> None:
    """It was not ready when its disk failed, and one answer is enough in this epoch."""
    world = ChangingWorld([N4])
    world.lose = lambda _, to, message: to == N1 and isinstance(message, StatePage)
    world.change(N2, N1, N2, N4, prepare=1, accept=3)
    assert world.voters() == [N2, N4]
    world.machines[N1].disk.fail_writes = 1
    world.post(N1, FromPeer(N2, Commit(KEY, decree_of(KEY, BALLOT))))
    world.settle()
    assert world.replica(N1).node.failed
    world.lose = lambda sender, to, _: {sender, to} == {N1, N2} or {sender, to} == {N1, N4}
    page = world.ask(N1, ListRequest(world.new_id(), 1_000, "", "", 100))
    assert not isinstance(page, ListPage)


def test_M12_a_list_at_a_voter_whose_disk_failed_as_it_became_ready_counts_no_answer_of_its_own() -> (
    None
):
    """It is ready in memory alone, and what it has read of feeds for that is not on its disk."""
    world = sealed()
    world.lose = lambda *_: False
    world.machines[N4].disk.fail_writes = 1
    world.run(5_000)
    node = world.replica(N4).node
    assert node.failed and node.vote_epoch == 1
    lists = world.replica(N4).parts.lists
    world.lose = lambda _, to, __: to == N4
    asked = world.send(N4, ListRequest(world.new_id(), 1_000, "", "", 100))
    world.run(0)
    [read] = lists._reads.values()
    assert N4 in read.answers and N4 not in lists._voters(read, {N1, N4})
    assert world.answers[asked] == []


def test_M20_a_late_word_of_the_disk_that_was_replaced_is_none_of_the_second_disks() -> None:
    """The first disk of n2 was in its third life; a message of it comes when the second one votes."""
    world = ChangingWorld([N4])
    world.change(N1, N1, N2, N4)
    for _ in range(2):
        world.crash(N2)
        world.boot(N2)
    world.run(1_000)
    first = world.replica(N2).node.identity.disk_id
    world.wipe(N2)
    world.joiners.add(N2)
    world.boot(N2)
    world.run(1_000)
    world.disks[N2] = world.replica(N2).node.identity.disk_id
    world.change(N1, N1, N2, N4)
    assert world.voters() == [N1, N2, N4]
    effects = step(world, N1, FromPeer(N2, SeatTold(first, 3, 1, 1, 0)))
    assert effects.alarms == [] and N2 not in world.replica(N1).parts.seats.refused
    told = world.replica(N1).parts.seats.told_by(N2)
    assert told is not None and (told.incarnation, told.ready) == (1, 2)
