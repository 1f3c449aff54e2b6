"""Reading a decree: as text, as JSON, as a type of the reader's, as a document, as a repr."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from decreed.client import Claimed, Decree, Holder, Outcome, Watched
from decreed.registry.types import Claim, Key

from ..fakes import decree_of

KEY = "prod/pool@12"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
SECRET = b"hunter2"


def decree(value: bytes, content_type: str = TEXT) -> Decree:
    return replace(
        decree_of(KEY, value),
        content_type=content_type,
        claimant="ann@host",
        note="why",
        time_ms=1_700_000_000_123,
    )


class Colour(Enum):
    RED = "red"


@dataclass
class Pool:
    size: int
    hosts: list[str]


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda found: found.text, b"\xff"),
        (lambda found: found.json(), b"\xff"),
        (lambda found: found.json(), b"{"),
        (lambda found: found.json(), b""),
        (lambda found: found.json(), b"[" * 100_000),
        (lambda found: found.as_(int), b"twelve"),
        (lambda found: found.as_(int), b"\xff"),
        (lambda found: found.as_(Point), b'{"x": "1"}'),
        (lambda found: found.as_(list[int]), b"[" * 100_000),
        (lambda found: found.as_(int | None), b"twelve"),
    ],
)
def test_an_unreadable_value_is_an_error_that_names_the_key(
    read: Callable[[Decree], Any], value: bytes
) -> None:
    for content_type in (TEXT, JSON):
        with pytest.raises(ValueError, match=KEY) as caught:
            read(decree(value, content_type))
        assert len(str(caught.value)) < 300


def test_invalid_json_raises_the_error_of_the_decoder() -> None:
    with pytest.raises(
        json.JSONDecodeError, match=rf"'{KEY}' is no JSON: Expecting value: line 1 column 5"
    ):
        decree(b"[1, ").json()


def test_invalid_text_raises_the_error_of_the_codec() -> None:
    with pytest.raises(UnicodeDecodeError, match=f"invalid start byte, in the value of '{KEY}'"):
        decree(b"\xff").text  # noqa: B018


@pytest.mark.parametrize(
    ("kind", "value", "content_type", "expected"),
    [
        (int, b"20", TEXT, 20),
        (int, b"20", JSON, 20),
        (float, b"1.10", TEXT, 1.1),
        (Decimal, b"1.10", TEXT, Decimal("1.10")),
        (bool, b"true", TEXT, True),
        (str, b"20", TEXT, "20"),
        (str, b'"20"', TEXT, '"20"'),
        (str, b'"20"', JSON, "20"),
        (str, b'"20"', "application/vnd.x+json; v=1", "20"),
        (bytes, b"\xff", "application/octet-stream", b"\xff"),
        (bytes, b'"20"', JSON, b'"20"'),
        (date, b"2026-01-02", TEXT, date(2026, 1, 2)),
        (Colour, b"red", TEXT, Colour.RED),
        (list[int], b"[1,2]", TEXT, [1, 2]),
        (Pool, b'{"size":2,"hosts":["a"]}', TEXT, Pool(2, ["a"])),
        (Pool, b'{"size":2,"hosts":["a"]}', JSON, Pool(2, ["a"])),
        (Point, b'{"x":1}', "application/octet-stream", Point(1)),
        (int | None, b"null", JSON, None),
        (Any, b"plain", TEXT, "plain"),
    ],
)
def test_as_reads_what_the_content_type_says(
    kind: Any, value: bytes, content_type: str, expected: Any
) -> None:
    found = decree(value, content_type).as_(kind)
    assert found == expected and type(found) is type(expected)


def test_json_is_of_the_type_exactly() -> None:
    with pytest.raises(ValueError, match="Expected `int`, got `str`"):
        decree(b'"20"', JSON).as_(int)


def test_the_time_has_a_timezone() -> None:
    assert decree(b"").time == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
    assert decree(b"").time.utcoffset() is not None
    before = replace(decree(b""), time_ms=-1)
    assert before.time == datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)
    lost = replace(decree(b""), time_ms=2**62)
    assert lost.to_dict()["time"] == f"{2**62} ms"
    with pytest.raises(ValueError, match=KEY):
        lost.time  # noqa: B018


def test_a_decree_is_the_document_that_is_described() -> None:
    assert decree(b"20").to_dict() == {
        "key": KEY,
        "series": "prod/pool",
        "slot": 12,
        "value": "20",
        "content_type": TEXT,
        "claimant": "ann@host",
        "claim_id": "other",
        "identity": "",
        "note": "why",
        "time": "2023-11-14T22:13:20.123+00:00",
        "ballot": "1.n1#1",
    }
    bare = replace(decree(b"\xff"), key=Key("k"), claim_id=b"\xfe").to_dict()
    assert {"value_base64": "/w==", "claim_id_base64": "/g=="}.items() <= bare.items()
    assert not {"value", "claim_id", "series", "slot"} & {*bare}
    for name in ("key", "value", "content_type", "claimant", "claim_id", "note", "time", "ballot"):
        assert f"``{name}``" in str(Decree.to_dict.__doc__)


def test_all_results_can_be_written_as_json() -> None:
    claimed = Claimed(Outcome.LOST, decree(b"\xff"), b"\xff" * 16)
    watched = Watched(decree(b"x"), "n1:00:1")
    for result in (decree(b"x"), claimed, watched):
        assert json.loads(json.dumps(result.to_dict())) == dict(result)
    assert dict(claimed)["decree"]["value_base64"] == "/w=="
    assert dict(watched) == {"position": "n1:00:1", "decree": decree(b"x").to_dict()}


def test_a_repr_is_short_and_shows_no_value() -> None:
    huge = replace(decree(SECRET * 200_000), key=Key("k" * 512), note="hunter2", claimant="c" * 256)
    claim = Claim(Key("k"), SECRET, TEXT, "me", b"id", "hunter2")
    holder = Holder("jobs", 3, "me@host pid 1", "host", 1, 0, 10.0, "", SECRET, b"id")
    for thing in (
        huge,
        Claimed(Outcome.WON, huge, b"id"),
        Watched(huge, "n1:" + "0" * 32 + ":1"),
        claim,
        holder,
    ):
        assert "hunter2" not in repr(thing)
        assert len(repr(thing)) < 500
    assert repr(decree(SECRET)) == (
        f"<Decree of '{KEY}': 7 bytes of '{TEXT}', claimed by 'ann@host' at "
        "2023-11-14T22:13:20+00:00>"
    )
    assert repr(Claimed(Outcome.WON, decree(b""), b"")).startswith("<Claimed won: <Decree of")
