"""A watch gets decrees before they are durable, and still misses none after a crash."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.feed.watch_positions import (
    AHEAD_BITS,
    DURABLE_BITS,
    INCARNATION_BITS,
    index_of,
    number_of,
)
from decreed.registry.replica.step.disk_reads import ReadFailed
from decreed.registry.replica.step.effects import Effects, Reply
from decreed.registry.replica.step.events import Expire, Fired, FromClient, FromPeer
from decreed.registry.replica.step.node import Node
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.requests import Position, WaitRequest, WatchPage, WatchRequest

from ...support.batches import step
from ...support.world import World, claim

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
BALLOT = Ballot(5, Process(N2, 1))


def commit(key: str) -> FromPeer:
    """A peer says that `key` is decided."""
    return FromPeer(N2, Commit(Key(key), Decree.of(claim(key, claim_id=key.encode()), BALLOT, 0)))


@dataclass
class Watched:
    """n1 of a cluster, which learns only from its peers, and a client that watches it."""

    world: World
    position: Position

    def learn(self, *keys: str) -> None:
        """Let n1 learn keys from a peer, without a sync."""
        for key in keys:
            self.world.post(N1, commit(key))
            self.world.settle()

    def look(self) -> list[str]:
        """The next keys for the watch, without a wait; it continues after them."""
        page = self.world.ask("n1", WatchRequest(self.world.new_id(), 20, "", self.position, 10))
        assert isinstance(page, WatchPage) and not page.lost
        self.position = page.position
        return [decree.key for decree in page.decrees]

    def crash(self, kept: int = 0) -> None:
        """Crash n1; its disk keeps that many of the unsynced batches."""
        self.world.machines[N1].disk.crash(kept)
        self.world.crash(N1)
        self.world.boot(N1)

    @property
    def node(self) -> Node:
        return self.world.replica(N1).node


@pytest.fixture
def watched() -> Watched:
    world = World()
    world.freeze("n1", "a")
    world.run(1_000)
    world.lose = lambda sender, to, message: N1 in (sender, to)
    assert world.replica(N1).node.settled_feed_end == 1
    return Watched(world, world.at_entry(N1, 1))


def test_a_watch_continues_after_entries_that_are_not_durable_yet_and_gets_none_twice(
    watched: Watched,
) -> None:
    watched.learn("b")
    assert watched.look() == ["b"]
    assert watched.node.settled_feed_end == 1, "nothing was synced for it"
    watched.learn("c")
    assert watched.look() == ["c"]
    assert watched.look() == []


def test_a_position_of_an_idle_watch_is_plain_once_all_is_durable(watched: Watched) -> None:
    watched.learn("b")
    assert watched.look() == ["b"]
    watched.world.run(2_000)
    watched.look()
    assert watched.position.index == watched.node.settled_feed_end == 2


def test_entries_that_a_crash_took_are_sent_again_at_their_new_place(watched: Watched) -> None:
    watched.learn("b", "c")
    assert watched.look() == ["b", "c"]
    watched.crash()
    watched.learn("d", "c", "b")
    assert watched.look() == ["d", "c", "b"]


def test_entries_that_a_crash_left_are_not_sent_again(watched: Watched) -> None:
    watched.learn("b", "c", "d")
    assert watched.look() == ["b", "c", "d"]
    watched.crash(kept=2)
    watched.learn("e", "d")
    assert watched.look() == ["e", "d"]


def test_a_position_from_two_incarnations_ago_counts_as_far_as_it_was_durable(
    watched: Watched,
) -> None:
    watched.learn("b", "c")
    assert watched.look() == ["b", "c"]
    watched.crash()
    watched.learn("d", "c", "b")
    watched.world.run(2_000)
    watched.crash()
    assert watched.look() == ["d", "c", "b"]


def test_a_watch_of_a_node_whose_disk_failed_goes_back_to_the_durable_end(
    watched: Watched,
) -> None:
    watched.learn("b")
    assert watched.look() == ["b"]
    watched.world.machines[N1].disk.fail_syncs = 1
    watched.world.run(2_000)
    assert watched.node.failed
    assert watched.look() == []
    assert watched.position.index == 1
    watched.crash()
    watched.learn("c", "b")
    assert watched.look() == ["c", "b"]


def test_a_position_that_was_never_sent_is_lost(watched: Watched) -> None:
    watched.learn("b")
    assert watched.look() == ["b"]
    number = watched.position.index
    assert index_of(watched.node, number) == 2
    assert index_of(watched.node, number + 1) is None
    assert index_of(watched.node, 3) is None
    identity = watched.node.identity
    watched.node.identity = replace(identity, incarnation=identity.incarnation - 1)
    assert index_of(watched.node, number) is None, "of an incarnation that has not begun"


def expiry(effects: Effects) -> Fired:
    """The timer at the deadline of a request that a step received."""
    (timer,) = [wanted.timer for wanted in effects.timers if isinstance(wanted.timer, Expire)]
    return Fired(timer)


def page_of(effects: Effects) -> WatchPage:
    (page,) = [item.answer for item in effects.at_once if isinstance(item, Reply)]
    assert isinstance(page, WatchPage) and not page.lost
    return page


def test_a_decree_learned_in_the_step_in_which_a_watch_runs_out_is_sent_next(
    watched: Watched,
) -> None:
    request = WatchRequest(watched.world.new_id(), 500, "", watched.position, 10)
    over = expiry(step(watched.world, N1, FromClient(1, (request,))))
    page = page_of(step(watched.world, N1, commit("b"), over))
    assert (page.decrees, page.position.index) == ((), 1)


def test_a_watch_that_runs_out_during_its_read_continues_from_its_position(
    watched: Watched,
) -> None:
    watched.learn("b")
    request = WatchRequest(watched.world.new_id(), 500, "", watched.position, 10)
    asked = step(watched.world, N1, FromClient(1, (request,)))
    assert asked.reads
    page = page_of(step(watched.world, N1, expiry(asked)))
    assert (page.decrees, page.position) == ((), watched.position)
    assert watched.look() == ["b"]


def test_a_node_whose_disk_failed_sends_no_position_after_the_durable_end(
    watched: Watched,
) -> None:
    """Wherever its feed ended by then."""
    watched.world.machines[N1].disk.fail_syncs = 1
    watched.learn("b")
    watched.world.run(2_000)
    assert watched.node.failed and watched.node.settled_feed_end == 1
    watched.node.feed_end = 2
    request = WatchRequest(watched.world.new_id(), 500, "", None, 10)
    assert page_of(step(watched.world, N1, FromClient(1, (request,)))).position.index == 1


def test_no_position_is_sent_that_overflows(watched: Watched) -> None:
    node, identity = watched.node, watched.node.identity
    node.settled_feed_end = (1 << DURABLE_BITS) - 1
    node.identity = replace(identity, incarnation=(1 << INCARNATION_BITS) - 1)
    node.feed_end = node.settled_feed_end + 1
    number = number_of(node, node.feed_end)
    assert number is not None and number < 1 << 63
    assert index_of(node, number) == node.feed_end
    node.identity = replace(identity, incarnation=1 << INCARNATION_BITS)
    assert number_of(node, node.feed_end) is None
    node.identity = identity
    node.settled_feed_end += 1
    node.feed_end += 1
    assert number_of(node, node.feed_end) is None


def test_a_position_that_fits_no_number_waits_for_the_disk(watched: Watched) -> None:
    node = watched.node
    most = node.settled_feed_end + (1 << AHEAD_BITS) - 1
    assert number_of(node, most) is not None
    assert number_of(node, most + 1) is None
    request = WatchRequest(watched.world.new_id(), 500, "", watched.position, 1000)
    mark = watched.world.send("n1", request)
    watched.world.settle()
    keys = [f"k/{n}" for n in range(1 << AHEAD_BITS)]
    for key in keys:
        watched.world.post(N1, commit(key))
    watched.world.settle()
    (page,) = watched.world.answers[mark]
    assert isinstance(page, WatchPage) and [decree.key for decree in page.decrees] == keys
    assert page.position.index == 1 + len(keys)
    assert not watched.world.machines[N1].disk.unsynced


@pytest.mark.parametrize("kind", ["watch", "wait"])
def test_a_node_wants_commits_while_a_request_waits_for_decrees(kind: str) -> None:
    world = World()
    node = world.replica(N1).node
    assert not node.wants_commits
    since = world.at_entry(N1, 0)
    watch = WatchRequest(world.new_id(), 10_000, "", since, 10)
    world.send("n1", watch if kind == "watch" else WaitRequest(world.new_id(), 10_000, Key("k")))
    world.settle()
    assert node.wants_commits
    world.run(8_000)
    assert node.wants_commits, "a sweep does not forget who still waits"
    world.run(10_000)
    assert not node.wants_commits


def test_a_watch_that_was_answered_is_not_looked_at_again() -> None:
    world = World()
    since = world.at_entry(N1, 0)
    mark = world.send("n1", WatchRequest(world.new_id(), 10_000, "", since, 10))
    world.settle()
    watches = world.replica(N1).parts.watches
    assert watches.parked
    world.freeze("n1", "k")
    assert world.answers[mark] and not watches.parked


# -- lost positions


def watch_at(watched: Watched, index: int, feed: bytes = b"") -> WatchPage:
    """The answer of n1 to a watch that continues after a position of n1's feed."""
    since = Position(N1, feed or watched.position.feed, index)
    request = WatchRequest(watched.world.new_id(), 20, "", since, 10)
    page = watched.world.ask("n1", request)
    assert isinstance(page, WatchPage)
    return page


