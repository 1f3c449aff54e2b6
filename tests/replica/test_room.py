"""A disk that fills and empties: the soft mark, the hard mark, and the alarms, all left as met."""

from decreed.registry.config import DiskMarks
from decreed.registry.errors import NotFormed
from decreed.registry.keys import homes
from decreed.registry.paxos.messages import (
    Accepted,
    AcceptedMany,
    AcceptMany,
    Commit,
    CommitMany,
    Promise,
    PromiseClass,
)
from decreed.registry.replica.alarms import alarms_of
from decreed.registry.replica.step.disk_reads import DiskMeasured
from decreed.registry.replica.step.events import FromClient
from decreed.registry.space import CLEARS, DiskSpace, RoomLeft, room
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import (
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    Granted,
    LockRequest,
    WaitRequest,
)
from decreed.registry.wire.status import AlarmKind

from ..support.proven import wish
from ..support.world import World, claim, config

N1, N2 = NodeId("n1"), NodeId("n2")
LOW, FULL, ENOUGH = 500 << 20, 10 << 20, 10 << 30
VOTES = (Promise, Accepted, AcceptedMany, PromiseClass)


def measure(world: World, node: NodeId, free_bytes: int, **more: float) -> None:
    """The server of a node tells it how much is free."""
    told = DiskMeasured(DiskSpace(free_bytes, 100 << 30), **more)  # type: ignore[arg-type]
    world.post(node, told)
    world.settle()


def key_of(node: NodeId) -> str:
    """A key whose home is this node."""
    names = (NodeId("n1"), NodeId("n2"), NodeId("n3"))
    return next(k for n in range(99) if homes(Key(k := f"k{n}"), names)[0] == node)


def kinds(world: World, node: str) -> set[AlarmKind]:
    return {each.kind for each in alarms_of(world.replica(node).parts, world.now_ms)}


def test_a_mark_is_left_only_some_way_above_it() -> None:
    assert room(99, 100, 10) is RoomLeft.LOW and room(9, 100, 10) is RoomLeft.FULL
    just_above = int(100 * CLEARS)
    assert room(just_above, 100, 10) is RoomLeft.ENOUGH
    assert room(just_above, 100, 10, RoomLeft.LOW) is RoomLeft.LOW
    assert room(just_above + 1, 100, 10, RoomLeft.LOW) is RoomLeft.ENOUGH
    assert room(0, 0, 0) is RoomLeft.ENOUGH


