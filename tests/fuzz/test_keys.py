"""The key parser accepts exactly the documented alphabet; order and prefixes are as documented."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.errors import BadRequest
from decreed.registry.invisible import INVISIBLE
from decreed.registry.keys import (
    MAX_SLOT,
    homes,
    matches,
    parse_key,
    parse_prefix,
    parse_series,
    prefixes,
    series_and_slot,
    slot_before,
    slot_key,
    sort_key,
)
from decreed.registry.types import MAX_KEY_BYTES, Key, NodeId

from .texts import ASCII_MARKS, keys, near_keys, paths, slots


def is_visible_word(character: str) -> bool:
    """Whether it is a letter, digit or mark that can be seen."""
    return unicodedata.category(character)[0] in "LNM" and not INVISIBLE.match(character)


def is_path(text: str) -> bool:
    """The documented rule for paths."""
    segments = text.split("/")
    letters = all(
        character in ASCII_MARKS or is_visible_word(character)
        for segment in segments
        for character in segment
    )
    named = all(segment not in ("", ".", "..") for segment in segments)
    return letters and named and unicodedata.is_normalized("NFC", text)


def is_key(text: str) -> bool:
    """The documented rule for keys."""
    path, at, slot = text.partition("@")
    plain = slot.isascii() and slot.isdigit() and slot[0] != "0" and int(slot) <= MAX_SLOT
    short = len(text.encode(errors="replace")) <= MAX_KEY_BYTES
    return is_path(path) and (not at or plain) and short


def takes(parse: object, text: str) -> bool:
    assert callable(parse)
    try:
        parse(text)
    except BadRequest:
        return False
    return True


@given(keys())
def test_every_documented_key_is_accepted_unchanged(key: Key) -> None:
    assert parse_key(key) == key
    assert parse_key(parse_key(key)) == key


@given(near_keys() | st.text(max_size=12) | st.text(st.sampled_from("a/@.1é"), max_size=8))
def test_exactly_the_documented_texts_are_keys(text: str) -> None:
    assert takes(parse_key, text) == is_key(text)


@pytest.mark.parametrize("character", [chr(code) for code in range(256)])
def test_exactly_the_documented_characters_are_accepted(character: str) -> None:
    marks = "/@" + ASCII_MARKS
    allowed = character in marks or is_visible_word(character)
    assert takes(parse_key, f"a{character}1") == allowed


@pytest.mark.parametrize(
    "code", [0x115F, 0x1160, 0x3164, 0xFFA0, 0x34F, 0x17B4, 0x180B, 0xFE0F, 0xE0100]
)
def test_no_key_has_a_letter_or_mark_that_cannot_be_seen(code: int) -> None:
    assert unicodedata.category(chr(code))[0] in "LM"
    with pytest.raises(BadRequest, match="invisible"):
        parse_key(f"a/{chr(code)}b")
    with pytest.raises(BadRequest):
        parse_series(f"a{chr(code)}")
    with pytest.raises(BadRequest):
        parse_prefix(f"a{chr(code)}/b")


@given(st.characters())
def test_every_character_is_accepted_or_refused_by_its_category(character: str) -> None:
    assert takes(parse_key, character + "1") == is_key(character + "1")


@given(paths(), st.text(st.sampled_from("/@$ .a1"), max_size=4))
def test_prefixes_and_series_follow_the_rule_for_paths(path: str, tail: str) -> None:
    text = path + tail
    dropped = text.removesuffix("/")
    assert takes(parse_prefix, text) == is_path(dropped)
    assert takes(parse_series, text) == is_path(text)
    assert parse_prefix(path) == parse_prefix(path + "/") == path


@given(st.integers(500, 520), st.sampled_from(["a", "é", "中"]))
def test_the_bound_is_on_bytes(size: int, character: str) -> None:
    text = character * (size // len(character.encode()))
    assert takes(parse_key, text) == (len(text.encode()) <= MAX_KEY_BYTES)
    room = len(f"{text}@{MAX_SLOT}".encode()) <= MAX_KEY_BYTES
    assert takes(parse_series, text) == room


@given(st.text(min_size=600, max_size=700) | st.just("/" * 100_000) | st.just("a" * 1_000_000))
def test_a_long_text_is_refused_with_a_short_message(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_key(text)
    assert len(str(caught.value)) < 1_000


@given(keys(), keys())
def test_keys_are_ordered_by_the_bytes_before_the_slot_then_by_number(one: Key, other: Key) -> None:
    def place(key: Key) -> tuple[bytes, int]:
        series, slot = series_and_slot(key)
        return (series + ("" if slot is None else "@")).encode(), slot or 0

    assert (sort_key(one) < sort_key(other)) == (place(one) < place(other))
    assert (sort_key(one) == sort_key(other)) == (one == other)


@given(paths(), slots(), slots())
def test_slots_are_ordered_by_number(series: str, one: int, other: int) -> None:
    before, after = (sort_key(slot_key(series, slot)) for slot in (one, other))
    assert (before < after) == (one < other)
    assert sort_key(series) < before
    assert series_and_slot(slot_key(series, one)) == (series, one)
    assert slot_before(slot_key(series, one)) == (slot_key(series, one - 1) if one > 1 else None)


@given(st.lists(keys(), min_size=1, max_size=3), paths(), st.integers(0, 4))
def test_prefixes_match_whole_segments(some: list[Key], path: str, depth: int) -> None:
    for key in [*some, Key(path), Key(path + "x"), Key(path + "/x"), Key(path + "@3")]:
        segments = key.partition("@")[0].split("/")
        for prefix in {path, "/".join(segments[:depth]), ""}:
            wanted = prefix.split("/") if prefix else []
            assert matches(prefix, key) == (segments[: len(wanted)] == wanted)
            assert matches(prefix, key) == (prefix in prefixes(key))


@given(keys(), st.permutations([NodeId(f"n{n}") for n in range(5)]))
def test_homes_depend_only_on_the_path_and_the_set_of_nodes(key: Key, nodes: list[NodeId]) -> None:
    series = Key(key.partition("@")[0])
    assert homes(key, nodes) == homes(series, sorted(nodes))
    assert sorted(homes(key, nodes)) == sorted(nodes)
    without = [node for node in homes(key, nodes) if node != nodes[0]]
    assert homes(key, nodes[1:]) == without
