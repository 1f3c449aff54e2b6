"""The feed of a node whose disk failed is served only as far as it is durable."""

from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.step.effects import Send
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import FeedPage, Fetch, Pull
from decreed.registry.wire.requests import ClaimRequest, WatchPage, WatchRequest

from ...support.batches import step
from ...support.lookup import look_up
from ...support.world import World, claim, stored

N1, N2 = NodeId("n1"), NodeId("n2")
BALLOT = Ballot(5, Process(N2, 1))


def failed_after_an_entry_without_a_sync() -> World:
    """n1 has learned `a` durably and `b` not yet; then its disk fails."""
    world = World()
    world.freeze("n1", "a")
    world.run(1_000)
    assert world.replica(N1).node.settled_feed_end == 1
    world.lose = lambda sender, to, message: N1 in (sender, to)
    world.post(N1, FromPeer(N2, Commit(Key("b"), Decree.of(claim("b"), BALLOT, 0))))
    world.settle()
    assert world.machines[N1].disk.unsynced
    world.machines[N1].disk.fail_syncs = 1
    world.send("n1", ClaimRequest(world.new_id(), 100, True, claim("c")))
    world.settle()
    assert world.replica(N1).node.failed
    assert stored(world, N1, "b").learned is not None
    world.sent.clear()
    return world


def test_a_page_of_it_ends_at_the_durable_end() -> None:
    world = failed_after_an_entry_without_a_sync()
    disk_id = world.replica(N1).node.identity.disk_id
    world.post(N1, FromPeer(N2, Pull(disk_id, 0, 10)))
    world.settle()
    (page,) = [message for _, _, message in world.sent if isinstance(message, FeedPage)]
    assert (page.next_start, page.end) == (1, 1)
    assert page.keys == ("a",)


def test_a_watch_gets_no_position_after_the_durable_end() -> None:
    world = failed_after_an_entry_without_a_sync()
    request = WatchRequest(world.new_id(), 300, "", world.at_entry(N1, 0), 10)
    page = world.ask("n1", request)
    assert isinstance(page, WatchPage)
    assert [decree.key for decree in page.decrees] == ["a"]
    assert page.position.index == 1
    again = world.ask("n1", WatchRequest(world.new_id(), 300, "", page.position, 10))
    assert isinstance(again, WatchPage)
    assert (again.decrees, again.position.index) == ((), 1)


def test_what_was_never_written_is_not_said_to_be_lost() -> None:
    """Memory has the entry of the write that failed, and no record was there that could be gone."""
    world = World()
    world.lose = lambda sender, to, message: N1 in (sender, to)
    world.machines[N1].disk.fail_writes = 1
    world.post(N1, FromPeer(N2, Commit(Key("b"), Decree.of(claim("b"), BALLOT, 0))))
    world.settle()
    assert world.replica(N1).node.failed and stored(world, N1, "b").learned is None
    world.post(N1, FromPeer(N2, Fetch((Key("b"),))))
    world.settle()
    assert not [alarm for alarm in world.alarms if "is gone" in alarm]
    assert "withheld" not in world.replica(N1).pending_work()


def test_entries_that_are_read_from_the_disk_leave_after_they_are_synced() -> None:
    """A reader that remembers more of a feed than a crash leaves refuses the node."""
    world = World()
    world.freeze("n1", "a")
    world.run(1_000)
    world.crash(N1)
    world.boot(N1)
    world.run(1_000)
    world.lose = lambda sender, to, message: N1 in (sender, to)
    world.post(N1, FromPeer(N2, Commit(Key("b"), Decree.of(claim("b"), BALLOT, 0))))
    world.settle()
    node, storage = world.replica(N1).node, world.machines[N1].storage
    assert (node.settled_feed_end, node.feed_end) == (1, 2) and storage is not None
    asked = step(world, N1, FromPeer(N2, Pull(node.identity.disk_id, 0, 10)))
    [read] = asked.reads
    told = step(world, N1, look_up(storage, read))
    pages = [out.message for out in told.after if isinstance(out, Send)]
    assert [page.keys for page in pages if isinstance(page, FeedPage)] == [("a", "b")]
    assert told.at_once == [] and told.sync
