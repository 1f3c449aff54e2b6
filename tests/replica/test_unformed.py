"""What a node met before it formed ends no formed node."""

from decreed.registry.errors import Refused
from decreed.registry.replica.step.effects import Reject
from decreed.registry.replica.step.events import Greeted, Moment
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import Refusal

from ..support.world import World

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def reasons(world: World, node: NodeId) -> set[str]:
    return {message for refused, message in world.rejected if refused == node}


def test_a_wiped_directory_that_met_another_wiped_one_ends_no_formed_node() -> None:
    """The memory of a node that has not formed does not count against a formed node."""
    world = World()
    for node in (N1, N2, N3):
        world.crash(node)
    own = world.machines[N1].disk
    world.wipe(N1)
    world.wipe(N2)
    world.boot(N2)
    world.boot(N1)
    world.run(100)
    world.crash(N1)
    world.machines[N1].disk = own
    world.boot(N1)
    world.run(2_000)
    [reason] = reasons(world, N1)
    assert "n2 has not formed yet" in reason and "stays out" not in reason
    hello = Greeted(99, world.replica("n1").membership.identity(), 0, None)
    [rejected] = world.replica("n2").step(Moment(2_000, 0), [hello], {}).at_once
    assert isinstance(rejected, Reject) and isinstance(rejected.refusal, Refusal)
    assert rejected.refusal.code == Refused.code
    assert not world.replica("n2").node.formed
    assert N1 not in world.replica("n2").node.reachable
    world.boot(N3)
    world.run(2_000)
    assert world.freeze("n1", "k")
    assert any("stays out" in reason for reason in reasons(world, N2)), "those who formed know"


def test_a_wiped_directory_is_refused_by_a_node_that_met_it_though_neither_has_formed() -> None:
    world = World(up=["n1", "n2"])
    world.wipe(N2)
    world.boot(N2)
    world.run(100)
    assert any("stays out" in reason for reason in reasons(world, N2))