@pytest.mark.parametrize("ahead", [1, 2, 100])
def test_a_position_after_the_end_of_the_feed_is_lost_at_the_node_of_that_feed_too(
    watched: Watched, ahead: int
) -> None:
    """As with a copy of its directory, or after a power cut that kept less."""
    page = watch_at(watched, 1 + ahead)
    assert page.lost
    assert (page.position.node, page.position.feed) == (N1, watched.position.feed)
    assert page.position.index == 1, "the position to continue from, after a list"
    assert not watch_at(watched, 1).lost


def test_a_position_on_another_disk_of_the_same_node_is_lost(watched: Watched) -> None:
    assert watch_at(watched, 1, bytes(16)).lost


def test_a_feed_that_cannot_be_read_loses_the_watch_and_gives_a_position_to_continue_from(
    watched: Watched,
) -> None:
    watched.learn("b")
    request = WatchRequest(watched.world.new_id(), 500, "", watched.position, 10)
    asked = step(watched.world, N1, FromClient(1, (request,)))
    (read,) = asked.reads
    failed = step(watched.world, N1, ReadFailed(read.token, "a broken block"))
    (page,) = [item.answer for item in failed.at_once if isinstance(item, Reply)]
    assert isinstance(page, WatchPage) and page.lost and page.decrees == ()
