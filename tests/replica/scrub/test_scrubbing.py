"""A scrub finds damage and differences, and takes what is damaged from others; lag is no alarm."""

import pytest

from decreed.registry.disk import InstanceRecord
from decreed.registry.errors import Disputed
from decreed.registry.keys import home
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.messages import Accept, Accepted, Commit, Prepare, Promise
from decreed.registry.replica.scrub.comparing import MAX_FAILED, TRIES
from decreed.registry.replica.step.events import FromPeer, ScrubDue
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, Proposal
from decreed.registry.unserved import DamagedInstance
from decreed.registry.wire.peers import Fetch, Fetched, PeerMessage, Scan, ScanAnswer
from decreed.registry.wire.requests import Decreed, Failed, GetRequest, StatusRequest
from decreed.registry.wire.status import StatusReport
from decreed.storage.layout import instance_key

from ...support.scrubbed import FAST, damage, lose, scrub, scrub_report, world_with
from ...support.world import World, claim, stored

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def held(world: World, node: str, key: str) -> object:
    storage = world.machines[NodeId(node)].storage
    assert storage is not None
    return storage.load([Key(key)])[Key(key)]


def other_decree(key: str) -> Decree:
    return Decree.of(claim(key, b"another", b"another"), Ballot.first(Process(N3, 9)), 0)


def swap(world: World, node: str, decree: Decree) -> None:
    """Have a node's disk hold another decree than it learned, with right checksums."""
    storage = world.machines[NodeId(node)].storage
    assert storage is not None
    storage.write([InstanceRecord(decree.key, Instance(learned=decree))])


def test_a_sound_cluster_is_found_sound_and_compared_with_all_others() -> None:
    world = world_with(*(f"k{n}" for n in range(100)))
    report = scrub(world, "n1")
    assert report.is_sound and not report.running
    assert (report.number, report.harmed, report.differing, report.faults) == (1, 0, 0, ())
    assert report.compared == (N2, N3) and report.silent == ()
    assert report.keys == report.expected == 100 and report.size > 100 * 50
    assert world.alarms == []


def test_a_damaged_decree_is_taken_from_the_others() -> None:
    world = world_with("a", "b", "c")
    right = stored(world, "n1", "b")
    damage(world, "n1", "b")
    assert isinstance(held(world, "n1", "b"), DamagedInstance)
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired, report.unrepaired) == (1, 1, ())
    assert report.is_sound
    assert stored(world, "n1", "b") == right
    assert any("'b'" in alarm for alarm in world.alarms)
    read = world.ask("n1", GetRequest(world.new_id(), 1_000, Key("b")))
    assert isinstance(read, Decreed) and read.decree == right.learned


def test_a_repair_outlives_a_restart_and_adds_nothing_to_the_feed() -> None:
    world = world_with("a", "b", "c")
    feed_end = world.replica("n1").node.feed_end
    damage(world, "n1", "b")
    scrub(world, "n1")
    assert world.replica("n1").node.feed_end == feed_end
    world.run(1_000)
    world.crash(N1)
    world.boot(N1)
    assert stored(world, "n1", "b").learned is not None
    assert scrub(world, "n1").harmed == 0


def test_what_no_row_names_is_named_by_the_others_and_repaired() -> None:
    """A block that cannot be read hides its keys; the peers have learned them."""
    world = world_with(*(f"k{n}" for n in range(10)))
    for key in ("k3", "k4"):
        lose(world, "n1", key)
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired) == (2, 2)
    assert report.faults == (
        "instances from 'k2' up to 'k4': a block of n1 cannot be read (in n1)",
    )
    assert not report.is_sound, "the block stays damaged, whatever lies over it"


def test_a_record_whose_digest_differs_from_the_feed_is_not_repaired() -> None:
    world = world_with("a", "b")
    damage(world, "n1", "b")
    for node in ("n2", "n3"):
        swap(world, node, other_decree("b"))
    report = scrub(world, "n1")
    assert (report.repaired, report.differing, report.differing_keys) == (0, 1, ("b",))
    assert isinstance(held(world, "n1", "b"), DamagedInstance)
    assert any("'b'" in alarm and "another decree" in alarm for alarm in world.alarms)


