"""The end of the feed in memory: it serves the entries of the feed, and knows which are learned."""

import pytest

from decreed.registry.errors import ProtocolError
from decreed.registry.replica.feed.learner import CAPACITY, CONFIRMED, Recent
from decreed.registry.types import Key
from decreed.registry.wire.codec import decode, encode
from decreed.registry.wire.peers import FeedPage

PORTION = 3
"""How many keys are learned at once."""
DISK = b"a disk of sixteen"[:16]


def key(number: int) -> Key:
    return Key(f"k{number}")


def digest(number: int) -> bytes:
    return number.to_bytes(16, "big")


def filled(start: int, count: int) -> Recent:
    recent = Recent(start)
    for first in range(start, start + count, PORTION):
        portion = range(first, min(first + PORTION, start + count))
        recent.add({key(number): digest(number) for number in portion})
    return recent


def columns(*numbers: int) -> tuple[tuple[Key, ...], bytes]:
    return tuple(map(key, numbers)), b"".join(map(digest, numbers))


def test_a_page_has_the_entries_of_the_feed_at_their_positions() -> None:
    recent = filled(100, 5)
    assert recent.page(101, 104) == columns(101, 102, 103)
    assert recent.page(105, 105) == ((), b"")


@pytest.mark.parametrize("part", [(99, 102), (104, 106), (103, 102), (0, 0)])
def test_there_is_no_page_of_entries_that_were_dropped(part: tuple[int, int]) -> None:
    assert filled(100, 5).page(*part) is None


def test_only_different_or_unknown_entries_are_differing() -> None:
    recent = filled(0, 9)
    assert list(recent.differing(*columns(*range(9)))) == []
    keys, digests = columns(3, 4, 5)
    wrong = digests[:16] + digest(77) + digests[32:]
    assert list(recent.differing(keys, wrong)) == [(key(4), digest(77))]
    assert list(recent.differing(*columns(8, 9))) == [(key(9), digest(9))]


def test_an_unknown_key_differs_even_if_the_digests_after_it_would_fit_without_it() -> None:
    keys, digests = columns(1, 2)
    assert len(filled(0, 3).differing((Key("x"), *keys), digest(7) + digests)) == 1


def test_the_memory_is_bounded_and_the_oldest_entries_are_dropped_first() -> None:
    count = CAPACITY * 2
    recent = filled(0, count)
    assert recent.page(0, 1) is None
    assert recent.page(count - CAPACITY, count - CAPACITY + 1) == columns(count - CAPACITY)
    assert recent.page(count - 1, count) == columns(count - 1)
    assert list(recent.differing(*columns(0, count - 1))) == [(key(0), digest(0))]


@pytest.mark.parametrize("digests", [b"", b"d" * 31, b"d" * 33, b"d" * 48])
def test_a_page_with_too_few_or_too_many_digests_is_refused(digests: bytes) -> None:
    plain = [35, DISK, 0, 2, 2, ["k1", "k2"]]
    assert decode(encode([*plain, b"d" * 32]), FeedPage).keys == ("k1", "k2")
    with pytest.raises(ProtocolError):
        decode(encode([*plain, digests]), FeedPage)


def test_what_was_found_learned_earlier_is_known_to_be_the_same_for_a_while() -> None:
    recent = filled(0, 5)
    recent.confirm({key(100): digest(100)})
    assert recent.differing(*columns(1, 100, 101)) == [(key(101), digest(101))]
    other = (key(100),), digest(7)
    assert recent.differing(*other) == [(key(100), digest(7))], "another decree is not the same"
    for first in range(200, 200 + 3 * CONFIRMED, 100):
        recent.confirm({key(number): digest(number) for number in range(first, first + 100)})
    assert recent.differing(*columns(100)) == [(key(100), digest(100))], "it is not kept forever"
    last = 200 + 3 * CONFIRMED - 100
    assert not recent.differing(*columns(last))
    assert recent.page(0, 5) == columns(0, 1, 2, 3, 4), "the feed has no such entries"
