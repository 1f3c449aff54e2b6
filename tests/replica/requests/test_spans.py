"""Spans: an answer without the equal spans is as good as everything that the peer holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.disk import ScanPage
from decreed.registry.keys import sort_key
from decreed.registry.paxos.instance import Instance
from decreed.registry.replica.requests.list_read import ListRead, Question, within
from decreed.registry.replica.requests.spans import (
    Comparison,
    Row,
    answer_of,
    span_digest,
    spans_of,
)
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, Proposal
from decreed.registry.wire.peers import ScanAnswer

BALLOT = Ballot(1, Process(NodeId("n1"), 1))
KEYS = sorted(
    [Key(f"k{n}") for n in range(8)] + [Key(f"s@{n}") for n in range(1, 13)], key=sort_key
)
PLENTY = 1_000
MUCH = 1_000_000


def decree(key: Key, value: bytes = b"v") -> Decree:
    return Decree(key, value, "text/plain", "me", b"id", "", 0, BALLOT)


def learned(key: Key) -> Row:
    return key, Instance(BALLOT, Proposal(BALLOT, decree(key)), decree(key))


def accepted(key: Key, value: bytes = b"v") -> Row:
    return key, Instance(BALLOT, Proposal(BALLOT, decree(key, value)))


def compared(
    held: list[Row], asked: list[Row], complete: bool, limit: int, max_bytes: int, at_a_time: int
) -> ScanAnswer:
    """The answer of a peer that holds `held` to a requester whose own page is `asked`."""
    comparison = Comparison(spans_of(asked, complete=complete, span_rows=3), limit, max_bytes)
    there = [row for row in held if complete or within(row[0], asked[-1][0])]
    for start in range(0, len(there) + 1, at_a_time):
        rest = start + at_a_time >= len(there)
        comparison.take(ScanPage(tuple(there[start : start + at_a_time]), rest))
        if comparison.over:
            break
    assert comparison.over
    return comparison.answer(1)


def rows_of(kinds: list[int]) -> list[Row]:
    made = {1: learned, 2: accepted}
    return [made[kind](key) for key, kind in zip(KEYS, kinds, strict=True) if kind]


HOLDINGS = st.lists(st.sampled_from([0, 1, 1, 1, 2]), min_size=len(KEYS), max_size=len(KEYS))


@given(HOLDINGS, HOLDINGS, st.integers(1, 25), st.integers(1, 8), st.sampled_from([300, MUCH]))
def test_the_union_with_an_answer_is_the_union_with_all_that_the_peer_holds(
    mine: list[int], theirs: list[int], limit: int, at_a_time: int, max_bytes: int
) -> None:
    all_mine, held = rows_of(mine), rows_of(theirs)
    asked = all_mine[:limit]
    complete = len(asked) == len(all_mine) or not asked
    answer = compared(held, asked, complete, limit, max_bytes, at_a_time)
    own = answer_of(1, asked, None if complete else asked[-1][0])
    read = ListRead(Question("", "", limit), answers={NodeId("a"): own, NodeId("b"): answer})
    assert read.merge() is None
    whole = ListRead(Question("", "", limit))
    whole.answers = {NodeId("a"): own, NodeId("b"): answer_of(1, held, read.horizon)}
    assert whole.merge() is None
    assert (read.decrees, read.unsettled) == (whole.decrees, whole.unsettled)
    known = {key for key, _ in (*all_mine, *held)}
    assert read.decrees.keys() | read.unsettled == {k for k in known if within(k, read.horizon)}


@given(st.lists(st.sampled_from([0, 1]), min_size=len(KEYS), max_size=len(KEYS)))
def test_equal_spans_are_not_sent(kinds: list[int]) -> None:
    rows = rows_of(kinds)
    assert compared(rows, rows, True, PLENTY, MUCH, 4) == ScanAnswer(1, (), (), None)


def test_an_accepted_key_is_reported_though_the_decrees_are_the_same() -> None:
    """Its digest is the same, since only learned decrees count for that."""
    rows = [learned(Key("k1")), learned(Key("k3"))]
    answer = compared([rows[0], accepted(Key("k2")), rows[1]], rows, True, PLENTY, MUCH, 9)
    assert answer.unlearned == ("k2",)


def test_only_the_spans_that_differ_are_sent() -> None:
    rows = [learned(key) for key in KEYS[:9]]
    held = [*rows[:4], *rows[5:]]
    answer = compared(held, rows, False, PLENTY, MUCH, 9)
    assert [one.key for one in answer.learned] == [KEYS[3], KEYS[5]]
    assert answer.end is None


def test_another_decree_for_a_key_is_sent() -> None:
    other = (Key("k1"), Instance(None, None, decree(Key("k1"), b"other")))
    answer = compared([other], [learned(Key("k1"))], True, PLENTY, MUCH, 9)
    assert [one.value for one in answer.learned] == [b"other"]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_an_answer_that_ends_early_says_where(limit: int) -> None:
    held = [learned(key) for key in KEYS]
    answer = compared(held, [], True, limit, MUCH, 4)
    assert [one.key for one in answer.learned] == KEYS[: limit + 1]
    assert answer.end == KEYS[limit]


def test_the_digest_of_a_span_depends_on_the_decrees_and_their_order() -> None:
    one, other = decree(Key("a")), decree(Key("b"))
    digests = {
        span_digest(found) for found in ([], [one], [other], [one, other], [other, one], [one, one])
    }
    assert len(digests) == 6