def test_two_decrees_for_one_key_are_an_alarm_that_names_the_key() -> None:
    world = world_with("a", "b", "c")
    swap(world, "n2", other_decree("b"))
    report = scrub(world, "n1")
    assert (report.differing, report.differing_keys) == (1, ("b",))
    assert not report.is_sound
    assert any("'b'" in alarm and "different decrees" in alarm for alarm in world.alarms)
    answer = world.ask("n1", GetRequest(world.new_id(), 1_000, Key("b")))
    assert isinstance(answer, Failed) and answer.code == Disputed.code


def test_lag_is_no_difference_whichever_of_two_nodes_is_behind() -> None:
    world = world_with("a")
    # n3 hears of no decree
    world.lose = lambda sender, to, message: to == N3 and not isinstance(message, Scan | ScanAnswer)
    keys = [key for key in map(Key, map(str, range(40))) if home(key, (N1, N2, N3)) != N3]
    for key in keys:
        world.freeze("n1", key)
    world.run(500)
    assert stored(world, "n3", keys[0]).learned is None
    for node in ("n1", "n3"):
        report = scrub(world, node)
        assert (report.harmed, report.differing, report.faults) == (0, 0, ()), node
    assert world.alarms == []


def half_done(world: World) -> Key:
    """n1 has accepted something that nobody else has heard of, and its record is damaged."""
    key, ballot = Key("half"), Ballot.first(Process(N3, 9))
    value = bytes(9_000)  # so long that it has a row of its own
    world.post(N1, FromPeer(N3, Accept(key, ballot, Decree.of(claim(key, value), ballot, 0))))
    world.settle()
    damage(world, "n1", key)
    return key


def votes(world: World, key: Key) -> list[PeerMessage]:
    """What n1 answers to a prepare and an accept for a key."""
    ballot = Ballot(99, Process(N3, 9))
    sent = len(world.sent)
    world.post(N1, FromPeer(N3, Prepare(key, ballot)))
    world.post(N1, FromPeer(N3, Accept(key, ballot, Decree.of(claim(key), ballot, 0))))
    world.settle()
    return [message for sender, _, message in world.sent[sent:] if sender == N1]


def test_a_lost_vote_is_neither_made_up_nor_copied_and_the_node_is_silent_about_the_key() -> None:
    world = world_with("a")
    world.crash(N2)
    key = half_done(world)
    for _ in range(2):
        report = scrub(world, "n1")
        assert (report.harmed, report.repaired, report.unrepaired) == (1, 0, (key,))
    assert isinstance(held(world, "n1", key), DamagedInstance)
    assert not [m for m in votes(world, key) if isinstance(m, Accepted | Promise)]


def test_the_decree_ends_the_silence_of_a_node_that_has_lost_its_vote() -> None:
    world = world_with("a")
    key = half_done(world)
    decree = world.freeze("n2", key).decree
    world.run(1_000)
    assert isinstance(held(world, "n1", key), DamagedInstance)
    feed_end = world.replica("n1").node.feed_end
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired) == (1, 1)
    assert stored(world, "n1", key) == Instance(learned=decree)
    assert world.replica("n1").node.feed_end == feed_end + 1, (
        "now it is in the feed, as it never was"
    )
    assert [type(message) for message in votes(world, key)] == [Commit, Commit]


def test_no_decree_is_taken_for_a_damaged_record_before_a_scrub_has_read_the_feed() -> None:
    world = world_with("a")
    damage(world, "n1", "a")
    decree = stored(world, "n2", "a").learned
    assert decree is not None
    world.post(N1, FromPeer(N2, Fetched((decree,))))
    world.settle()
    assert isinstance(held(world, "n1", "a"), DamagedInstance)


def test_a_record_that_is_gone_is_an_alarm_and_comes_back() -> None:
    world = world_with("a", "b", "c")
    right = stored(world, "n1", "b")
    storage = world.machines[N1].storage
    assert storage is not None
    disk = world.machines[N1].disk
    disk.write({instance_key(Key("b")): None})
    disk.damages += 1
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired) == (1, 1)
    assert stored(world, "n1", "b") == right
    assert any("'b'" in alarm and "gone" in alarm for alarm in world.alarms)


def test_a_voter_that_is_down_is_named_and_the_scrub_ends() -> None:
    world = world_with("a", "b")
    world.crash(N3)
    report = scrub(world, "n1")
    assert report.compared == (N2,) and report.silent == (N3,)
    assert report.is_sound


