"""A joiner that learns from a snapshot first: what it takes over, and what it finds out by itself."""

from decreed.registry.replica.step.events import Seeded
from decreed.registry.types import Decree, Key, NodeId
from decreed.registry.wire.peers import Fetch, Pull
from decreed.storage.memory import MemoryDisk

from ...support.changing import ChangingWorld
from ...support.machine import Machine
from ...support.world import stored

N1, N2, N4 = NodeId("n1"), NodeId("n2"), NodeId("n4")


def frozen(world: ChangingWorld, count: int) -> list[Decree]:
    return [world.freeze(N1, f"k{number:04}").decree for number in range(count)]


def joined(world: ChangingWorld, *, reads: bool = False) -> None:
    """n4 joins, and waits for its seed unless it reads the feeds at once."""
    world.machines[N4] = Machine(MemoryDisk(N4))
    world.boot(N4)
    if not reads:
        world.replica(N4).parts.seeding.wait()
    world.run(1_000)


def formation(world: ChangingWorld) -> bytes:
    found = world.replica(N1).node.identity.formation
    assert found is not None
    return found


def give(
    world: ChangingWorld, *decrees: Decree, of: bytes | None = None, is_last: bool = True
) -> None:
    world.post(N4, Seeded(of or formation(world), decrees, is_last))
    world.run(1)


def learned(world: ChangingWorld, key: str) -> Decree | None:
    return stored(world, N4, key).learned


def sent(world: ChangingWorld, kind: type) -> list[object]:
    """What n4 has sent of this kind."""
    return [message for sender, _, message in world.sent if sender == N4 and type(message) is kind]


def cursors(world: ChangingWorld) -> list[int]:
    return [world.replica(N4).catchup.cursor(peer) for peer in (N1, N2)]


def test_a_seed_is_learned_first_and_the_feeds_are_read_from_their_beginning() -> None:
    world = ChangingWorld()
    decrees = frozen(world, 30)
    joined(world)
    assert not sent(world, Pull) and learned(world, "k0000") is None
    give(world, *decrees[:20], is_last=False)
    assert [learned(world, decree.key) for decree in decrees[:20]] == decrees[:20]
    world.run(1_000)
    assert not sent(world, Pull) and cursors(world) == [0, 0], "a seed moves no cursor (M08)"
    give(world, *decrees[20:25])
    world.run(2_000)
    assert cursors(world) == [30, 30]
    assert [learned(world, decree.key) for decree in decrees] == decrees
    asked = {
        key for message in sent(world, Fetch) if isinstance(message, Fetch) for key in message.keys
    }
    assert asked == {decree.key for decree in decrees[25:]}, "the seed is not fetched once more"


def test_M19_nothing_of_another_formation_is_learned() -> None:
    world = ChangingWorld()
    decrees = frozen(world, 3)
    joined(world)
    give(world, *decrees, of=b"another formation"[:16])
    assert learned(world, "k0000") is None
    assert any("another formation" in text for text in world.alarms)


def test_a_seed_that_was_interrupted_is_read_again() -> None:
    world = ChangingWorld()
    decrees = frozen(world, 20)
    joined(world)
    give(world, *decrees[:10], is_last=False)
    world.run(1_000)
    world.crash(N4)
    world.boot(N4)
    assert world.replica(N4).node.feed_end == 10, "what was learned is durable"
    assert world.replica(N4).parts.seeding.is_useful
    world.replica(N4).parts.seeding.wait()
    world.run(100)
    give(world, *decrees[:10], is_last=False)
    give(world, *decrees[10:])
    world.run(2_000)
    assert cursors(world) == [20, 20]
    assert world.replica(N4).node.feed_end == 20, "no decree is in its feed twice"


def test_a_node_that_reads_feeds_or_votes_needs_no_seed() -> None:
    world = ChangingWorld()
    frozen(world, 3)
    joined(world, reads=True)
    assert not world.replica(N4).parts.seeding.is_useful
    assert not world.replica(N1).parts.seeding.is_useful


def test_M09_a_seeded_node_takes_over_by_the_feeds_that_it_has_read_itself() -> None:
    world = ChangingWorld()
    decrees = frozen(world, 10)
    joined(world)
    world.disks[N4] = world.replica(N4).node.identity.disk_id
    give(world, *decrees, is_last=False)
    world.change("n1", "n1", "n2", "n4")
    assert not world.replica(N4).node.voting, "its seed is not complete, so it has read no feed"
    give(world)
    world.run(3_000)
    assert world.replica(N4).node.voting and world.ready()[N4] == 1


def test_a_seed_that_contradicts_a_decree_is_evidence_and_nothing_is_replaced() -> None:
    world = ChangingWorld()
    [first, *_] = frozen(world, 2)
    joined(world)
    other = Decree(
        Key(first.key), b"another", *(getattr(first, f) for f in first.__struct_fields__[2:])
    )
    give(world, first, is_last=False)
    give(world, other)
    found = stored(world, N4, first.key)
    assert (found.learned, found.disputed) == (first, other)
