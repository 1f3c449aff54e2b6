"""An acceptor's votes on a batch: each key is judged separately, with a short way for new ones."""

from decreed.registry.keys import home
from decreed.registry.locks.terms import term_key
from decreed.registry.paxos.decrees import Decrees
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.messages import Accept, AcceptedMany, AcceptMany, Nack
from decreed.registry.types import Decree, Proposal

from ...support.batches import (
    N1,
    N2,
    identity,
    keys_of,
    promised_to,
    proposal,
    proposed,
    said,
    take,
)
from ...support.proven import wish
from ...support.world import World, stored


def test_R19_within_a_batch_each_key_is_judged_separately() -> None:
    """One for another home, and one that is promised higher, are refused; the last is not."""
    world = World()
    (foreign,) = keys_of(world, 1, N2)
    held, sound = keys_of(world, 2)
    promised_to(world, N2, [held])
    world.sent.clear()
    take(world, N2, (N1, proposal([foreign, held, sound])))
    assert said(world, AcceptedMany, N2, N1) == [AcceptedMany(identity(), 1, (foreign, held))]
    accepted = [stored(world, N2, key).accepted for key in (foreign, held, sound)]
    assert [proposal is not None for proposal in accepted] == [False, False, True]


def test_a_term_is_not_voted_on_in_a_batch_since_its_lease_check_has_its_own_refusal() -> None:
    world = World()
    keys = (term_key(f"l{n}", 1) for n in range(100))
    key = next(key for key in keys if home(key, world.config.nodes) == N1)
    (sound,) = keys_of(world, 1)
    term = Decree.of(wish("tester", b"id", 1_000).claim(key, None), identity(), 0)
    world.sent.clear()
    take(world, N2, (N1, AcceptMany(identity(), 1, Decrees((term, proposed(sound, identity()))))))
    assert said(world, AcceptedMany, N2, N1) == [AcceptedMany(identity(), 1, (key,))]
    assert stored(world, N2, key).accepted is None
    take(world, N2, (N1, Accept(key, identity(), term)))
    assert stored(world, N2, key).accepted is not None, "alone it is accepted"


def test_a_node_that_may_not_vote_does_not_answer_a_batch() -> None:
    world = World(up=["n1", "n2"])
    world.sent.clear()
    take(world, N2, (N1, proposal(keys_of(world))))
    assert not [m for s, _, m in world.sent if s == N2 and isinstance(m, AcceptedMany | Nack)]


def test_R05_another_value_in_the_ballot_of_a_batch_is_refused_with_an_alarm() -> None:
    world = World()
    keys = keys_of(world)
    take(world, N2, (N1, proposal(keys)))
    other = AcceptMany(identity(), 2, Decrees((proposed(keys[0], identity(), b"other"),)))
    world.sent.clear()
    take(world, N2, (N1, other))
    assert said(world, AcceptedMany, N2, N1) == [AcceptedMany(identity(), 2, (keys[0],))]
    assert any("two values" in alarm for alarm in world.alarms)
    world.alarms.clear()


def test_R11_what_is_accepted_in_a_batch_is_promised_too() -> None:
    world = World()
    (key,) = keys_of(world, 1)
    take(world, N2, (N1, proposal([key])))
    assert stored(world, N2, key) == Instance(
        promised=identity(), accepted=Proposal(identity(), proposed(key, identity()))
    )
