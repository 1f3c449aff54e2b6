"""S06: a refusal ends a node only if the node's own directory agrees with what the peer remembers."""

import pytest
from msgspec.structs import replace

from decreed.registry.errors import Refused
from decreed.registry.replica.peer_memory import MOST_STARTS
from decreed.registry.replica.step.effects import Reject
from decreed.registry.replica.step.events import Dialled, Greeted, Reachable
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import DirectoryRefusal, Evidence, Incarnation, Refusal

from ..support.batches import step
from ..support.changing import ChangingWorld
from ..support.world import World

N1, N2, N3, N4 = (NodeId(f"n{number}") for number in range(1, 5))
LAST = 2**63 - 1


def own(world: World, node: NodeId = N2) -> Evidence:
    """What a peer remembers of a directory that is sound."""
    identity = world.replica(node).node.identity
    life = (identity.incarnation, identity.nonce)
    return Evidence(identity.disk_id, 0, *life, 0, identity.signing_key)


def ends(world: World, evidence: Evidence, node: NodeId = N2) -> bool:
    return world.replica(node).parts.bears_out(evidence)


def started_twice() -> World:
    world = World()
    world.freeze("n2", "k")
    world.run(1_000)
    world.crash(N2)
    world.boot(N2)
    world.run(100)
    return world


def test_S06_a_directory_that_is_sound_agrees_with_nothing_false() -> None:
    world = started_twice()
    sound = own(world)
    first = world.replica(N2).node.history.incarnation(1)
    assert first is not None
    assert not ends(world, sound)
    assert not ends(world, replace(sound, incarnation=1, nonce=first.nonce, feed_end=1))
    assert not ends(world, Evidence(sound.disk_id))
    assert not ends(world, replace(sound, disk_id=b"o" * 16)), "its formation has its own disk"
    assert not ends(world, replace(sound, signing_key=None))


def test_S06_a_directory_that_has_lost_something_agrees() -> None:
    world = started_twice()
    sound = own(world)
    assert sound.incarnation == 2
    for lost in (
        replace(sound, incarnation=3),
        replace(sound, incarnation=1),
        replace(sound, nonce=b"o" * 16),
        replace(sound, feed_end=2),
        replace(sound, signing_key=b"o" * 32),
        replace(sound, known=1),
        replace(sound, ready=1),
    ):
        assert ends(world, lost), lost


def test_S06_what_the_feed_has_gained_since_the_start_hides_no_loss() -> None:
    world = started_twice()
    for number in range(4):
        world.freeze("n2", f"later/{number}")
    world.run(1_000)
    assert world.replica(N2).node.settled_feed_end >= 4
    assert ends(world, replace(own(world), feed_end=2))


def test_S06_a_directory_that_has_not_formed_agrees_that_another_one_had_its_name() -> None:
    world = World(up=["n1", "n2"])
    assert ends(world, replace(own(world), disk_id=b"o" * 16))


def test_S06_a_decree_that_gives_the_name_to_another_directory_ends_one_that_cannot_deny_it() -> (
    None
):
    world = ChangingWorld([N4])
    evidence = Evidence(b"o" * 16, 1)
    assert ends(world, evidence), "it may have slept through the change"
    world.propose(N1, world.epoch(1, N1, N2, N4))
    world.run(2_000)
    assert world.replica(N2).node.seat.known == 1
    assert not ends(world, evidence), "it knows that decree, and is in it"
    assert ends(world, replace(evidence, epoch=2))


def test_S06_a_refusal_says_what_the_peer_remembers() -> None:
    world = started_twice()
    known = world.replica(N1).membership.known(N2)
    assert known is not None
    shown = replace(world.replica(N2).membership.identity(), incarnation=1)
    effects = step(world, N1, Greeted(9, shown, 0, None))
    [refused] = [item for item in effects.at_once if isinstance(item, Reject)]
    assert isinstance(refused.refusal, DirectoryRefusal)
    evidence = refused.refusal.evidence
    assert (evidence.disk_id, evidence.incarnation, evidence.nonce) == (
        *(known.disk_id, known.incarnation, known.nonce),
    )
    assert evidence.signing_key == known.signing_key
    assert not ends(world, evidence), "n2 has that incarnation, so it goes on"


@pytest.mark.parametrize("more", [1, LAST - MOST_STARTS - 2])
def test_S05_an_incarnation_far_above_the_one_that_was_met_is_not_remembered(more: int) -> None:
    world = World()
    known, shown = world.replica(N1).membership.known(N2), world.replica(N2).membership.identity()
    assert known is not None
    leap = replace(shown, incarnation=known.incarnation + MOST_STARTS + more, nonce=b"l" * 16)
    past = Incarnation(known.incarnation, known.nonce)
    effects = step(world, N1, Greeted(9, leap, 0, past))
    [refused] = [item for item in effects.at_once if isinstance(item, Reject)]
    assert isinstance(refused.refusal, Refusal) and refused.refusal.code == Refused.code
    assert world.replica(N1).membership.known(N2) == known


def test_status_says_that_what_is_at_a_members_address_is_not_proven_until_it_is() -> None:
    world, fault = World(up=["n1", "n2"]), "what calls itself node n3 does not have the secret"
    membership = world.replica("n1").membership
    world.post(N1, Reachable(N2, True))
    for node in (N2, N3, NodeId("127.0.0.1:1")):
        world.post(N1, Dialled(node, fault))
    world.settle()
    assert membership.refused == {N3: fault}, "of one that is reachable it changes nothing"
    world.boot(N3)
    world.run(100)
    assert N3 not in membership.refused and world.replica("n1").node.formed