def test_a_scrub_keeps_its_pace() -> None:
    world = world_with()
    for n in range(40):
        world.freeze("n1", f"k{n:02}", bytes(100_000))
    world.run(2_000)
    began = world.now_ms
    report = scrub(world, "n1", rate=1_000_000)
    assert report.size > 4_000_000
    assert world.now_ms - began > 3_000


def test_it_begins_when_the_server_says_so_and_a_second_time_after_its_end_alone() -> None:
    world = world_with("a")
    world.post(N1, ScrubDue())
    world.settle()
    world.post(N1, ScrubDue())
    world.run(2_000)
    assert scrub_report(world, "n1").number == 1
    assert "scrubs" not in world.replica("n1").pending_work()
    assert scrub_report(world, "n2").number == 0


def test_terms_of_locks_and_changes_of_members_are_compared_too() -> None:
    world = world_with("a")
    scrub(world, "n1")
    asked = [m for _, _, m in world.sent if isinstance(m, Scan)]
    assert {scan.prefix for scan in asked} == {"$locks", "$members", ""}


def test_the_others_name_what_lies_behind_the_last_row_that_can_be_read() -> None:
    world = world_with("k1", "k2", "k3")
    lose(world, "n1", "k3")
    assert scrub(world, "n1").harmed == 1
    world = world_with("only")
    lose(world, "n1", "only")
    assert scrub(world, "n1").harmed == 1


def test_what_differs_more_than_an_answer_holds_is_asked_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("decreed.registry.replica.scrub.comparing.MAX_PAGE", 5)
    keys = [f"k{n:02}" for n in range(40)]
    world = world_with(*keys)
    gone = keys[3:37]
    world.machines[N1].disk.write({instance_key(Key(key)): None for key in gone})
    world.machines[N1].disk.damages += 1
    world.sent.clear()
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired, report.silent) == (34, 34, ())
    parts = [message for _, to, message in world.sent if to == N2 and isinstance(message, Scan)]
    assert len(parts) >= len(gone) // 5, "a walk finds such keys too, but one by one"
    assert all(stored(world, "n1", key).learned for key in keys)


def test_a_voter_that_does_not_answer_is_asked_a_few_times_and_named() -> None:
    world = world_with()
    for n in range(20):
        world.freeze("n1", f"k{n:02}", bytes(100_000))
    world.run(2_000)
    world.lose = lambda sender, to, message: to == N3 and isinstance(message, Scan)
    report = scrub(world, "n1")
    assert report.compared == (N2,) and report.silent == (N3,)
    asked = [1 for _, to, message in world.sent if to == N3 and isinstance(message, Scan)]
    assert len(asked) == TRIES * MAX_FAILED


def test_a_node_that_cannot_read_a_part_itself_does_not_hinder_the_others() -> None:
    world = world_with(*(f"k{n}" for n in range(10)))
    damage(world, "n2", "k5")
    report = scrub(world, "n1")
    assert report.is_sound and report.silent == (N2,)
    assert scrub(world, "n2").repaired == 1
    assert scrub(world, "n1").silent == ()


def test_an_answer_of_a_node_that_was_not_asked_is_left_out() -> None:
    world = world_with("a")
    world.lose = lambda sender, to, message: isinstance(message, Scan)
    scrub_report(world, "n1", begin=True, rate=FAST)
    world.run(50)
    scan = next(m for _, _, m in reversed(world.sent) if isinstance(m, Scan))
    world.post(N1, FromPeer(N1, ScanAnswer(scan.id, (other_decree("a"),), (), None)))
    world.settle()
    assert scrub_report(world, "n1").differing == 0


def test_a_scrub_that_runs_is_joined_and_may_be_hurried() -> None:
    world = world_with()
    for n in range(20):
        world.freeze("n1", f"k{n:02}", bytes(100_000))
    world.run(2_000)
    assert scrub_report(world, "n1", begin=True, rate=4_096).number == 1
    world.run(5_000)
    report = scrub(world, "n1")
    assert (report.number, report.running) == (1, False)
    assert report.keys == 20


def test_a_node_whose_disk_has_failed_repairs_nothing() -> None:
    world = world_with("a", "b")
    damage(world, "n1", "b")
    world.machines[N1].disk.fail_writes = 1
    world.claim("n2", claim("c"), here=True)
    world.run(1_000)
    assert world.replica("n1").node.failed
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired) == (1, 0)


