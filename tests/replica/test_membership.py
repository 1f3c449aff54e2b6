"""Forming once, and refusing directories that have lost something."""

from copy import deepcopy

import pytest
from msgspec.structs import replace

from decreed.registry.config import parse_config
from decreed.registry.paxos.messages import PrepareClass
from decreed.registry.replica.formations import formation_id
from decreed.registry.replica.step.effects import AskPast
from decreed.registry.replica.step.events import Greeted, Reachable, Welcomed
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import Incarnation, PeerRecall
from decreed.registry.wire.peers import Ping
from decreed.registry.wire.requests import Failed
from decreed.storage.memory import MemoryDisk, open_memory

from ..support.world import CLUSTER_ID, World, claim, config

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def copy_of(disk: MemoryDisk) -> MemoryDisk:
    """A copy of the disk as it is now, which no node has open."""
    holder, disk.holder = disk.holder, None
    twin = deepcopy(disk)
    disk.holder = holder
    return twin


def reasons(world: World, node: NodeId) -> set[str]:
    return {message for refused, message in world.rejected if refused == node}


def test_no_node_votes_until_every_member_has_recorded_every_other() -> None:
    world = World(up=["n1", "n2"])
    assert not world.replica("n1").node.formed
    world.boot(N3)
    world.run(100)
    formations = {world.replica(node).node.identity.formation for node in world.up()}
    assert len(formations) == 1 and None not in formations


def test_nodes_that_form_send_pings_and_ask_for_class_promises_at_once() -> None:
    world = World(up=["n1", "n2"])
    world.sent.clear()
    world.boot(N3)
    world.settle()  # in which no time passes
    for node in (N1, N2, N3):
        others = {N1, N2, N3} - {node}
        said = [(to, message) for sender, to, message in world.sent if sender == node]
        assert {to for to, message in said if message == Ping(0, True, False)} == others
        assert {to for to, message in said if isinstance(message, PrepareClass)} >= others


def test_one_node_forms_by_itself() -> None:
    assert World(config(1)).replica("n1").node.formed


def test_the_formation_depends_on_every_disk() -> None:
    disks = {N1: b"1" * 16, N2: b"2" * 16, N3: b"3" * 16}
    assert formation_id(CLUSTER_ID, disks) == formation_id(
        CLUSTER_ID, dict(reversed(disks.items()))
    )
    assert formation_id(CLUSTER_ID, disks) != formation_id(CLUSTER_ID, {**disks, N3: b"4" * 16})


def test_a_formed_cluster_restarts_without_all_its_members() -> None:
    world = World()
    world.freeze("n1", "k")
    for node in (N1, N2, N3):
        world.crash(node)
    world.boot(N1)
    world.boot(N2)
    world.run(100)
    assert world.freeze("n1", "k2")


@pytest.mark.parametrize("other", [N2, N3])
def test_a_wiped_directory_is_refused_by_each_single_peer(other: NodeId) -> None:
    world = World()
    for node in (N1, N2, N3):
        world.crash(node)
    world.wipe(N1)
    world.boot(other)
    world.boot(N1)
    world.run(2_000)
    assert any("wiped" in reason and "stays out" in reason for reason in reasons(world, N1))
    assert not world.replica("n1").node.formed
    assert not reasons(world, other), "the healthy node is not the one that is refused"


def test_a_directory_put_back_after_a_restart_is_refused() -> None:
    world = World()
    world.crash(N1)
    old = copy_of(world.machines[N1].disk)
    for _ in range(2):
        world.boot(N1)
        world.run(100)
        world.crash(N1)
    world.machines[N1].disk = old
    world.boot(N1)
    world.run(100)
    assert any("older copy" in reason for reason in reasons(world, N1))


def older_copy(world: World) -> MemoryDisk:
    """A copy of n1's disk, made before n1 began an incarnation that both others have met."""
    world.crash(N1)
    old = copy_of(world.machines[N1].disk)
    world.boot(N1)
    world.run(100)
    world.crash(N1)
    return old


