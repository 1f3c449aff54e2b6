"""The catalogue itself: its bugs apply, those that must be there are, and a few are hunted."""

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
    "what a vote on a batch refuses is counted all the same",
    "a key flies again in the ballot in which it has been proposed in a batch",
    "a ballot reused after restart",
    "a wiped node that votes again",
    "commit taken for a value that lost",
    "read of undecided without a quorum",
    "list from one node",
    "answer cached before it was chosen",
    "claim id ignored on retry",
)
"""Mistakes that have been made elsewhere, and must not be missing here."""

QUICK = (
    ("accept below the promise", "model"),
    ("accept below the promise", "agreement"),
    ("a promise hides what was accepted", "storms"),
    ("votes of different ballots counted together", "model"),
    ("an accept quorum's size for phase 1", "model"),
    ("a ballot reused after restart", "model"),
    ("a vote on a batch leaves before the sync", "home"),
    ("a vote does not say what of a batch it refuses", "storms"),
    ("read of undecided without a quorum", "storms"),
    ("a release needs no secret", "lock storms"),
    ("a give-up is taken and not remembered", "give-up storms"),
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
def test_somebody_must_catch_each_bug(bug: Bug) -> None:
    assert list(hunters_of(bug))


def test_each_bug_is_named_once() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("words", CLASSIC)
def test_the_classic_mistakes_are_in_the_catalogue(words: str) -> None:
    assert [name for name in NAMES if name.startswith(words)]


@pytest.mark.parametrize(("name", "by"), QUICK)
def test_a_seeded_bug_is_caught_within_its_budget(name: str, by: str) -> None:
    finding = hunt_apart(named(name), by)
    assert finding.seen, "nothing catches it: the checking is too weak"
    print(finding.after, finding.seen)
