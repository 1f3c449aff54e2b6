"""Each node records the signing keys of the others with their disks, and refuses another key."""

from msgspec.structs import replace

from decreed.registry.replica.step.events import Greeted, Welcomed
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import Incarnation
from decreed.storage.memory import open_memory

from ..support.world import World

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def reasons(world: World, node: NodeId) -> set[str]:
    return {message for refused, message in world.rejected if refused == node}


def key_of(world: World, node: NodeId) -> bytes:
    key = world.replica(node).node.identity.signing_key
    assert key is not None
    return key


def recorded(world: World, node: NodeId) -> dict[NodeId, bytes | None]:
    """The public keys that are on the node's disk, by peer."""
    storage = world.machines[node].storage
    assert storage is not None
    storage.close()
    again = open_memory(world.machines[node].disk, world.config, node, world.random.randbytes)
    return {peer.node: peer.signing_key for peer in again.recovered().peers}


def test_when_the_cluster_has_formed_each_node_has_recorded_the_keys_of_the_others() -> None:
    world = World()
    world.run(100)
    keys = {node: key_of(world, node) for node in (N1, N2, N3)}
    assert len(set(keys.values())) == 3
    for node in (N1, N2, N3):
        assert recorded(world, node) == {peer: keys[peer] for peer in keys if peer != node}


def test_a_node_forms_only_with_the_keys_of_all_others() -> None:
    world = World(up=["n1", "n2"])
    world.boot(N3)
    for node in (N1, N2, N3):
        replica = world.replica(node)
        others = [peer for peer in (N1, N2, N3) if peer != node]
        keys = [known.signing_key for peer in others if (known := replica.membership.known(peer))]
        assert not replica.node.formed or keys == [key_of(world, peer) for peer in others]


def test_a_peer_that_shows_another_key_is_refused_like_another_disk() -> None:
    world = World()
    world.run(100)
    shown = world.replica(N2).membership.identity()
    world.post(N1, Welcomed(4711, shown, None, b"x" * 32))
    world.settle()
    [reason] = reasons(world, N2)
    assert "node n2 was refused by n1: its directory has another signing key" in reason
    assert "restore its own latest directory" in reason
    known = world.replica(N1).membership.known(N2)
    assert known is not None and known.signing_key == key_of(world, N2)


def test_a_hello_that_tells_no_key_leaves_the_recorded_one_as_it_is() -> None:
    world = World()
    world.run(100)
    identity = world.replica(N2).membership.identity()
    later = replace(identity, incarnation=identity.incarnation + 1, nonce=b"later".ljust(16))
    past = Incarnation(identity.incarnation, identity.nonce)
    world.post(N1, Greeted(4711, later, 0, past))
    world.settle()
    known = world.replica(N1).membership.known(N2)
    assert known is not None and known.incarnation == later.incarnation
    assert known.signing_key == key_of(world, N2)


def test_the_key_of_a_peer_that_was_met_before_keys_were_told_is_recorded_at_its_next_welcome() -> (
    None
):
    world = World()
    world.run(100)
    replica = world.replica(N1)
    known = replica.membership.known(N2)
    assert known is not None
    replica.membership._memory._peers[N2] = replace(known, signing_key=None)
    world.post(N1, Welcomed(4711, world.replica(N2).membership.identity(), None, key_of(world, N2)))
    world.settle()
    assert replica.membership.known(N2) == known
    assert world.rejected == []
