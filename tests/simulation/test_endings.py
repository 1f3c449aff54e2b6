"""The checks at the end of a storm find what they are for, and nothing else."""

from decreed.registry.types import Key

from .endings import out_of_place

A, B, C = Key("a"), Key("b"), Key("c")
FEED = [A, B, C]


def test_what_is_told_in_the_order_of_the_feed_is_in_its_place() -> None:
    assert out_of_place({A: 1, B: 1, C: 2}, FEED, {B}) == []


def test_what_cannot_be_read_is_passed_over_when_others_are_told_again() -> None:
    assert out_of_place({B: 1, A: 2, C: 2}, FEED, {B}) == []
    assert out_of_place({B: 1, A: 2, C: 2}, FEED, {A, B}) == [], "and they could not either, once"


def test_what_can_be_read_is_told_again_behind_what_is_before_it() -> None:
    assert out_of_place({B: 1, A: 2, C: 2}, FEED, {A}) == [(B, A)]


def test_in_one_life_everything_is_told_in_order() -> None:
    assert out_of_place({B: 2, A: 2, C: 2}, FEED, {A, B}) == [(B, A)]
    assert out_of_place({A: 1, C: 2, B: 2}, FEED, {C}) == [(C, B)]
