"""A node that joins and cannot be told the feeds of voters says so, and why, and the way out."""

from decreed.registry.replica.members.preflight import CAUGHT_UP
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.members import ChangePlan, FindingKind, MembersReport, MembersRequest
from decreed.registry.wire.peers import FeedPage, FeedUnread, Fetched
from decreed.registry.wire.requests import Decreed, StatusRequest
from decreed.registry.wire.status import StatusReport
from decreed.storage.layout import feed_key
from decreed.storage.memory import MemoryDisk

from ...support.changing import ChangingWorld
from ...support.machine import Machine
from .test_changing import request

N1, N2, N3, N4, N5 = (NodeId(f"n{number}") for number in range(1, 6))


def world_with_lost_feeds(*nodes: NodeId, before: tuple[NodeId, ...] = ()) -> ChangingWorld:
    """These voters cannot read the beginning of their feeds when n4 joins; others did before."""
    world = ChangingWorld(before)
    for number in range(20):
        world.freeze("n1", f"k{number}")
    world.run(2_000)
    for node in (N1, N2, N3):
        world.crash(node)
        if node in nodes:
            world.machines[node].disk.lose(feed_key(0))
    for node in (N1, N2, N3):
        world.boot(node)
    world.machines[N4] = Machine(MemoryDisk(N4))
    world.boot(N4)
    world.disks[N4] = world.replica(N4).node.identity.disk_id
    world.run(10_000)
    return world


def status(world: ChangingWorld, node: str) -> StatusReport:
    answer = world.ask(node, StatusRequest(world.new_id()))
    assert isinstance(answer, StatusReport)
    return answer


def report(world: ChangingWorld, node: str) -> MembersReport:
    answer = world.ask(node, MembersRequest(world.new_id(), 5_000))
    assert isinstance(answer, MembersReport), answer
    return answer


def test_who_stays_behind_says_which_feeds_cannot_be_read_and_the_way_out() -> None:
    world = world_with_lost_feeds(N1, N2, N3)
    assert world.replica(N4).node.feed_end == 0
    said = status(world, N4)
    assert said.behind == 20
    assert "n1 n2 n3 cannot read what is to be told of the feed from entry 0 on" in said.trouble
    assert "a block of n1 cannot be read" in said.trouble
    assert "decreed member replace n1 NODE" in said.trouble
    assert "docs/recovery.md" in said.trouble


def test_members_are_shown_with_it_and_a_change_that_waits_says_it() -> None:
    world = world_with_lost_feeds(N1, N2, N3)
    (joiner,) = (seat for seat in report(world, N1).seats if seat.node == N4)
    assert joiner.behind == 20 and "cannot read what is to be told" in joiner.trouble
    for node in (N1, N2, N3):  # as if there were more than is waited for
        world.replica(node).node.settled_feed_end += CAUGHT_UP
    answer = world.ask(N1, request(world, N1, N2, N4))
    assert isinstance(answer, ChangePlan)
    (waits,) = (f.text for f in answer.findings if f.kind == FindingKind.WAITS)
    assert waits.startswith("n4 is 1,044 behind: n1 n2 n3 cannot read")


def test_the_log_says_it_once_on_both_sides_and_the_reads_are_counted() -> None:
    world = world_with_lost_feeds(N1, N2, N3)
    of_n1 = [text for text in world.alarms if "feed from entry" in text and "n1" in text]
    assert len([text for text in of_n1 if "is damaged" in text and "to be told" not in text]) == 1
    assert len([text for text in of_n1 if text.startswith("n1 cannot read")]) == 1
    said = status(world, N1)
    assert said.met_damage >= 2
    assert said.first_damage.startswith("feed from entry 0 on in n1 is damaged")


def test_one_sound_feed_is_enough_to_catch_up_and_its_lag_counts_at_all_voters() -> None:
    world = world_with_lost_feeds(N1, N2)
    assert world.replica(N4).node.feed_end == 20
    said = status(world, N4)
    assert said.behind == 0 and "n1 n2 cannot read" in said.trouble
    for asked in (N1, N2, N3):
        (joiner,) = (seat for seat in report(world, asked).seats if seat.node == N4)
        assert joiner.behind == 0


def test_what_is_wrong_is_over_when_the_feed_can_be_read_again() -> None:
    world = world_with_lost_feeds(N1, N2, N3)
    for node in (N1, N2, N3):
        world.machines[node].disk.restore()
    world.run(10_000)
    assert world.replica(N4).node.feed_end == 20
    assert "cannot read" not in status(world, N4).trouble


def test_a_node_that_had_caught_up_takes_the_place_of_a_voter_and_others_can_join_then() -> None:
    world = world_with_lost_feeds(N1, N2, N3, before=(N5,))
    world.ask(N1, request(world, N1, N2, N5))
    world.run(2_000)
    world.meet()
    world.run(10_000)
    assert world.voters() == [N1, N2, N5]
    assert world.replica(N4).node.feed_end >= 20
    answer = world.ask(N1, request(world, N1, N4, N5, base=1))
    assert isinstance(answer, Decreed), answer
    world.run(2_000)
    world.meet()
    world.run(10_000)
    assert sorted(world.voters()) == [N1, N4, N5]
    assert world.replica(N4).node.seat.ready == 2


def test_a_node_that_reads_one_sound_voter_can_take_the_place_of_another() -> None:
    world = world_with_lost_feeds(N1, N2)
    answer = world.ask(N1, request(world, N2, N3, N4))
    assert isinstance(answer, Decreed), answer
    world.run(2_000)
    world.meet()
    world.run(10_000)
    assert sorted(world.voters()) == [N2, N3, N4]


def joining_without(lost: type) -> ChangingWorld:
    """A cluster with one key, which n4 joins while all messages of a kind are lost."""
    world = ChangingWorld()
    world.freeze("n1", "k")
    world.lose = lambda _, __, message: isinstance(message, lost)
    world.machines[N4] = Machine(MemoryDisk(N4))
    world.boot(N4)
    world.run(1_000)
    return world


def test_a_decree_that_is_named_twice_as_unreadable_is_withheld_once() -> None:
    """A feed may have a key twice, as it was learned again after its record was lost."""
    world = joining_without(Fetched)
    key = Key("k")
    world.post(N4, FromPeer(N1, Fetched((), (key, key))))
    world.settle()
    assert list(world.replica(N4).parts.withholding.keys) == [key]


def test_only_an_answer_about_the_page_that_is_awaited_of_this_directory_is_a_fault() -> None:
    """One that comes late may be about a page that was read since, or of a directory that is gone."""
    world = joining_without(Fetched)
    disk, faults = world.replica(N1).node.identity.disk_id, world.replica(N4).parts.catchup
    for late in (FeedUnread(disk, 1, "damaged"), FeedUnread(b"another disk id.", 0, "damaged")):
        world.post(N4, FromPeer(N1, late))
        world.settle()
        assert faults.trouble == ""
    world.post(N4, FromPeer(N1, FeedUnread(disk, 0, "damaged")))
    world.settle()
    assert "n1 cannot read" in faults.trouble


def test_M08_a_late_page_of_another_directory_moves_no_cursor() -> None:
    """Its positions are those of another feed."""
    world = joining_without(FeedPage)
    assert N1 in world.replica(N4).pending_work()["pulling"]
    disk = world.replica(N1).node.identity.disk_id
    for disk_id, cursor in ((b"another disk id.", 0), (disk, 1)):
        world.post(N4, FromPeer(N1, FeedPage(disk_id, 0, 1, 1, (), b"")))
        world.settle()
        assert world.replica(N4).catchup.cursor(N1) == cursor