def test_the_marks_of_a_small_disk_are_parts_of_it() -> None:
    assert DiskMarks().of(1 << 40) == (1 << 30, 256 << 20)
    assert DiskMarks().of(1 << 30) == ((1 << 30) * 5 // 100, (1 << 30) // 100)
    assert DiskMarks(low_percent=100, full_percent=100).of(10 << 30) == (1 << 30, 256 << 20)
    assert DiskMarks(low_bytes=0, full_bytes=0).of(1 << 40) == (0, 0)


def test_a_node_on_a_small_disk_that_is_half_empty_begins_claims() -> None:
    world = World(config(1))
    world.post(N1, DiskMeasured(DiskSpace(200 << 20, 400 << 20)))
    world.settle()
    assert not world.replica(N1).node.room
    world.post(N1, DiskMeasured(DiskSpace(3 << 20, 400 << 20)))
    world.settle()
    assert world.replica(N1).node.is_full
    [alarm] = alarms_of(world.replica(N1).parts, world.now_ms)
    assert f"{(400 << 20) // 100:,}" in alarm.text


def test_below_the_soft_mark_a_claim_is_coordinated_by_another_node() -> None:
    world = World()
    measure(world, N1, LOW)
    answer = world.claim("n1", claim(key_of(N1)))
    assert isinstance(answer, Decreed)
    assert answer.decree.ballot.process.node != "n1"


def test_below_the_soft_mark_a_node_votes() -> None:
    world = World()
    measure(world, N1, LOW)
    world.crash(NodeId("n3"))
    world.run(1_000)
    assert isinstance(world.claim("n2", claim(key_of(N2))), Decreed)


def test_a_claim_that_no_other_node_can_coordinate_says_the_way_out() -> None:
    world = World()
    for node in ("n1", "n2", "n3"):
        measure(world, NodeId(node), LOW)
    answer = world.claim("n1", claim("k"))
    assert isinstance(answer, Failed) and answer.code == NotFormed.code
    assert "disk.low_bytes" in answer.message and "by itself" in answer.message


def test_below_the_soft_mark_no_lock_is_begun() -> None:
    world = World()
    term = wish("a", b"id of a", 5_000)
    measure(world, N1, LOW)
    answer = world.ask("n1", LockRequest(world.new_id(), 1_000, "l", True, term))
    assert isinstance(answer, Failed) and answer.code == NotFormed.code
    answer = world.ask("n2", LockRequest(world.new_id(), 1_000, "l", True, term))
    assert isinstance(answer, Granted)


def test_below_the_hard_mark_a_node_votes_for_nothing() -> None:
    world = World()
    measure(world, N1, FULL)
    world.sent.clear()
    assert isinstance(world.claim("n2", claim(key_of(N2))), Decreed)
    said = [message for sender, _, message in world.sent if sender == "n1"]
    assert not any(isinstance(message, VOTES) for message in said)
    assert not world.replica("n1").node.accepts


def test_below_the_hard_mark_a_node_votes_for_no_batch() -> None:
    world = World()
    world.run(1_000)
    measure(world, N1, FULL)
    names = (NodeId("n1"), NodeId("n2"), NodeId("n3"))
    keys = [key for n in range(40) if homes(Key(key := f"b{n}"), names)[0] == N2]
    requests = tuple(
        ClaimRequest(n, 5_000, True, claim(key, b"v", key.encode()))
        for n, key in enumerate(keys, 1)
    )
    for request in requests:
        world.answers[N2, request.id] = []
    world.sent.clear()
    world.post(N2, FromClient(1, requests))
    world.run(2_000)
    assert any(isinstance(message, AcceptMany) for _, _, message in world.sent)
    said = [message for sender, _, message in world.sent if sender == "n1"]
    assert not any(isinstance(m, AcceptedMany) and len(m.refused) < len(keys) for m in said)


def test_below_the_hard_mark_reads_go_on() -> None:
    world = World()
    world.freeze("n1", "k")
    measure(world, N1, FULL)
    answer = world.ask("n1", GetRequest(world.new_id(), 1_000, Key("k")))
    assert isinstance(answer, Decreed)


def test_below_the_hard_mark_a_read_finds_what_others_have_frozen_since() -> None:
    world = World()
    world.run(1_000)
    measure(world, N1, FULL)
    key = Key(key_of(N2))
    world.claim("n2", claim(key))
    world.run(2_000)
    assert isinstance(world.ask("n1", GetRequest(world.new_id(), 5_000, key)), Decreed)


def test_below_the_hard_mark_a_node_takes_the_outcome_of_what_it_has_accepted() -> None:
    world = World()
    world.run(1_000)
    key = Key(key_of(N2))
    late = (Commit, CommitMany)
    world.delays = lambda _, to, message: (300.0 * (to == N1 and isinstance(message, late)),)
    world.claim("n2", claim(key))
    assert world.replica("n1").parts.acceptors.doubts(key)
    world.post(N1, DiskMeasured(DiskSpace(FULL, 100 << 30)))
    world.run(2_000)
    assert isinstance(world.ask("n1", GetRequest(world.new_id(), 5_000, key)), Decreed)


def test_below_the_hard_mark_a_wait_ends_when_others_freeze_its_key() -> None:
    for value in (b"v", bytes(8_192)):
        world = World()
        world.run(1_000)
        measure(world, N1, FULL)
        key, waiting = Key(key_of(N2)), world.new_id()
        world.answers[N1, waiting] = []
        world.post(N1, FromClient(1, (WaitRequest(waiting, 60_000, key),)))
        world.run(500)
        world.claim("n2", claim(key, value))
        world.run(2_000)
        assert [type(each) for each in world.answers[N1, waiting]] == [Decreed]


def test_below_the_hard_mark_a_node_learns_nothing_that_no_read_asks_for() -> None:
    world = World()
    measure(world, N1, FULL)
    before = world.replica("n1").node.feed_end
    world.claim("n2", claim(key_of(N2)))
    world.run(2_000)
    assert world.replica("n1").node.feed_end == before


def test_with_room_again_a_node_votes_and_catches_up_by_itself() -> None:
    world = World()
    measure(world, N1, FULL)
    world.claim("n2", claim(key_of(N2)))
    measure(world, N1, ENOUGH)
    world.run(2_000)
    assert world.replica("n1").node.feed_end == world.replica("n2").node.feed_end
    world.crash(NodeId("n3"))
    world.run(1_000)
    assert isinstance(world.claim("n2", claim("later", claim_id=b"l")), Decreed)


def test_what_was_promised_before_the_hard_mark_binds_after_it() -> None:
    world = World()
    world.freeze("n1", "k")
    before = dict(world.replica("n1").parts.acceptors._classes)
    measure(world, N1, FULL)
    world.run(1_000)
    measure(world, N1, ENOUGH)
    after = world.replica("n1").parts.acceptors._classes
    assert all(after[node].ballot >= held.ballot for node, held in before.items())


def test_each_alarm_is_there_as_long_as_its_reason_and_no_longer() -> None:
    world = World()
    assert kinds(world, "n1") == set()
    for free, kind in ((LOW, AlarmKind.DISK_LOW), (FULL, AlarmKind.DISK_FULL)):
        measure(world, N1, free)
        assert kinds(world, "n1") == {kind}
    measure(world, N1, ENOUGH, sync_ms=900.0, clock_ppm=-5_000.0)
    assert kinds(world, "n1") == {AlarmKind.SLOW_DISK, AlarmKind.CLOCK_RATE}
    measure(world, N1, ENOUGH)
    assert kinds(world, "n1") == set()


def test_every_alarm_has_a_way_out() -> None:
    world = World()
    measure(world, N1, FULL, sync_ms=900.0, clock_ppm=5_000.0)
    world.replica("n1").node.disputed.add("k")
    found = alarms_of(world.replica("n1").parts, world.now_ms)
    assert len(found) == 4 and all(each.text and each.way_out for each in found)
