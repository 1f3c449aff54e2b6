"""A late promise to an earlier incarnation of a home does not count in this one."""

from decreed.registry.paxos.messages import Accepted, PrepareClass, PromiseClass
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.wire.peers import FeedPage
from decreed.registry.wire.requests import ClaimRequest

from ...support.batches import N1, N2, N3, identity, keys_of
from ...support.world import World, claim


def granted(world: World) -> bool:
    return world.replica("n1").parts.home_promise.granted


def test_a_late_promise_to_an_earlier_incarnation_does_not_count() -> None:
    """Since then the node may have accepted what an incarnation between has proposed."""
    world = World()
    world.crash(N1)
    world.lose = lambda sender, to, message: isinstance(message, PrepareClass | PromiseClass)
    world.boot(N1)
    world.run(3_000)
    assert not granted(world)
    for node in (N2, N3):
        world.post(N1, FromPeer(node, PromiseClass(identity(1), (), 0)))
        world.post(N1, FromPeer(node, PromiseClass(identity(3), (), 0)))
        world.post(N1, FromPeer(node, PromiseClass(identity(2, N2), (), 0)))
    world.run(10)
    assert not granted(world)
    world.post(N1, FromPeer(N2, PromiseClass(identity(2), (), 0)))
    world.run(10)
    assert granted(world), "with its own acceptor's, a quorum"


def test_a_promise_to_an_earlier_incarnation_hides_nothing_from_a_later_one() -> None:
    """n2 promised to the first incarnation, and has accepted a proposal of it since."""
    world = World()
    key = keys_of(world, 1)[0]
    early = PromiseClass(identity(1), (), 0)
    world.lose = lambda sender, to, message: isinstance(message, Accepted) or N3 in (sender, to)
    world.send(N1, ClaimRequest(world.new_id(), 300, True, claim(key, b"early", b"early")))
    world.run(10)
    world.crash(N1)
    world.lose = lambda sender, to, message: isinstance(
        message, PrepareClass | PromiseClass | FeedPage
    )
    world.boot(N1)
    for node in (N2, N3):
        world.post(N1, FromPeer(node, early))
    world.run(10)
    world.lose = lambda sender, to, message: isinstance(message, FeedPage)
    world.run(3_000)
    assert granted(world)
    assert key in world.replica(N1).parts.home_promise.unlearned


def test_a_home_goes_by_the_first_promise_of_each_acceptor_to_this_incarnation() -> None:
    """The second promise is younger: it may no longer report what was in doubt at the first."""
    world = World()
    key = keys_of(world, 1)[0]
    world.crash(N1)
    world.lose = lambda sender, to, message: isinstance(message, PrepareClass | PromiseClass)
    world.boot(N1)
    for unlearned in ((key,), ()):
        for node in (N1, N2):
            world.post(N1, FromPeer(node, PromiseClass(identity(2), unlearned, 10)))
    world.run(10)
    assert not granted(world), "the feeds are not read as far"
    told_of = [m.unlearned for m in world.replica(N1).parts.home_promise.told.values()]
    assert told_of and all(one == (key,) for one in told_of)
