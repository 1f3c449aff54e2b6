"""A record that is gone from a disk: who finds it, and that the node is silent about it then."""

from decreed.registry.errors import Damaged
from decreed.registry.paxos.messages import Accept, Accepted, Commit, Prepare, Promise
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.unserved import DamagedInstance, WithheldInstance
from decreed.registry.wire.peers import FeedPage, Fetch, Fetched, PeerMessage, Query, QueryAnswer
from decreed.registry.wire.requests import (
    Decreed,
    Failed,
    GetRequest,
    WatchPage,
    WatchRequest,
)
from decreed.storage.layout import instance_key

from ...support.scrubbed import scrub, world_with
from ...support.world import World, claim, config, stored

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
KEY = Key("b")


def lose_row(world: World, node: NodeId, key: Key = KEY) -> None:
    """Have a disk lose the record of a key without a trace, in memory too."""
    disk = world.machines[node].disk
    disk.write({instance_key(key): None})
    disk.damages += 1


def held(world: World, node: NodeId, key: Key = KEY) -> object:
    storage = world.machines[node].storage
    assert storage is not None
    return storage.load([key])[key]


def answers(world: World, key: Key = KEY) -> list[PeerMessage]:
    """What n1 answers to a question, a prepare and an accept for a key."""
    ballot = Ballot(99, Process(N3, 9))
    decree = Decree.of(claim(key, b"another"), ballot, 0)
    sent = len(world.sent)
    for message in (Query(1, (key,)), Prepare(key, ballot), Accept(key, ballot, decree)):
        world.post(N1, FromPeer(N3, message))
    world.settle()
    told = [message for sender, _, message in world.sent[sent:] if sender == N1]
    return [m for m in told if isinstance(m, Promise | Accepted | Commit | QueryAnswer)]


def hide_decrees(world: World) -> None:
    """Let nobody tell a decree that was asked for."""
    world.lose = lambda _, __, message: isinstance(message, Fetched | Commit)


def test_what_a_scrub_finds_gone_is_withheld_until_the_decree_comes() -> None:
    world = world_with("a", KEY, "c")
    right, feed_end = stored(world, "n1", KEY), world.replica("n1").node.feed_end
    hide_decrees(world)
    lose_row(world, N1)
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired, report.unrepaired) == (1, 0, (KEY,))
    assert answers(world) == []
    read = world.ask("n1", GetRequest(world.new_id(), 1_000, KEY))
    assert isinstance(read, Failed) and read.code == Damaged.code
    assert "learned here, and the disk has lost it" in read.message
    world.lose = lambda *_: False
    world.run(2 * world.config.timing.finish_ms)
    assert stored(world, "n1", KEY) == right
    assert world.replica("n1").node.feed_end == feed_end, "the feed names it already"
    assert "withheld" not in world.replica("n1").pending_work()


def test_the_silence_about_what_is_gone_outlives_a_restart() -> None:
    world = world_with("a", KEY)
    right, feed_end = stored(world, "n1", KEY), world.replica("n1").node.feed_end
    hide_decrees(world)
    lose_row(world, N1)
    scrub(world, "n1")
    world.crash(N1)
    world.boot(N1)
    world.run(1_000)
    assert isinstance(held(world, N1), WithheldInstance) and answers(world) == []
    world.lose = lambda *_: False
    assert scrub(world, "n1").is_sound
    assert stored(world, "n1", KEY) == right
    assert world.replica("n1").node.feed_end == feed_end


def test_no_other_decree_ends_the_silence_about_what_is_gone() -> None:
    world = world_with("a", KEY)
    hide_decrees(world)
    lose_row(world, N1)
    scrub(world, "n1")
    ballot = Ballot.first(Process(N3, 9))
    other = Decree.of(claim(KEY, b"another", b"another"), ballot, 0)
    world.post(N1, FromPeer(N3, Commit(KEY, other)))
    world.settle()
    assert isinstance(held(world, N1), WithheldInstance)
    assert any("another decree" in alarm and "'b'" in alarm for alarm in world.alarms)


def test_a_node_alone_finds_by_its_own_feed_what_is_gone_and_chooses_nothing_else() -> None:
    world = World(config(1))
    world.freeze("n1", KEY)
    world.run(1_000)
    lose_row(world, N1)
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired, report.unrepaired) == (1, 0, (KEY,))
    answer = world.claim("n1", claim(KEY, b"another", b"another"))
    assert isinstance(answer, Failed) and answer.code == Damaged.code


