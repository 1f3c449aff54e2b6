"""Pages of a snapshot: packed, and otherwise like pages of any list."""

import pytest

from decreed.registry.errors import ProtocolError
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.packed import PackedPage, pack_decrees, unpack_decrees
from decreed.registry.wire.requests import ListPage, ListRequest

from ...support.world import World

DECREE = Decree(Key("k"), b"v", "a/b", "me", b"i", "", 1, Ballot(1, Process(NodeId("n1"), 1)))


def ask(world: World, after: str, *, whole: bool) -> ListPage | PackedPage:
    page = world.ask("n1", ListRequest(world.new_id(), 5_000, "", after, 3, whole))
    assert isinstance(page, ListPage | PackedPage), page
    return page


def test_a_whole_page_has_the_decrees_of_a_plain_one() -> None:
    world = World()
    for number in range(7):
        world.freeze("n1", f"k{number}")
    after: str | None = ""
    while after is not None:
        plain, whole = (ask(world, after, whole=each) for each in (False, True))
        assert isinstance(plain, ListPage) and isinstance(whole, PackedPage)
        assert (whole.decrees, whole.next_after) == (plain.decrees, plain.next_after)
        after = whole.next_after


def test_those_who_share_a_page_get_each_their_kind() -> None:
    world = World()
    world.freeze("n1", "k")
    marks = [
        world.send("n1", ListRequest(world.new_id(), 5_000, "", "", 3, whole))
        for whole in (True, False)
    ]
    world.run(500)
    [one], [other] = (world.answers[mark] for mark in marks)
    assert isinstance(one, PackedPage) and isinstance(other, ListPage)
    assert one.decrees == other.decrees != ()


def test_what_is_packed_is_checked_like_any_other_message() -> None:
    good = pack_decrees((DECREE,))
    assert unpack_decrees(good) == (DECREE,)
    for bad in (
        b"",
        good[:-1],
        good + b"\0",
        pack_decrees((DECREE,))[1:],
        good.replace(b"k", b"\xff"),
    ):
        with pytest.raises(ProtocolError):
            unpack_decrees(bad)