def test_what_a_scrub_has_left_is_in_the_status_and_goes_when_the_next_one_finds_nothing() -> None:
    world = world_with("a", "b")
    asked = StatusRequest(world.new_id())
    before = world.ask("n1", asked)
    assert isinstance(before, StatusReport)
    assert (before.scrubbed_ms, before.damage) == (None, "")
    world.lose = lambda sender, to, message: isinstance(message, Fetch)
    damage(world, "n1", "b")
    scrub(world, "n1")
    found = world.ask("n1", StatusRequest(world.new_id()))
    assert isinstance(found, StatusReport)
    assert found.damage == "1 damaged record" and found.scrubbed_ms is not None
    world.lose = lambda _, __, ___: False
    scrub(world, "n1")
    found = world.ask("n1", StatusRequest(world.new_id()))
    assert isinstance(found, StatusReport) and found.damage == ""


def damage_unseen(world: World, node: str, key: str) -> None:
    """Damage a record that is in the node's memory, and stays there."""
    held(world, node, key)
    damage(world, node, key)
    world.machines[NodeId(node)].disk.damages -= 1
    assert isinstance(held(world, node, key), Instance)


def read_from_disk(world: World, node: str, key: str) -> object:
    """What is read once memory has let go of a key."""
    world.machines[NodeId(node)].disk.damages += 1
    return held(world, node, key)


def test_a_decree_that_is_still_in_memory_is_written_again() -> None:
    world = world_with("a", "b")
    right = stored(world, "n1", "b")
    damage_unseen(world, "n1", "b")
    world.lose = lambda sender, to, message: isinstance(message, Fetch)
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired) == (1, 1)
    assert read_from_disk(world, "n1", "b") == right


def test_a_vote_that_is_still_in_memory_is_written_again() -> None:
    world = world_with("a")
    world.crash(N2)
    key, ballot = Key("half"), Ballot.first(Process(N3, 9))
    decree = Decree.of(claim(key, bytes(9_000)), ballot, 0)
    world.post(N1, FromPeer(N3, Accept(key, ballot, decree)))
    world.settle()
    right = stored(world, "n1", key)
    damage_unseen(world, "n1", key)
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired) == (1, 1)
    assert read_from_disk(world, "n1", key) == right


def test_a_record_that_is_gone_and_still_in_memory_is_written_again() -> None:
    world = world_with("a", "b")
    right = stored(world, "n1", "b")
    world.machines[N1].disk.write({instance_key(Key("b")): None})
    assert stored(world, "n1", "b") == right
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired) == (1, 1)
    assert any("'b'" in alarm and "gone" in alarm for alarm in world.alarms)
    assert read_from_disk(world, "n1", "b") == right


def test_a_vote_never_stands_for_a_decree_that_the_feed_names() -> None:
    """An old record has come back, from before the decree was learned: it says less than the feed."""
    world = world_with("a", "b")
    right = stored(world, "n1", "b")
    assert right.learned is not None
    vote = Instance(accepted=Proposal(right.learned.ballot, right.learned))
    storage = world.machines[N1].storage
    assert storage is not None
    storage.write([InstanceRecord(Key("b"), vote)])
    report = scrub(world, "n1")
    assert (report.harmed, report.repaired) == (1, 1)
    assert read_from_disk(world, "n1", "b") == right


def test_what_is_learned_while_a_peer_is_asked_is_not_taken_for_lost() -> None:
    world = world_with("a", "z")
    world.delays = lambda _, __, message: (1_000.0 if isinstance(message, Scan) else 0.0,)
    scrub_report(world, "n1", begin=True, rate=FAST)
    while not any(isinstance(m, Scan) and not m.prefix for _, _, m in world.sent):
        world.run(50)
        assert scrub_report(world, "n1").running
    for n in range(20):
        world.freeze("n1", f"b{n:02}")
    world.run(10_000)
    report = scrub_report(world, "n1")
    assert (report.running, report.harmed, report.is_sound, world.alarms) == (False, 0, True, [])
    assert report.keys == 2 and report.silent == ()


def test_nobody_makes_a_scrub_last_forever() -> None:
    world = world_with("a", "b")
    assert scrub(world, "n1", rate=1).is_sound
