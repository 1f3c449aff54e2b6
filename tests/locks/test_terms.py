"""Terms: their keys, and the contents of their decrees."""

import pytest

from decreed.registry.errors import BadRequest, ProtocolError
from decreed.registry.keys import (
    matches,
    parse_key,
    parse_prefix,
    parse_readable,
    parse_series,
    prefixes,
)
from decreed.registry.locks.terms import (
    MAX_LOCK_BYTES,
    Ending,
    How,
    LeaseId,
    Previous,
    TermClaim,
    is_term,
    lease_id,
    lock_and_term,
    parse_lock,
    term_key,
    term_of,
)
from decreed.registry.types import Ballot, Claim, Decree, Key, NodeId, Process

BALLOT = Ballot(1, Process(NodeId("n1"), 1))
TERM = term_key("jobs/nightly", 7)


def test_a_term_has_a_key_that_names_lock_and_number() -> None:
    assert TERM == "$locks/jobs/nightly@7"
    assert lock_and_term(TERM) == ("jobs/nightly", 7)
    assert is_term(TERM)
    assert not is_term(Key("jobs/nightly@7"))
    assert LeaseId("jobs/nightly", 6, b"x").next_key == TERM


def test_no_claim_can_name_a_term() -> None:
    with pytest.raises(BadRequest, match="'\\$'"):
        parse_key(TERM)


def test_terms_can_be_read_listed_and_watched_under_their_own_path() -> None:
    assert parse_readable(TERM) == TERM
    assert parse_readable("k@2") == "k@2"
    assert parse_series("$locks/jobs/nightly") == "$locks/jobs/nightly"
    for prefix in ("$locks", "$locks/jobs", "$locks/jobs/nightly"):
        assert parse_prefix(prefix + "/") == prefix
        assert matches(prefix, TERM)
        assert prefix in prefixes(TERM)
    assert not matches("", TERM)
    assert "" not in prefixes(TERM)


@pytest.mark.parametrize("name", ["", "$locks/a", "a@1", "a//b", "$other/a", "a$", "x" * 481])
def test_a_text_that_cannot_name_a_lock_is_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        parse_lock(name)


def test_the_longest_name_leaves_room_for_the_last_term() -> None:
    name = parse_lock("x" * MAX_LOCK_BYTES)
    assert parse_readable(term_key(name, 10**15))


@pytest.mark.parametrize("name", ["$locks", "$locks/", "$lock/a", "$locks/a@x", "$locks/$locks/a"])
def test_a_name_that_cannot_be_read_as_a_term_is_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        parse_readable(name)


def test_a_terms_decree_says_who_for_how_long_and_how_the_one_before_ended() -> None:
    previous = Previous(b"before", 500, Ending(How.BROKEN, "op", "it hung"))
    wish = TermClaim("me@host pid 1", b"id", 1_000, b"h" * 32, "a note", b'{"url": 1}')
    decree = Decree.of(wish.claim(TERM, previous), BALLOT, 5)
    assert lease_id(decree) == LeaseId("jobs/nightly", 7, b"id")
    assert (decree.claimant, decree.note) == ("me@host pid 1", "a note")
    term = term_of(decree)
    assert (term.ttl_ms, term.info, term.previous) == (1_000, b'{"url": 1}', previous)


def test_a_decree_that_is_no_term_is_refused_as_a_term() -> None:
    for content_type in ("text/plain", "application/vnd.decreed.term+cbor"):
        claim = Claim(TERM, b"junk", content_type, "me", b"id")
        with pytest.raises(ProtocolError):
            term_of(Decree.of(claim, BALLOT, 5))
