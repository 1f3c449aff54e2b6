"""The check of the order in which a watch is sent decrees, at the end of a storm."""

from decreed.registry.types import Key

from .endings import out_of_place

A, B, C = Key("a"), Key("b"), Key("c")
FEED = [A, B, C]


def test_decrees_sent_in_the_order_of_the_feed_are_in_place() -> None:
    assert out_of_place({A: 1, B: 1, C: 2}, FEED, {B}) == []


def test_an_unreadable_decree_may_be_left_out_when_others_are_sent_again() -> None:
    assert out_of_place({B: 1, A: 2, C: 2}, FEED, {B}) == []
    assert out_of_place({B: 1, A: 2, C: 2}, FEED, {A, B}) == [], "when both were unreadable"


def test_a_readable_decree_is_sent_again_after_those_before_it_in_the_feed() -> None:
    assert out_of_place({B: 1, A: 2, C: 2}, FEED, {A}) == [(B, A)]


def test_one_incarnation_sends_everything_in_order() -> None:
    assert out_of_place({B: 2, A: 2, C: 2}, FEED, {A, B}) == [(B, A)]
    assert out_of_place({A: 1, C: 2, B: 2}, FEED, {C}) == [(C, B)]
