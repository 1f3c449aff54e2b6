"""The feed of a node whose disk failed is served only as far as it is durable."""

from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import FeedPage, Pull
from decreed.registry.wire.requests import ClaimRequest, Position, WatchPage, WatchRequest

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
    disk_id = world.replica(N1).node.identity.disk_id
    request = WatchRequest(world.new_id(), 300, "", Position(N1, disk_id, 0), 10)
    page = world.ask("n1", request)
    assert isinstance(page, WatchPage)
    assert [decree.key for decree in page.decrees] == ["a"]
    assert page.position.index == 1
    again = world.ask("n1", WatchRequest(world.new_id(), 300, "", page.position, 10))
    assert isinstance(again, WatchPage)
    assert (again.decrees, again.position.index) == ((), 1)
