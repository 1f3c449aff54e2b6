"""A chosen key with a later promise in a higher ballot: its acceptances still count."""

import pytest

from decreed.registry.paxos.messages import Accept, Prepare
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.requests import GetRequest, ListPage, ListRequest, Undecided

from ...support.world import World, claim

KEY = Key("k")
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def chosen_then_promised() -> World:
    """n1 and n2 have accepted a decree, then promised n3 a higher ballot; n1 is unreachable."""
    world = World()
    decree = Decree.of(claim(KEY), Ballot(5, Process(N2, 1)), 0)
    for node in (N1, N2):
        world.post(node, FromPeer(N2, Accept(KEY, decree.ballot, decree)))
        world.post(node, FromPeer(N3, Prepare(KEY, Ballot(6, Process(N3, 1)))))
    world.lose = lambda sender, to, message: N1 in (sender, to)
    world.settle()
    return world


def test_it_is_not_read_as_undecided() -> None:
    world = chosen_then_promised()
    answer = world.ask(N3, GetRequest(world.new_id(), 500, KEY))
    assert not isinstance(answer, Undecided)


@pytest.mark.parametrize("prefix", ["", "k"])
def test_it_is_not_missing_from_a_list(prefix: str) -> None:
    world = chosen_then_promised()
    page = world.ask(N3, ListRequest(world.new_id(), 500, prefix, "", 10))
    assert not isinstance(page, ListPage) or page.decrees, page
