"""M19: a joiner of a restored formation knows where its locks go on before anything of it counts."""

import pytest
from msgspec.structs import replace

from decreed.registry.disk import FormationRecord, PeerRecord
from decreed.registry.locks.restored import HOLDER, Restoration
from decreed.registry.locks.terms import term_key
from decreed.registry.members import MembersChange, claim_of
from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.step.events import FromPeer, Greeted, Welcomed
from decreed.registry.types import Ballot, Decree, NodeId, Process
from decreed.registry.wire.requests import Failed, GetRequest, HeldBy, HolderRequest
from decreed.storage.layout import RESTORATION_KEY
from decreed.storage.memory import MemoryDisk
from decreed.storage.records import pack

from ...support.changed import N1, N2, N3, N4, step
from ...support.changing import ChangingWorld
from ...support.lockers import TTL_MS, lock, term
from ...support.machine import Machine

N5 = NodeId("n5")
RESTORATION = Restoration(bytes(16), 1_790_000_000_000, 5 * TTL_MS, bytes(16), b"old".ljust(16))
FIRST = RESTORATION.floor + 1


def restored() -> ChangingWorld:
    """A cluster of three whose formation was restored from a snapshot that knows no locks."""
    world = ChangingWorld()
    for node in world.config.nodes:
        world.crash(node)
        row = {RESTORATION_KEY: pack(RESTORATION_KEY, RESTORATION)}
        world.machines[node].disk.write(row)
    for node in world.config.nodes:
        world.boot(node)
    world.run(100)
    return world


def join(world: ChangingWorld, *nodes: NodeId) -> None:
    for node in nodes:
        world.machines[node] = Machine(MemoryDisk(node))
        world.boot(node)
        world.run(1_000)
        world.disks[node] = world.replica(node).node.identity.disk_id


def handed_over() -> ChangingWorld:
    """n4 and n5 have joined, and all who were restored are gone: the joiners are a quorum."""
    world = restored()
    join(world, N4, N5)
    world.change(N1, N1, N4, N5)
    assert world.voters() == [N1, N4, N5]
    for node in (N1, N2, N3):
        world.crash(node)
    return world


def restart(world: ChangingWorld, *nodes: NodeId) -> None:
    for node in nodes:
        world.crash(node)
    for node in nodes:
        world.boot(node)
    world.run(100)


@pytest.mark.parametrize("restarted", [False, True], ids=["since they joined", "restarted"])
def test_M19_voters_that_joined_go_on_above_the_floor_and_not_too_early(restarted: bool) -> None:
    """Without the word of those who were restored, n4 and n5 would give term 1 immediately."""
    began_ms, world = 100.0, handed_over()
    if restarted:
        began_ms = world.now_ms
        restart(world, N4, N5)
    assert term(lock(world, N4, "a")) == FIRST
    assert world.now_ms - began_ms >= RESTORATION.ttl_ms
    assert world.alarms == []


def test_M19_no_voter_that_joined_says_that_nothing_is_below_the_floor() -> None:
    world = handed_over()
    for node in (N4, N5):
        answer = world.ask(node, GetRequest(world.new_id(), 1_000, term_key("l", 1)))
        assert isinstance(answer, Failed) and "forgotten" in answer.message
        held = world.ask(node, HolderRequest(world.new_id(), 5_000, "l"))
        assert isinstance(held, HeldBy) and held.decree.claimant == HOLDER


def test_M19_a_joiner_of_a_joiner_knows_it_too() -> None:
    world = restored()
    join(world, N4)
    for node in (N1, N2, N3):
        world.crash(node)
    join(world, N5)
    assert world.replica(N5).node.restoration == RESTORATION
    restart(world, N5)
    assert world.replica(N5).node.restoration == RESTORATION


def test_M19_it_is_in_the_batch_that_records_the_first_member() -> None:
    world = restored()
    world.machines[N4] = Machine(MemoryDisk(N4))
    for node in (N1, N2, N3):
        world.crash(node)
    world.boot(N4)
    world.boot(N1)
    shown = world.replica(N1).membership.identity()
    key = world.replica(N1).node.identity.signing_key
    assert key is not None
    effects = step(world, N4, Welcomed(77, shown, None, key, RESTORATION))
    [record] = [each for each in effects.records if isinstance(each, FormationRecord)]
    assert record.restoration == RESTORATION and effects.sync
    assert any(isinstance(each, PeerRecord) and each.node == N1 for each in effects.records)


def test_M19_two_nodes_of_one_formation_that_say_it_was_restored_differently_stay_apart() -> None:
    world = restored()
    shown = world.replica(N2).membership.identity()
    key = world.replica(N2).node.identity.signing_key
    assert key is not None
    world.post(N1, Welcomed(77, shown, None, key, None))
    world.settle()
    assert any("how the formation was restored" in reason for _, reason in world.rejected)


def test_M19_a_joiner_takes_nothing_over_before_it_has_a_formation() -> None:
    """It may hear of a decree that names it by a link that a member dialled, before any welcome."""
    world = ChangingWorld()
    world.machines[N4] = Machine(MemoryDisk(N4))
    for node in (N1, N2, N3):
        world.crash(node)
    world.boot(N4)
    joiner = world.replica(N4).node
    world.disks[N4] = joiner.identity.disk_id
    before = world.epoch(0, N1, N2, N3)
    change = MembersChange(world.epoch(1, N1, N2, N4), before, ("a:1",) * 3)
    decree = Decree.of(claim_of(change, "operator", b"id"), Ballot.first(Process(N1, 1)), 0)
    step(world, N4, FromPeer(N1, Commit(decree.key, decree)))
    assert (joiner.seat.known, joiner.seat.ready, joiner.formed) == (1, None, False)
    taking_over = world.replica(N4).parts.taking_over
    assert not taking_over.pending()["taking over"] and not taking_over.token


def test_a_node_of_the_old_formation_is_refused_by_the_names_of_both() -> None:
    world = restored()
    shown = world.replica(N2).membership.identity()
    for formation, said in ((RESTORATION.formation, "from that one"), (b"x" * 16, "not wanted")):
        old = replace(shown, formation=formation)
        world.post(N1, Greeted(78, old, 0, None))
        world.settle()
        refusal = [reason for _, reason in world.rejected][-1]
        assert f"is of formation {formation.hex()}, not " in refusal
        assert "recovered at 2026-09-21T14:13:20.000+00:00" in refusal and said in refusal
