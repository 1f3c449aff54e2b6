"""M09: a node that lost its vote is needed until max(P, A) new voters are ready, and no longer."""

from msgspec.structs import replace

from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Key
from decreed.registry.wire.peers import SeatTold, StatePage

from ...support.changed import N1, N2, N3, N4, changed, sealed, step
from ...support.changing import ChangingWorld


def may_leave(world: ChangingWorld) -> list[str]:
    """The nodes of which nothing is needed any more."""
    return [node for node in world.up() if world.replica(node).parts.leaving.is_over]


def test_a_node_that_lost_its_vote_may_leave_when_the_new_voters_are_ready() -> None:
    world = changed()
    world.run(2_000)
    assert may_leave(world) == [], "it stays a little, so that operators hear that it knows"
    world.run(6_000)
    assert may_leave(world) == [N3]


def test_as_long_as_too_few_are_ready_it_is_needed() -> None:
    world = sealed()
    world.run(5_000)
    assert may_leave(world) == []
    world.lose = lambda _, to, message: isinstance(message, StatePage) and to != N1
    world.run(5_000)
    assert world.ready()[N1] == 1
    assert may_leave(world) == [], "one of two that are needed is ready"
    world.lose = lambda *_: False
    world.run(8_000)
    assert may_leave(world) == [N3]


def test_when_it_starts_again_it_waits_for_the_word_of_the_voters() -> None:
    world = changed()
    world.run(2_000)
    for node in (N1, N2, N3, N4):
        world.crash(node)
    world.boot(N3)
    world.run(8_000)
    assert may_leave(world) == [], "they may withhold what it holds"
    world.boot(N1)
    world.boot(N4)
    world.meet()
    world.run(8_000)
    assert may_leave(world) == [N3]


def test_M18_a_voter_that_withholds_a_key_is_not_counted() -> None:
    world = changed()
    for node in (N1, N2):
        world.replica(node).parts.withholding._keys[Key("k")] = None
    world.run(8_000)
    assert may_leave(world) == [], "one of two that are needed has taken all over"
    del world.replica(N1).parts.withholding._keys[Key("k")]
    world.run(8_000)
    assert may_leave(world) == [N3]


def test_one_that_slept_through_the_change_may_leave_when_it_hears_of_it() -> None:
    world = ChangingWorld([N4])
    world.crash(N3)
    world.change(N1, N1, N2, N4)
    world.boot(N3)
    world.meet()
    world.run(8_000)
    assert may_leave(world) == [N3]


def test_a_node_that_only_follows_stays() -> None:
    world = changed("n5")
    world.run(8_000)
    assert may_leave(world) == [N3]


def test_M18_a_late_word_from_before_readiness_does_not_say_that_nothing_is_withheld() -> None:
    world = changed()
    told = world.replica(N4).parts.seating.told()
    early = SeatTold(told.disk_id, told.incarnation, 1, None, 0, 0)
    step(world, N3, FromPeer(N4, replace(told, withheld=1)), FromPeer(N4, early))
    assert N4 not in world.replica(N3).parts.seats.ready_voters
    step(world, N3, FromPeer(N4, told))
    assert N4 in world.replica(N3).parts.seats.ready_voters


def test_an_observer_that_had_a_vote_for_a_while_stays() -> None:
    world = changed()
    world.replica(N4).node.observes = True
    world.change(N1, N1, N2, N3)
    world.run(8_000)
    assert may_leave(world) == []
