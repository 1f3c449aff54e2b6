"""The catalogue itself: its bugs apply, the classic ones are there, and a few are hunted."""

import ast

import pytest

from .__main__ import hunt_apart, hunters_of
from .bug import Bug
from .everything import BUGS

NAMES = [bug.name for bug in BUGS]

CLASSIC = (
    "promise not synced before answering",
    "accept not synced before answering",
    "accept below the promise",
    "< for <=",
    "own value in spite of an accepted one",
    "lowest instead of highest ballot adopted",
    "quorum of half",
    "votes of different ballots counted together",
    "a node's vote counted twice",
    "the keys that a vote on a batch refuses are counted",
    "a key is proposed twice in the ballot of a batch",
    "a ballot reused after restart",
    "a wiped node that votes again",
    "commit taken for a value that lost",
    "read of undecided without a quorum",
    "list from one node",
    "answer cached before it was chosen",
    "claim id ignored on retry",
)
"""Mistakes known from other systems, which the catalogue must have."""

QUICK = (
    ("accept below the promise", "model"),
    ("accept below the promise", "agreement"),
    ("a promise hides what was accepted", "storms"),
    ("votes of different ballots counted together", "model"),
    ("an accept quorum's size for phase 1", "model"),
    ("a ballot reused after restart", "model"),
    ("a vote on a batch leaves before the sync", "home"),
    ("a vote does not name the keys of a batch that it refuses", "storms"),
    ("read of undecided without a quorum", "storms"),
    ("a release needs no secret", "lock storms"),
    ("a give-up is taken and not remembered", "give-up storms"),
    ("what waits is never judged again", "governed storms"),
    ("a wiped node that votes again", "judge"),
    ("a read is asked for again once", "file"),
    ("names are never synced", "file"),
)
"""Hunts of a second or two each."""


def named(name: str) -> Bug:
    return BUGS[NAMES.index(name)]


@pytest.mark.parametrize("bug", BUGS, ids=NAMES)
def test_each_bug_applies_and_is_still_a_program(bug: Bug) -> None:
    assert bug.changes
    for change in bug.changes:
        source = change.path.read_text(encoding="utf-8")
        ast.parse(change.made(source))
        assert change.made(source) != source


@pytest.mark.parametrize("bug", BUGS, ids=NAMES)
def test_each_bug_has_a_hunter(bug: Bug) -> None:
    assert list(hunters_of(bug))


def test_each_bug_has_a_name_of_its_own() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("words", CLASSIC)
def test_the_classic_mistakes_are_in_the_catalogue(words: str) -> None:
    assert [name for name in NAMES if name.startswith(words)]


@pytest.mark.parametrize(("name", "by"), QUICK)
def test_a_seeded_bug_is_caught_within_its_budget(name: str, by: str) -> None:
    finding = hunt_apart(named(name), by)
    assert finding.seen, "nothing catches it: the checking is too weak"
    print(finding.after, finding.seen)
