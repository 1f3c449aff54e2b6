"""Records written without a sync are soon made durable, if necessary by a step that writes nothing."""

from decreed.registry.disk import CursorRecord
from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.step.disk_reads import FeedDone
from decreed.registry.replica.step.effects import Effects, Send
from decreed.registry.replica.step.events import Fired, FromPeer, Moment, PullFeeds
from decreed.registry.replica.step.step_builder import StepBuilder
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import FeedPage, Ping, Pull

from ...support.batches import step
from ...support.world import World, claim

N1, N2 = NodeId("n1"), NodeId("n2")
BALLOT = Ballot(5, Process(N2, 1))


def commit(key: str) -> FromPeer:
    """A peer says that `key` is decided."""
    return FromPeer(N2, Commit(Key(key), Decree.of(claim(key, claim_id=key.encode()), BALLOT, 0)))


def alone(after: str = "") -> World:
    """n1 hears from no other node, and everything that it wrote is durable."""
    world = World()
    if after:
        world.freeze("n1", "earlier", after.encode())
        world.run(1_000)
        world.crash(N1)
        world.boot(N1)
    world.run(1_000)
    world.lose = lambda *_: True
    return world


def looks(world: World) -> Effects:
    return step(world, N1, Fired(PullFeeds()))


def test_a_step_without_records_syncs_what_was_written_before() -> None:
    world = alone()
    learned = step(world, N1, commit("k"))
    assert learned.records and not learned.sync
    settling = looks(world)
    assert not settling.records and settling.sync
    assert not looks(world).sync, "there is nothing more to settle"


def test_a_step_in_between_that_writes_nothing_leaves_it_to_be_settled() -> None:
    world = alone()
    assert not step(world, N1, commit("k")).sync
    between = step(world, N1, FromPeer(N2, Ping(0, True, False)))
    assert not between.records and not between.sync
    assert looks(world).sync


def test_an_idle_feed_is_soon_durable_and_its_end_is_reported() -> None:
    world = alone()
    disk, node = world.machines[N1].disk, world.replica("n1").node
    world.post(N1, commit("k"))
    world.settle()
    assert disk.unsynced and node.settled_feed_end < node.feed_end
    world.run(3 * world.config.timing.pull_ms)
    assert not disk.unsynced
    assert node.settled_feed_end == node.feed_end


def test_a_message_that_waits_for_the_disk_waits_for_a_sync_though_nothing_is_written_with_it() -> (
    None
):
    step = StepBuilder(Moment(0, 0), 0, {})
    step.after(Send(N2, Ping(0, True, False)))
    effects = step.finish()
    assert not effects.records and effects.sync


def test_a_page_with_entries_that_are_not_durable_yet_leaves_after_a_sync() -> None:
    world = alone(after="a decree of an earlier incarnation, which is read from the disk")
    node = world.replica("n1").node
    step(world, N1, commit("k"))
    asked = step(world, N1, FromPeer(N2, Pull(node.identity.disk_id, 0, 10)))
    told = step(world, N1, FeedDone(asked.reads[0].token, (), node.feed_end))
    assert told.sync and not told.records
    assert [type(item.message) for item in told.after if isinstance(item, Send)] == [FeedPage]


def test_a_cursor_alone_is_settled_too() -> None:
    step = StepBuilder(Moment(0, 0), 0, {})
    step.note(CursorRecord(N2, bytes(16), 1))
    assert not step.finish().sync