def start_alone(world: World, times: int) -> None:
    """Start n1 again and again while no other node is up."""
    for node in world.up():
        world.crash(node)
    for _ in range(times):
        world.boot(N1)
        world.run(100)
        world.crash(N1)


@pytest.mark.parametrize("times", [1, 2, 3, 300])
@pytest.mark.parametrize("other", [N2, N3])
def test_an_older_copy_is_refused_however_often_it_was_started_alone(
    other: NodeId, times: int
) -> None:
    world = World()
    world.machines[N1].disk = older_copy(world)
    start_alone(world, times)
    for _ in range(3):
        world.boot(N1)
        if other not in world.up():
            world.boot(other)
        world.run(100)
        assert any("older copy" in reason for reason in reasons(world, N1))
        assert not world.replica(other).node.reachable
        assert not reasons(world, other)
        world.rejected.clear()
        world.crash(N1)


@pytest.mark.parametrize("who_dials", [(N1, N2), (N2, N1)])
def test_an_older_copy_is_refused_in_either_direction_of_dialling(
    who_dials: tuple[NodeId, NodeId], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    world.machines[N1].disk = older_copy(world)
    start_alone(world, 3)
    shake = world.shake_hands

    def shake_one_way(dialler: NodeId, other: NodeId, past: Incarnation | None = None) -> None:
        if (dialler, other) == who_dials:
            shake(dialler, other, past)

    monkeypatch.setattr(world, "shake_hands", shake_one_way)
    world.boot(N1)
    world.boot(N2)
    world.run(100)
    assert any("was opened again since" in reason for reason in reasons(world, N1))


@pytest.mark.parametrize("times", [1, 200, 600])
def test_a_node_that_restarted_often_while_the_others_were_down_is_admitted(times: int) -> None:
    world = World()
    start_alone(world, times)
    for node in (N2, N3, N1):
        world.boot(node)
    world.run(100)
    assert not world.rejected
    assert world.replica("n1").node.reachable == {N2, N3}
    assert world.freeze("n1", "k")


def test_a_node_that_restarted_often_while_one_other_was_down_is_admitted_by_that_one() -> None:
    world = World()
    world.crash(N3)
    for number in range(20):
        world.crash(N1)
        world.boot(N1)
        world.freeze("n1", f"k{number}")
    world.boot(N3)
    world.run(1_000)
    assert not world.rejected
    assert world.replica("n3").node.reachable == {N1, N2}


def test_an_incarnation_that_met_no_peer_counts_as_an_incarnation() -> None:
    """It died between its first write and its first message; the incarnations after it are admitted."""
    world = World()
    world.crash(N1)
    open_memory(world.machines[N1].disk, world.config, N1, world.random.randbytes).close()
    world.boot(N1)
    world.run(100)
    assert not world.rejected and world.freeze("n1", "k")


def test_an_incarnation_that_a_peer_failed_to_record_does_not_exclude_the_next_one() -> None:
    world = World()
    world.crash(N1)
    world.machines[N2].disk.fail_writes = 1
    world.boot(N1)
    world.run(100)
    world.crash(N1)
    world.crash(N2)  # it remembers the incarnation before
    world.rejected.clear()
    world.boot(N2)
    world.boot(N1)
    world.run(100)
    assert not reasons(world, N1)
    assert N1 in world.replica("n2").node.reachable


def test_a_hello_that_shows_another_incarnation_than_the_one_remembered_is_asked_again() -> None:
    world = World()
    for _ in range(2):
        world.crash(N1)
        world.boot(N1)
        world.run(100)
    membership = world.replica("n1").membership
    later = replace(membership.identity(), incarnation=9, nonce=b"9" * 16)
    wrong = Greeted(4711, later, 0, membership.past(1))
    replica, storage = world.replica("n2"), world.machines[N2].storage
    assert storage is not None
    effects = replica.step(world.moment(), [wrong], storage.load(replica.needs([wrong])))
    assert effects.at_once == [AskPast(4711, N1, PeerRecall(3))]
    assert not effects.records and not effects.after


# -- what is not promised: see "What cannot be noticed" in docs/architecture.md


def test_a_roll_back_within_the_incarnation_that_is_remembered_is_not_noticed() -> None:
    world = World()
    world.run(1_000)
    old = copy_of(world.machines[N1].disk)  # taken while it ran
    world.crash(N1)
    world.machines[N1].disk = old
    world.boot(N1)
    world.run(100)
    assert not reasons(world, N1), "nothing was learned after the copy, so no feed is shorter"


def test_a_roll_back_is_not_noticed_by_a_node_that_never_met_what_was_lost() -> None:
    world = World()
    world.crash(N1)
    world.crash(N3)
    old = copy_of(world.machines[N1].disk)
    world.boot(N1)
    world.run(100)
    world.crash(N1)
    world.machines[N1].disk = old
    world.crash(N2)
    world.boot(N3)
    world.boot(N1)
    world.run(100)
    assert not reasons(world, N1)
    world.boot(N2)
    world.run(100)
    assert any("runs twice" in reason for reason in reasons(world, N1))


def test_a_directory_that_runs_twice_is_refused() -> None:
    world = World()
    world.crash(N1)
    twin = copy_of(world.machines[N1].disk)
    world.boot(N1)
    world.run(100)
    world.crash(N1)
    world.machines[N1].disk = twin
    world.boot(N1)
    world.run(100)
    assert any("runs twice" in reason for reason in reasons(world, N1))


def test_a_directory_rolled_back_while_it_ran_is_refused_by_its_feed() -> None:
    world = World()
    world.freeze("n1", "early")
    old = copy_of(world.machines[N1].disk)
    for number in range(5):
        world.freeze("n1", f"k{number}")
    world.run(2_000)  # the others read its feed
    world.crash(N1)
    world.machines[N1].disk = old
    world.boot(N1)
    world.run(100)
    assert any("rolled back" in reason for reason in reasons(world, N1))


def test_a_node_with_edited_quorums_is_refused() -> None:
    world = World(up=["n1", "n2"])
    world.boot(N3, config(3, prepare=3, accept=1))
    world.run(100)
    assert any("quorum sizes" in reason for reason in reasons(world, N3))
    assert not world.replica("n1").node.formed


def test_M19_quorums_edited_after_forming_do_not_count() -> None:
    """R07: they are agreed. The directory has those that it formed with; only a decree changes them."""
    world = World()
    before = world.replica("n1").node.quorums
    world.crash(N1)
    world.boot(N1, config(3, prepare=3, accept=1))
    world.run(500)
    assert world.replica("n1").node.quorums == before
    assert world.replica("n1").node.voting
    for other in (N2, N3):
        world.crash(other)
    assert isinstance(world.claim("n1", claim("k"), timeout_ms=500, here=True), Failed)


def test_a_refused_node_counts_in_no_quorum() -> None:
    world = World()
    world.crash(N2)
    world.crash(N3)
    world.wipe(N2)
    world.boot(N2)
    world.run(500)
    assert isinstance(world.claim("n1", claim("k"), timeout_ms=500, here=True), Failed)


def test_a_node_that_has_met_all_members_forms_only_after_all_have_recorded_it() -> None:
    world = World(up=["n1"])
    own = world.replica("n1").membership.identity()
    second = replace(own, node=N2, disk_id=b"2" * 16, nonce=b"b" * 16)
    third = replace(own, node=N3, disk_id=b"3" * 16, nonce=b"c" * 16)
    world.post(N1, Greeted(1, third, 0, None))
    world.post(N1, Welcomed(2, second, None, b"2" * 32))
    world.settle()
    assert not world.replica("n1").node.formed
    world.post(N1, Welcomed(3, third, None, b"3" * 32))
    world.settle()
    assert world.replica("n1").node.formed


def test_a_node_of_another_cluster_is_refused_whatever_else_it_shows() -> None:
    world = World()
    shown = replace(world.replica("n2").membership.identity(), cluster_id="another-cluster")
    world.post(N1, Greeted(4711, shown, 0, None))
    world.settle()
    assert any("is of cluster another-cluster" in reason for reason in reasons(world, N2))


def test_a_node_of_another_formation_is_refused() -> None:
    world = World()
    shown = replace(world.replica("n2").membership.identity(), formation=b"another incarnation....")
    world.post(N1, Greeted(4711, shown, 0, None))
    world.settle()
    assert any("is of formation" in reason for reason in reasons(world, N2))


def test_a_refusal_is_over_when_the_node_is_sound_again() -> None:
    world = World()
    membership, sound = world.replica("n1").membership, world.replica("n2").membership.identity()
    world.post(N1, Reachable(N2, False))
    world.post(N1, Greeted(4711, replace(sound, disk_id=b"another disk...."), 0, None))
    world.settle()
    assert N2 in membership.refused
    world.post(N1, Greeted(4712, sound, 0, None))
    world.settle()
    assert N2 not in membership.refused


@pytest.mark.parametrize(
    "changes",
    [{"cluster_id": "another-cluster"}, {"formation": b"another formation"[:16]}],
)
def test_a_stranger_with_the_name_of_a_member_that_is_down_is_not_shown_as_that_member(
    changes: dict[str, object],
) -> None:
    world = World()
    membership, sound = world.replica("n1").membership, world.replica("n2").membership.identity()
    world.post(N1, Reachable(N2, False))
    world.post(N1, Greeted(4711, replace(sound, **changes), 0, None))
    world.settle()
    assert reasons(world, N2), "it is refused"
    assert membership.refused == {}


def test_of_another_directory_with_a_member_s_name_it_is_told_that_it_only_calls_itself_so() -> (
    None
):
    """It may be the member's own, wiped, or a stranger's: nobody can tell."""
    world = World()
    membership, sound = world.replica("n1").membership, world.replica("n2").membership.identity()
    world.post(N1, Reachable(N2, False))
    world.post(N1, Greeted(4711, replace(sound, disk_id=b"another disk...."), 0, None))
    world.settle()
    assert membership.refused[N2].startswith("a node that calls itself n2 was refused: ")


def test_the_formation_depends_on_which_node_has_which_disk() -> None:
    one, other = b"1" * 16, b"2" * 16
    disks = {N1: one, N2: other, N3: one}
    assert formation_id(CLUSTER_ID, disks) != formation_id(
        CLUSTER_ID, {**disks, N1: other, N2: one}
    )


def test_R07_the_digest_depends_on_the_members_and_on_both_sizes() -> None:
    others = [config(5), config(5, prepare=4), config(5, prepare=4, accept=2), config(3)]
    addresses = {"a": "127.0.0.1:1", "b": "127.0.0.1:2", "c": "127.0.0.1:3"}
    others.append(parse_config({"cluster_id": others[0].cluster_id, "members": addresses}))
    digests = {cluster.digest() for cluster in others}
    assert len(digests) == len(others)


def test_a_node_whose_feed_was_read_to_its_end_is_admitted_after_a_restart() -> None:
    world = World()
    world.freeze("n2", "k")
    world.run(2_000)
    assert world.replica("n1").catchup.cursor(N2) == 1
    world.crash(N2)
    world.boot(N2)
    world.run(100)
    assert world.rejected == []


def test_a_stranger_that_uses_the_name_of_a_reachable_member_changes_nothing_about_it() -> None:
    world = World()
    membership, sound = world.replica("n1").membership, world.replica("n2").membership.identity()
    known = membership.known(N2)
    world.post(N1, Greeted(4711, replace(sound, disk_id=b"another disk...."), 0, None))
    world.settle()
    assert reasons(world, N2), "it is refused all the same"
    assert N2 not in membership.refused
    assert membership.known(N2) == known
