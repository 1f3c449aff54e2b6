"""Two clusters that differ only in what eve may not read give her the same bytes (S19, S60 to S64).

The clusters do the same at the same times, except that alice freezes, locks and counts different names
in each, or nothing, and freezes other values at keys that eve may only claim. Then eve asks for
everything. How much is in a feed is no secret, so positions are compared without their index.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from decreed.registry.locks.terms import Ending, How, LeaseId
from decreed.registry.wire.codec import encode
from decreed.registry.wire.members import MembersRequest
from decreed.registry.wire.requests import (
    Answer,
    Cancel,
    ClientPing,
    Decreed,
    EndRequest,
    KeepAliveRequest,
    PolicyRequest,
    StatusRequest,
    WatchPage,
)
from decreed.registry.wire.scrub import ScrubRequest

from ...policy.samples import ALICE
from ...support.changed import N1, N2, N3
from ...support.proven import to_give_up
from .eve import (
    EVE,
    EveWorld,
    claims,
    gets,
    held_by,
    holder,
    latest,
    lists,
    locks,
    nexts,
    waits,
    watches,
)

GAP_MS = 400
"""Each act has so much time, whether it happens or not."""

Act = Callable[[EveWorld], Any]


def freezing(key: str, value: bytes) -> Act:
    return lambda world: claims(world, key, value)


HIDDEN: dict[str, Act] = {
    "a key": freezing("hidden/a", b"1"),
    "another": freezing("hidden/b", b"2"),
    "a key beside": freezing("open-x", b"3"),
    "a key above": freezing("more", b"4"),
    "a key in between": freezing("more/a", b"5"),
    "a key at the end": freezing("zz", b"6" * 5_000),
    "a slot": lambda world: nexts(world, "hidden/s"),
    "a lock": lambda world: locks(world, "hidden/l", "alice"),
}
VISIBLE = ("more/open/z", "open/a", "open/b", "open@1")


def cluster(hidden: list[str], value: bytes) -> EveWorld:
    """A cluster in which alice has done this."""
    world = EveWorld()
    for name in HIDDEN:
        act(world, HIDDEN[name] if name in hidden else None)
    for key in VISIBLE:
        act(world, freezing(key, b"open"))
    act(world, freezing("blind/k", value))
    act(world, lambda world: locks(world, "blind/l", value.decode()))
    return world


def act(world: EveWorld, what: Act | None) -> None:
    """Do something for alice, or nothing; it takes the same time, and as many numbers."""
    until_ms, number = world.now_ms + GAP_MS, world.number()
    if what is not None:
        world.ask_as(ALICE, N1, replace(what(world), id=number))
    else:
        world.number()
    world.run(until_ms - world.now_ms)


def requests(world: EveWorld) -> list[Any]:
    """One of each kind and more, about what is open, hidden, and not there."""
    names = ("open/a", "hidden/a", "hidden/none", "more", "blind/k", "$members@1", "$locks/l@1")
    prefixes = ("", "open", "hidden", "more", "none", "$locks", "$members")
    asked: list[Any] = [gets(world, name) for name in names]
    asked += [waits(world, name, 50) for name in names]
    asked += [latest(world, name) for name in ("open", "hidden/s", "hidden/none")]
    asked += [lists(world, prefix, "", limit) for prefix in prefixes for limit in (1, 3, 100)]
    asked += [lists(world, prefix, "", 3, whole=True) for prefix in prefixes]
    asked += [lists(world, "", after, 2) for after in ("hidden/a", "hidden/b", "more/a", "open")]
    asked += [watches(world, prefix, None) for prefix in prefixes]
    asked += [watches(world, prefix, world.at_entry(N1, 0), 50) for prefix in prefixes]
    asked += [watches(world, "", world.at_entry(N1, 0), 50, limit=1)]
    asked += [claims(world, name) for name in ("hidden/a", "hidden/none", "blind/k", "open/a")]
    asked += [nexts(world, "hidden/s"), nexts(world, "blind/s"), nexts(world, "open")]
    asked += [locks(world, name, "eve") for name in ("hidden/l", "hidden/none", "blind/l")]
    asked += [holder(world, name) for name in ("hidden/l", "hidden/none", "blind/l", "open/l")]
    for lock in ("hidden/l", "hidden/none"):
        held = LeaseId(lock, 1, b"lock of alice")
        asked += [KeepAliveRequest(world.number(), 500, held, b"x" * 32)]
        for how in (How.RELEASED, How.BROKEN):
            asked += [EndRequest(world.number(), 500, held, Ending(how), b"x" * 32)]
        asked += [to_give_up(world.number(), 500, lock, held_by("eve"))]
    asked += [StatusRequest(world.number()), ClientPing(world.number())]
    asked += [MembersRequest(world.number(), 500), ScrubRequest(world.number(), True, 0)]
    return [*asked, PolicyRequest(world.number(), 500, 1, b"", "eve", b"e", "")]


def told(world: EveWorld, node: str, request: Any) -> bytes:
    """What eve is told, without how much there is."""
    answer = world.eve(request, node)
    return encode(_without_counts(answer))


def _without_counts(answer: Answer) -> Answer:
    if isinstance(answer, WatchPage):
        return replace(answer, position=replace(answer.position, index=0))
    return answer


def is_same(one: EveWorld, other: EveWorld, node: str) -> None:
    """Ask both for everything, at the same times."""
    start_ms = max(one.now_ms, other.now_ms)
    for world in (one, other):
        world.run(start_ms - world.now_ms)
    for mine, theirs in zip(requests(one), requests(other), strict=True):
        assert replace(mine, id=0) == replace(theirs, id=0)
        first, second = told(one, node, mine), told(other, node, theirs)
        assert first == second, mine
        assert one.now_ms == other.now_ms, ("it takes another time", mine)


@pytest.mark.parametrize("node", [N1, N2, N3])
def test_everything_that_is_hidden_or_none_of_it(node: str) -> None:
    is_same(cluster(list(HIDDEN), b"yes"), cluster([], b"no"), node)


@settings(max_examples=3, deadline=None)
@given(st.sets(st.sampled_from(list(HIDDEN))), st.sets(st.sampled_from(list(HIDDEN))))
def test_any_two_clusters(one: set[str], other: set[str]) -> None:
    is_same(cluster(list(one), b"one"), cluster(list(other), b"two"), N1)


def test_the_comparison_finds_a_difference() -> None:
    """Of what she may read: a test that cannot fail would show nothing."""
    one, other = cluster([], b"v"), cluster([], b"v")
    one.freezes("open/c")
    other.freezes("open/d")
    with pytest.raises(AssertionError, match="ListRequest"):
        is_same(one, other, N1)


def test_cancels_are_of_the_own_connection() -> None:
    """A number of another connection's request names nothing."""
    world = EveWorld()
    world.speaker = ALICE
    mark = world.send(N1, waits(world, "open/later", 500))
    world.run(10)
    world.speaker = EVE
    world.send(N1, Cancel(mark[1]))
    world.run(10)
    assert world.answers[mark] == []
    world.freezes("open/later")
    assert isinstance(world.answers[mark][0], Decreed)