def test_a_sound_feed_names_nothing_that_is_gone() -> None:
    world = World(config(1))
    for n in range(40):
        world.freeze("n1", f"k{n}")
    world.run(1_000)
    report = scrub(world, "n1")
    assert report.is_sound and report.harmed == 0 and world.alarms == []


def behind(world: World, restarted: bool) -> None:
    """n3 was down when KEY was chosen. n1 has lost its record; n3 hears of nothing but n1's feed."""
    world.crash(N3)
    world.freeze("n1", KEY)
    world.run(2_000)
    if restarted:
        world.crash(N1)
        world.boot(N1)
    lose_row(world, N1)
    world.lose = lambda sender, to, message: (
        (to == N3 and sender == N2 and isinstance(message, FeedPage | Commit))
        or (to == N1 and isinstance(message, Fetched))
    )
    world.boot(N3)


def test_who_serves_a_feed_finds_what_is_gone_and_names_it() -> None:
    for restarted in (False, True):  # a page from memory, and one from the disk
        world = world_with("a")
        behind(world, restarted)
        world.run(5_000)
        assert isinstance(held(world, N1), WithheldInstance), restarted
        named = [m for s, t, m in world.sent if (s, t) == (N1, N3) and isinstance(m, Fetched)]
        assert any(m.unreadable == (KEY,) for m in named), restarted
        assert stored(world, "n3", KEY).learned is not None, "it was told by n2"
        assert world.replica("n3").catchup.cursor(N1) == world.replica("n1").node.feed_end
        assert any("'b'" in alarm and "gone" in alarm for alarm in world.alarms)
        assert answers(world) == []


def test_a_watch_that_comes_to_an_entry_finds_what_is_gone() -> None:
    world = world_with("a", KEY, "c")
    hide_decrees(world)
    lose_row(world, N1)
    start = world.at_entry(N1, 0)
    page = world.ask("n1", WatchRequest(world.new_id(), 1_000, "", start, 10))
    assert isinstance(page, WatchPage)
    assert [decree.key for decree in page.decrees] == ["a", "c"]
    assert isinstance(held(world, N1), WithheldInstance) and answers(world) == []
    assert any("'b'" in alarm and "gone" in alarm for alarm in world.alarms)


def test_what_is_asked_for_and_was_never_told_is_not_gone() -> None:
    world = world_with("a")
    world.post(N1, FromPeer(N3, Fetch((Key("unheard"),))))
    world.settle()
    assert world.alarms == [] and "withheld" not in world.replica("n1").pending_work()


def test_two_nodes_that_cannot_tell_a_decree_are_not_asked_in_turns_without_a_pause() -> None:
    world = world_with("a")
    world.crash(N3)
    world.freeze("n1", KEY)
    world.run(2_000)
    for node in (N1, N2):
        world.machines[node].disk.flip(instance_key(KEY), 9)
    world.boot(N3)
    sent = len(world.sent)
    world.run(7_000)
    asked = [m for s, _, m in world.sent[sent:] if s == N3 and isinstance(m, Fetch)]
    assert 0 < len(asked) < 30


def test_a_vote_whose_record_is_gone_is_found_by_its_note_at_the_next_start() -> None:
    world = world_with("a")
    world.crash(N2)
    key, ballot = Key("half"), Ballot.first(Process(N3, 9))
    decree = Decree.of(claim(key, bytes(9_000)), ballot, 0)  # so long that it has a row of its own
    world.post(N1, FromPeer(N3, Accept(key, ballot, decree)))
    world.settle()
    assert stored(world, "n1", key).accepted is not None
    world.crash(N1)
    lose_row(world, N1, key)
    for _ in range(2):
        world.boot(N1)
        world.run(500)
        assert isinstance(held(world, N1, key), DamagedInstance)
        assert key in world.replica("n1").pending_work()["in doubt"], "class promises report it"
        assert answers(world, key) == []
        world.crash(N1)
    world.boot(N1)
    world.run(500)
    report = scrub(world, "n1")
    assert (report.harmed, report.unrepaired) == (1, (key,))
    world.boot(N2)
    world.run(500)
    chosen = world.freeze("n2", key).decree
    world.run(1_000)
    assert scrub(world, "n1").is_sound
    assert stored(world, "n1", key).learned == chosen
    read = world.ask("n1", GetRequest(world.new_id(), 1_000, key))
    assert isinstance(read, Decreed)
