"""M17: the feed of a peer is read from its base first, for the home promise, and by no cursor."""

import pytest

from decreed.registry.paxos.messages import Commit, PrepareClass, PromiseClass
from decreed.registry.replica.feed import catchup
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, NodeId, Process
from decreed.registry.wire.peers import FeedPage, Fetched, Pull, SeatTold, StatePage

from ...support.changed import N1, N2, N3, N4, decree_of
from ...support.changing import ChangingWorld
from ...support.world import stored

LAG = 40
"""How many decrees a joiner has learned before it is ready."""
NEW = 10
"""How many it has learned since, when the home asks for its promise."""


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lag of 40 decrees is 10 pages, as one of a million is with pages of their real size."""
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 4)


def lagging() -> ChangingWorld:
    """n4 has replaced n3, and n1 cannot read what n4 has learned before it was ready.

    The promises of n2 are lost on the way to n1, so n1 needs that of n4. It is asked for that after n4
    has learned some decrees of the new epoch.
    """
    world = ChangingWorld([N4])
    for number in range(LAG):
        world.freeze(N2, f"old/{number}")
    world.lose = lambda sender, to, message: (
        _is_lost(sender, to, message) or (sender == N1 and isinstance(message, PrepareClass))
    )
    world.change(N1, N1, N2, N4)
    assert world.voters() == [N1, N2, N4]
    for number in range(NEW):
        world.freeze(N2, f"new/{number}")
    world.run(1_000)
    assert not world.replica(N1).parts.home_promise.granted
    world.lose = _is_lost
    world.run(5_000)
    return world


def _is_lost(sender: NodeId, to: NodeId, message: object) -> bool:
    if (sender, to) == (N2, N1) and isinstance(message, PromiseClass):
        return True
    is_old = isinstance(message, FeedPage) and message.start < LAG
    return is_old and (sender, to) == (N4, N1)


def base_of(world: ChangingWorld, node: NodeId, peer: NodeId) -> int:
    base = world.replica(node).parts.seats.base_of(peer)
    assert base is not None
    return base


def test_M17_a_joiner_whose_feed_nobody_has_read_does_not_delay_the_home_promise() -> None:
    world = lagging()
    assert base_of(world, N1, N4) > LAG
    assert world.replica(N1).parts.home_promise.granted


def test_M17_what_is_read_from_a_base_on_moves_no_cursor() -> None:
    world = lagging()
    feeds = world.replica(N1).catchup
    assert feeds.has_read_since_base(N4, base_of(world, N1, N4) + NEW)
    assert feeds.cursor(N4) < LAG, "n1 has read nothing of the old entries"


def test_M17_what_lies_below_a_base_is_read_after_it() -> None:
    world = lagging()
    world.lose = lambda *_: False
    world.run(10_000)
    for node in (N1, N2, N4):
        feeds, end = world.replica(node).catchup, world.replica(N4).node.feed_end
        assert node == N4 or feeds.cursor(N4) == end


def test_M17_the_next_epoch_is_taken_over_by_cursors_alone() -> None:
    """n4 is the only source that answers n1, and n1 has read it from its base on: not enough."""
    world = lagging()

    def lose(sender: NodeId, to: NodeId, message: object) -> bool:
        of_n4 = sender == N4 or not isinstance(message, StatePage)
        return _is_lost(sender, to, message) or (to == N1 and not of_n4)

    world.lose = lose
    world.change(N2, N1, N2, N3)
    assert world.ready()[N1] == 1, "the cursor has not met the end of the feed of n4"
    world.lose = lambda sender, to, message: lose(sender, to, message) and sender != N4
    world.run(10_000)
    assert world.ready()[N1] == 2


def test_M17_a_promise_is_counted_from_a_base_in_the_epoch_of_that_base_alone() -> None:
    world = lagging()
    feeds, end = world.replica(N1).catchup, world.replica(N4).node.feed_end
    assert feeds.has_read_since_base(N4, base_of(world, N1, N4))
    world.change(N2, N1, N2, N3, ms=1)
    assert not feeds.has_read_since_base(N4, end)


def test_M17_a_cluster_that_formed_reads_feeds_from_their_beginning() -> None:
    world = ChangingWorld([N4])
    world.freeze(N1, "k")
    world.run(1_000)
    assert world.replica(N1).parts.seats.base_of(N2) is None
    assert any(isinstance(message, Pull) and message.start == 0 for _, _, message in world.sent)


def test_M08_what_was_asked_of_a_node_that_is_no_source_any_more_is_asked_of_others() -> None:
    """n3 left in epoch 1, and is switched off while n1 waits for a decree that all others have too."""
    world = ChangingWorld([N4])
    world.lose = lambda sender, to, message: (
        (sender, to) == (N4, N1) and isinstance(message, SeatTold)
    )
    world.change(N1, N1, N2, N4)
    assert N3 in world.replica(N1).node.sources, "n1 does not know that n4 is ready"
    decree = decree_of("k", Ballot.first(Process(N2, 9), 1))
    world.lose = lambda sender, to, message: (
        to == N1
        and (isinstance(message, Fetched | SeatTold) or (sender != N3 and _is_page(message)))
    )
    for node in (N2, N3, N4):
        world.post(node, FromPeer(N2, Commit(decree.key, decree)))
    world.run(1_000)
    assert "fetching" in world.replica(N1).pending_work()
    world.crash(N3)
    world.lose = lambda *_: False
    world.change(N2, N1, N2, N4)
    world.run(10_000)
    assert stored(world, N1, "k").learned == decree and world.ready()[N1] == 2


def _is_page(message: object) -> bool:
    return isinstance(message, FeedPage)
