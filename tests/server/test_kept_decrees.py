"""What is kept of encoded decrees is bounded: in number, and in what each of them may take."""

import pytest

from decreed.registry.types import (
    MAX_CLAIMANT_CHARS,
    MAX_CONTENT_TYPE_CHARS,
    MAX_NOTE_CHARS,
    Ballot,
    Decree,
    Key,
    NodeId,
    Process,
)
from decreed.registry.wire.decrees import KEPT, SHORT_BYTES, encode_decree, kept

BALLOT = Ballot.standing(Process(NodeId("n1"), 1))


def decree(size: int = 3, claimant: str = "me", note: str = "", kind: str = "text/plain") -> Decree:
    return Decree(Key("k"), b"v" * size, kind, claimant, b"id", note, 5, BALLOT)


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    kept.cache_clear()


@pytest.mark.parametrize("over", [0, 1])
def test_what_is_just_short_enough_is_kept(over: int) -> None:
    texts = len("k") + 4 * len("me" + "text/plain")
    encode_decree(decree(SHORT_BYTES - texts + over))
    assert kept.cache_info().currsize == 1 - over


def test_no_more_than_so_many_are_kept() -> None:
    assert kept.cache_info().maxsize == KEPT


@pytest.mark.parametrize(
    "long",
    [
        decree(note="\N{GRINNING FACE}" * MAX_NOTE_CHARS),
        decree(claimant="\N{GRINNING FACE}" * MAX_CLAIMANT_CHARS),
        decree(kind="\N{GRINNING FACE}" * MAX_CONTENT_TYPE_CHARS),
    ],
)
def test_long_texts_are_not_kept_either(long: Decree) -> None:
    """A character may take four bytes, in the decree and again in its encoding."""
    encode_decree(long)
    assert kept.cache_info().currsize == 0
